"""A small framewise tagger in torch: what a sound holds, as a whole and over time, from its log-mel spectrogram."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from schemas.errors import UserError
from taggers.checkpoints import reading
from taggers.crnn_shape import CONFIG, STRIDE, WEIGHTS, Shape, read_shape

FLOOR = 1e-7
"""Power per band below which all is silence: some 10 dB below 16-bit noise in the window that is used here."""


class Crnn(nn.Module):
    """Four convolutions, a bidirectional GRU and two heads: scores of each frame, and of the sound by attention over them.

    The scores of the whole sound are a weighted mean of the frames' logits, with weights that are learnt per class (as in
    Wang, Li and Metze, ICASSP 2019, where attention is one of five poolings).
    """

    mean: Tensor
    scale: Tensor
    filters: Tensor
    shape: Shape

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        first, second, third, last = shape.channels
        self.register_buffer("filters", mel_filters(shape), persistent=False)
        # Of training's spectrograms, per band; batch statistics would hang on how much of a batch is padding.
        self.register_buffer("mean", torch.zeros(shape.bands))
        self.register_buffer("scale", torch.ones(shape.bands))
        self.convolutions = nn.Sequential(
            *_block(1, first, 5, 2),
            *_block(first, second, 3, 2),
            *_block(second, third, 3, 1),
            *_block(third, last, 3, 1),
        )
        self.joint = nn.Linear(last * (shape.bands // 16), 2 * shape.units)
        self.recurrent = nn.GRU(2 * shape.units, shape.units, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.2)
        self.heads = nn.Linear(4 * shape.units, 4 * len(shape.classes))

    def powers(self, samples: Tensor) -> Tensor:
        """Return the power in each mel band, shape (B, frames, bands), of samples (B, n)."""
        return mel_powers(samples, self.shape, self.filters)

    @staticmethod
    def bels(powers: Tensor) -> Tensor:
        """Return the common logarithm of powers, none below that of `FLOOR`."""
        return (powers + FLOOR).log10()

    def forward(self, powers: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the logits of frames, shape (B, F, classes), and of the whole sounds, shape (B, classes).

        Args:
            powers: shape (B, T, bands); F is 2 ceil(T / 4).
            mask: which frames of scores are sound and no padding, shape (B, F); None: all.

        """
        silent = functional.pad(powers, (0, 0, 0, -powers.shape[1] % STRIDE))
        x = (self.bels(silent) - self.mean) * self.scale
        # Channels last is what oneDNN is fastest with here: 25% less time per step of training, measured on one core.
        x = self.convolutions(x[:, None].contiguous(memory_format=torch.channels_last))
        x = functional.relu(self.joint(self.dropout(x.permute(0, 2, 3, 1).flatten(2))))
        x = self.dropout(torch.cat([x, self.recurrent(x)[0]], dim=2))
        logits, weights = self.heads(x).unflatten(2, (2, 2, -1)).unbind(dim=2)
        logits, weights = logits.flatten(1, 2), weights.flatten(1, 2)
        if mask is not None:
            weights = weights.masked_fill(~mask[:, :, None], -1e4)
        return logits, (weights.softmax(dim=1) * logits).sum(dim=1)

    def hear(self, samples: Tensor) -> Tensor:
        """Return scores in [0, 1], shape (B, 1 + frames, classes), of samples (B, n): of the whole sound, then over time."""
        frames, whole = self(self.powers(samples))
        kept = -(-samples.shape[1] // self.shape.frame)
        return torch.cat([whole[:, None], frames[:, :kept]], dim=1).sigmoid()


def _block(inputs: int, outputs: int, size: int, stride: int) -> tuple[nn.Module, ...]:
    """Return a convolution that halves the bands, and the frames too where `stride` is 2, normalised and rectified."""
    convolution = nn.Conv2d(inputs, outputs, size, (stride, 2), size // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


def mel_powers(samples: Tensor, shape: Shape, filters: Tensor) -> Tensor:
    """Return the power in each mel band, shape (B, frames, bands), of samples (B, n), through the `mel_filters` of a shape."""
    window = torch.hann_window(shape.window, device=samples.device)
    spectrum = torch.stft(samples, shape.window, shape.hop, window=window, pad_mode="constant", return_complex=True)
    return spectrum.abs().square().transpose(1, 2) @ filters


def mel_filters(shape: Shape) -> Tensor:
    """Return triangular filters, evenly spaced on O'Shaughnessy's mel scale: float32, shape (window // 2 + 1, bands)."""
    low, high = (2595.0 * np.log10(1.0 + hz / 700.0) for hz in (shape.low_hz, shape.high_hz))
    corners = 700.0 * (10.0 ** (np.linspace(low, high, shape.bands + 2) / 2595.0) - 1.0)
    hz = np.linspace(0.0, shape.sample_rate / 2.0, shape.window // 2 + 1)[:, None]
    rising = (hz - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - hz) / np.diff(corners)[1:]
    return torch.from_numpy(np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32))


def write(model: Crnn, folder: Path) -> None:
    """Write shape and weights into a folder that is there."""
    text = json.dumps(dataclasses.asdict(model.shape), indent=1) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors lets its owner alone read it


def read(folder: Path, device: str) -> Crnn:
    """Return the tagger that `write` wrote, on a device, ready to hear; UserError if the weights are not its own."""
    with torch.random.fork_rng(
        devices=[]
    ):  # weights are drawn to be replaced; the process's own draws stay as they were
        model = Crnn(read_shape(folder))
    with reading(folder / WEIGHTS, "file of safetensors"):
        state = load_file(folder / WEIGHTS)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{folder / WEIGHTS}: holds other weights ({type(error).__name__}); train it again") from None
    return model.to(device).eval()


def padded(powers: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return spectrograms as a batch, shape (B, longest, bands), with silence behind, and its `mask` for `Crnn.forward`."""
    longest = max(len(power) for power in powers)
    batch = torch.stack([functional.pad(power, (0, 0, 0, longest - len(power))) for power in powers])
    frames = torch.tensor([2 * -(-len(power) // STRIDE) for power in powers])
    return batch, torch.arange(2 * -(-longest // STRIDE)) < frames[:, None]
