"""What every CLAP shares (Wu et al., ICASSP 2023): fixed windows of sound, pieces of text, and how they are served."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from taggers.base import Embedder, Settings, Waveform
from taggers.clap_text import Texts, pooled
from taggers.serving import serve
from taggers.windows import starts

if TYPE_CHECKING:
    import torch

TOKENS = 16384
"""Tokens of one batch of texts on an accelerator."""


class ClapSettings(Settings):
    """What a recipe may set of every CLAP.

    Attributes:
        weights: its folder or file; None: the models' folder.
        window_s: seconds that one embedding hears; CLAP was trained on 10 s, and what is shorter is repeated to that.
        hop_s: seconds from one window's start to the next's. A sound that is no longer than a window has one.

    """

    weights: str | None = None
    window_s: float = Field(10.0, ge=7.0, le=10.0)
    hop_s: float = Field(1.0, gt=0.0)


class Clap(Embedder):
    """Embeds windows and pieces through the two networks of a subclass.

    A subclass sets `sample_rate`, `dimension`, `window_s`, `hop_s` and `_length`, the samples that its network hears, when it
    is made; and `_device` and `_texts` when it is loaded.
    """

    gpus = 0.5
    stateful = True
    _length: int
    _device: str
    _texts: Texts

    def embed_audio(self, batch: Sequence[Waveform]) -> list[NDArray[np.float32]]:
        """Embed each waveform's windows: shape (windows, dimension), rows of unit length."""
        cuts = [self._cuts(waveform) for waveform in batch]
        flat = [
            (waveform.samples, first, stop) for waveform, own in zip(batch, cuts, strict=True) for first, stop in own
        ]

        def window(index: int) -> NDArray[np.float32]:
            samples, first, stop = flat[index]  # cut when it is its turn: windows overlap, all at once take room
            return self._prepared(repeat_padded(samples[first:stop], self._length))

        most = int(self.batch_s * (self.sample_rate or 1))
        rows = iter(serve([self._length] * len(flat), window, self._device, most, self._hear))
        return [np.stack(list(islice(rows, len(own)))) for own in cuts]

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: shape (n, dimension), rows of unit length; a long text's is the mean of its pieces'."""
        parts = [self._texts.pieces(text) for text in texts]
        flat = [piece for own in parts for piece in own]
        rows = iter(serve([len(piece) for piece in flat], flat.__getitem__, self._device, TOKENS, self._read))
        vectors = [pooled(list(islice(rows, len(own)))) for own in parts]
        return np.stack(vectors) if vectors else np.zeros((0, self.dimension), np.float32)

    def _cuts(self, waveform: Waveform) -> list[tuple[int, int]]:
        """Return first sample and end of each window."""
        count, size = len(waveform.samples), round(self.window_s * waveform.rate)
        begins = (round(start * waveform.rate) for start in starts(waveform.duration_s, self.window_s, self.hop_s))
        return [(begin, min(begin + size, count)) for begin in begins]

    def _prepared(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network is given of a window's samples."""
        return samples

    @abstractmethod
    def _hear(self, samples: torch.Tensor) -> torch.Tensor:
        """Embed (batch, samples)."""

    @abstractmethod
    def _read(self, ids: torch.Tensor) -> torch.Tensor:
        """Embed (batch, tokens)."""


def repeat_padded(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Return samples, repeated as often as they fit whole into `length`, then silence up to it: LAION's "repeatpad"."""
    if len(samples) == length:
        return samples
    repeated = np.tile(samples, max(1, length // len(samples)))
    return np.pad(repeated, (0, length - len(repeated)))
