"""A small separator for the training examples that use PyTorch: words and a mixture in, the sound that they ask for out."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

FRAME, WORDS = 64, 256


class Separator(nn.Module):
    """Attenuates each bin of the mixture's spectrogram, as its magnitudes and the query's words say."""

    def __init__(self, size: int = 64) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(WORDS, size, padding_idx=0)
        self.heard, self.mask = nn.Linear(FRAME // 2 + 1, size), nn.Linear(size, FRAME // 2 + 1)
        self.register_buffer("window", torch.hann_window(FRAME))

    def forward(self, mixture: Tensor, words: Tensor) -> Tensor:
        """Return the answers, (B, T), for mixtures, (B, T), and what `numbers` returns of their queries."""
        spectrum = torch.stft(mixture, FRAME, window=self.window, return_complex=True)
        heard = self.heard(spectrum.abs().log1p().transpose(1, 2)) + self.words(words)[:, None]
        mask = torch.sigmoid(self.mask(torch.relu(heard))).transpose(1, 2)
        return torch.istft(spectrum * mask, FRAME, window=self.window, length=mixture.shape[1])


def numbers(queries: Sequence[str], most: int = 12) -> Tensor:
    """Return the first words of each query as numbers, (B, most), 0 after the last."""
    rows = [[1 + zlib.crc32(word.encode()) % (WORDS - 1) for word in query.lower().split()[:most]] for query in queries]
    return torch.tensor([row + [0] * (most - len(row)) for row in rows])


def loss(answer: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute error."""
    return (answer - target).abs().mean()


def sdri(answer: Tensor, mixture: Tensor, target: Tensor) -> Tensor:
    """Return by how much each answer is nearer to its target than the mixture was, (B,), in dB; nan where the target is silent."""
    error, before = (((each - target) ** 2).sum(-1) for each in (answer, mixture))
    return torch.where((target != 0).any(-1), 10 * torch.log10(before / error), torch.nan)


@torch.no_grad()
def judged(model: Separator, batches: Iterable[tuple[Sequence[str], Tensor, Tensor]]) -> float:
    """Return the mean SDRi over batches of queries, mixtures and targets, in dB."""
    rows = [sdri(model(mixture, numbers(queries)), mixture, target) for queries, mixture, target in batches]
    return float(torch.cat(rows).nanmean())
