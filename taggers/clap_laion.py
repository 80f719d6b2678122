"""CLAP through LAION's own package, laion_clap, with one of its checkpoints."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from taggers.checkpoints import load_into, read_checkpoint, revision
from taggers.clap import Clap, ClapSettings
from taggers.clap_text import Texts, tokenizer_files
from taggers.containment import IMPORTS, StandIn, needed, replaced, same_path, stand_ins
from taggers.weights import Weights, locate

if TYPE_CHECKING:
    import torch

needed("torch", "transformers", "laion_clap")

RATE = 48000
TOKENS = 77
"""Tokens that the package reads of a text, special ones included."""

WIDTH = 64
"""Width of one of RoBERTa's attention heads."""


class LaionSettings(ClapSettings):
    """What a recipe may set of `clap_laion`, beside what it may of every CLAP.

    Attributes:
        amodel: the checkpoint's audio network, by the package's name.
        tokenizer: folder of RoBERTa's tokenizer (roberta-base); None: the folder that the checkpoint lies in.

    """

    amodel: Literal["HTSAT-tiny", "HTSAT-base"] = "HTSAT-tiny"
    tokenizer: str | None = None


class LaionClap(Clap):
    """A checkpoint of LAION-CLAP without feature fusion.

    As the package does, it rounds samples to 16 bits. Unlike the package, it neither pads a text nor cuts it off.
    """

    name = "clap_laion"
    settings_type = LaionSettings
    sample_rate = RATE
    dimension = 512
    weights = Weights(
        folder="laion_clap",
        files=("630k-audioset-best.pt",),
        place="hub:lukewys/laion_clap",
        revision="b3708341862f581175dba5c356a4ebf74a9b6651",
        licence="CC0-1.0",
        digests=(
            (
                "630k-audioset-best.pt",
                "sha256:8053c9775516af2f4902e1e8281e356cc1bf7a85e8b761908170767b77c3f037",
            ),
        ),
    )
    _length = 10 * RATE

    def __init__(self, settings: LaionSettings | None = None) -> None:
        chosen = settings or LaionSettings()
        found = locate(self.name, self.weights, chosen.weights)
        self._checkpoint = found if found.is_file() else found / self.weights.files[0]
        self._tokenizer = Path(chosen.tokenizer).expanduser() if chosen.tokenizer else self._checkpoint.parent
        mend = "set `tokenizer` to a folder with that of roberta-base, such as the one that `clap_transformers` pulls"
        tokens = tokenizer_files(self.name, self._tokenizer, mend)
        self._amodel, self.window_s, self.hop_s = chosen.amodel, chosen.window_s, chosen.hop_s
        self.revision = revision(self.name, 1, (self._checkpoint, *tokens), chosen, "weights", "tokenizer")

    def load(self, device: str) -> None:
        """Load networks and tokenizer on `device`; UserError if the checkpoint is not of this `amodel`, or no checkpoint."""
        from transformers import RobertaTokenizer

        tokenizer = RobertaTokenizer.from_pretrained(self._tokenizer, local_files_only=True)
        read = read_checkpoint(self._checkpoint, "state_dict")
        state = {key.removeprefix("module."): tensor for key, tensor in read.items()}
        # Older versions of transformers saved it; newer ones compute it.
        state.pop("text_branch.embeddings.position_ids", None)
        vocabulary = len(state.get("text_branch.embeddings.word_embeddings.weight", ()))
        self._texts = Texts(self.name, tokenizer, TOKENS, vocabulary)
        self._model = build(self._amodel, state, tokenizer, device).model
        load_into(self._model, state, self._checkpoint)
        self._model.to(device).eval()
        self._device = device

    def _prepared(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        quantised = (np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)
        return (quantised / 32767.0).astype(np.float32)

    def _hear(self, samples: torch.Tensor) -> torch.Tensor:
        heard: torch.Tensor = self._model.get_audio_embedding([{"waveform": each} for each in samples])
        return heard

    def _read(self, ids: torch.Tensor) -> torch.Tensor:
        import torch

        read: torch.Tensor = self._model.get_text_embedding({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        return read


def build(amodel: str, state: dict[str, Any], tokenizer: Any, device: str) -> Any:
    """Return the package's `CLAP_Module` of random weights, which has asked no hub for anything.

    The package loads three tokenizers when it is imported, and a tokenizer and RoBERTa's weights when a model is made; it
    imports torchvision, which it needs for feature fusion alone; and it puts its folder on `sys.path`. While it does
    so, it is given this tokenizer and a RoBERTa of the size that the checkpoint has, and afterwards all is as it was.

    Args:
        amodel: the package's name of the audio network.
        state: the checkpoint's tensors by name.
        tokenizer: RoBERTa's.
        device: where the model is to be.

    """
    from transformers import BartTokenizer, BertTokenizer, RobertaModel, RobertaTokenizer
    from transformers.utils import is_torchvision_available

    # Before the stand-ins: transformers looks once, and would take one for the real library ever after.
    is_torchvision_available()
    config = text_config(state)
    with IMPORTS, ExitStack() as while_it_is_made:
        for kind in (BertTokenizer, RobertaTokenizer, BartTokenizer):
            while_it_is_made.enter_context(replaced(kind, "from_pretrained", lambda *_, **__: tokenizer))
        while_it_is_made.enter_context(replaced(RobertaModel, "from_pretrained", lambda *_, **__: RobertaModel(config)))
        while_it_is_made.enter_context(stand_ins(torchvision()))
        while_it_is_made.enter_context(same_path())
        while_it_is_made.enter_context(warnings.catch_warnings(action="ignore"))
        from laion_clap import CLAP_Module

        return CLAP_Module(enable_fusion=False, device=device, amodel=amodel)


def text_config(state: dict[str, Any]) -> Any:
    """Return the RoBERTa configuration that a checkpoint's tensors have: roberta-base for those that LAION publishes."""
    from transformers import RobertaConfig

    prefix = "text_branch."
    shapes = {key.removeprefix(prefix): tensor.shape for key, tensor in state.items() if key.startswith(prefix)}
    layers = {key.split(".")[2] for key in shapes if key.startswith("encoder.layer.")}
    vocabulary, hidden = shapes.get("embeddings.word_embeddings.weight", (50265, 768))
    return RobertaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=len(layers) or 12,
        num_attention_heads=hidden // WIDTH,
        intermediate_size=shapes.get("encoder.layer.0.intermediate.dense.weight", (3072,))[0],
        max_position_embeddings=shapes.get("embeddings.position_embeddings.weight", (514,))[0],
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )


def torchvision() -> dict[str, StandIn]:
    """Return stand-ins for the modules of torchvision that the package imports."""
    return {
        name: StandIn(name)
        for name in (
            "torchvision",
            "torchvision.datasets",
            "torchvision.ops",
            "torchvision.ops.misc",
            "torchvision.transforms",
        )
    }
