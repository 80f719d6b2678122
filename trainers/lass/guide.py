"""Hybrid-Sep's first stage: what the target sounds like, as its audio embedding, told from the query's words and the mixture."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.lass.spectra import unhalved

HEADS = 4
FRAMES = 16
"""Frames of a spectrogram, 160 ms, that become one token."""


class Guide(nn.Module):
    """A small transformer over the query and the mixture's spectrogram.

    A token of the query stands before one token for every 160 ms of the mixture; what the transformer makes of the query's is added to the
    query. The published system's sizes are not known; these are ours.

    Args:
        bins: bins of a spectrogram.
        embedding: length of an embedding.
        width: channels of a token, a multiple of :data:`HEADS`.
        layers: layers of the transformer.
    """

    def __init__(self, bins: int, embedding: int, width: int, layers: int) -> None:
        super().__init__()
        self.width = width
        self.frame = nn.Linear(bins, width)
        self.token = nn.Conv1d(width, width, FRAMES, stride=FRAMES)
        self.asked = nn.Linear(embedding, width)
        layer = nn.TransformerEncoderLayer(
            width, HEADS, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.moved = nn.Linear(width, embedding)
        # At first a tenth of the query's length, so that an untrained guide passes the query on.
        nn.init.normal_(self.moved.weight, std=0.1 / math.sqrt(embedding * width))
        nn.init.zeros_(self.moved.bias)

    def forward(self, magnitudes: Tensor, condition: Tensor) -> Tensor:
        """Return the target's audio embeddings, shape (B, E), float32, each of unit length.

        Args:
            magnitudes: of mixtures at RMS 1, shape (B, frames, bins).
            condition: the queries' embeddings, shape (B, E).
        """
        frames = functional.gelu(self.frame(torch.log1p(magnitudes))).transpose(1, 2)
        heard = self.token(functional.pad(frames, (0, -frames.shape[2] % FRAMES))).transpose(1, 2)
        heard = heard + places(heard.shape[1], self.width, heard)
        # A unit vector's numbers are small; at this scale they are as large as those of the tokens beside it.
        asked = self.asked(condition * math.sqrt(condition.shape[1]))[:, None]
        told = self.transformer(torch.cat([asked, heard], dim=1))[:, 0]
        return functional.normalize(unhalved(condition) + unhalved(self.moved(told)), dim=1)


def places(count: int, width: int, like: Tensor) -> Tensor:
    """Return where each of so many tokens stands, shape (count, width): sines and cosines (Vaswani et al. 2017)."""
    rates = torch.exp(torch.arange(0, width, 2, device=like.device) * (-math.log(10000.0) / width))
    angles = torch.arange(count, device=like.device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(like.dtype)
