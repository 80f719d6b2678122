"""Texts for CLAP: a tokenizer that is read from a folder, and texts that are longer than the model reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import UserError
from taggers.weights import MissingWeights

FORMS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""Files of which a tokenizer is made: the newer form and the older."""

PROBE = "a dog barks while rain falls"


def tokenizer_files(name: str, folder: Path, mend: str) -> tuple[Path, ...]:
    """Return the files of the tokenizer that a folder holds.

    Raises:
        MissingWeights: it holds none. transformers 5 makes one without words then, and does not say so.

    """
    for form in FORMS:
        if all((folder / file).is_file() for file in form):
            return tuple(folder / file for file in form)
    raise MissingWeights(
        f"{name!r}: its tokenizer is not in {folder} (tokenizer.json, or vocab.json and merges.txt); {mend}"
    )


class Texts:
    """Cuts texts into the pieces that a model reads, each with the special tokens it expects.

    A text of more tokens than the model reads is cut into as few pieces as can be, of equal length within a token, so
    that no piece is a mere rest. All of the text is read then; what one piece refers to in another is not seen.

    Args:
        name: the model, for messages.
        tokenizer: one of transformers.
        most: tokens that the model reads at once, special ones included.
        vocabulary: tokens that the model knows.

    Raises:
        UserError: the tokenizer has no words, or tokens that the model does not know.

    """

    def __init__(self, name: str, tokenizer: Any, most: int, vocabulary: int) -> None:
        self._tokenizer = tokenizer
        words, wrapped = self._ids(PROBE), self._ids(PROBE, special=True)
        meaningless = set(tokenizer.all_special_ids)
        if not set(words) - meaningless:
            raise UserError(
                f"{name!r}: its tokenizer knows no words; fetch it again, or set `tokenizer` to one that does"
            )
        if len(tokenizer) > vocabulary:
            raise UserError(
                f"{name!r}: its tokenizer has {len(tokenizer)} tokens, its weights {vocabulary}; they do not belong together"
            )
        start = next(i for i in range(len(wrapped)) if wrapped[i : i + len(words)] == words)
        self._before, self._after = wrapped[:start], wrapped[start + len(words) :]
        self._room = most - len(self._before) - len(self._after)

    def pieces(self, text: str) -> list[NDArray[np.int64]]:
        """Return the token numbers of each piece of a text, in order; one piece where it fits."""
        ids = self._ids(text)
        count = max(1, -(-len(ids) // self._room))
        return [
            np.array([*self._before, *piece, *self._after], np.int64)
            for piece in np.array_split(np.array(ids, np.int64), count)
        ]

    def _ids(self, text: str, special: bool = False) -> list[int]:
        # Not verbose: it would warn of texts that are too long, which are no mistake here.
        return list(self._tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])


def pooled(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the mean of unit vectors (d,), of unit length again; one is its own, and so is the first of some that cancel out."""
    mean = np.mean(vectors, axis=0, dtype=np.float64)
    length = float(np.linalg.norm(mean))
    return vectors[0] if len(vectors) == 1 or length < 1e-6 else (mean / length).astype(np.float32)
