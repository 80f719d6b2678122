"""From waveforms to spectra and back, with AudioSep's window and hop, and the mask that turns a mixture's spectrum into an answer's."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def window_and_hop(sample_rate: int) -> tuple[int, int]:
    """Return the STFT's window, the power of two nearest to 64 ms on a logarithmic scale, and its hop of 10 ms, in samples.

    These are AudioSep's: 2048 and 320 at 32 kHz, 1024 and 160 at 16 kHz.
    """
    return 2 ** round(math.log2(0.064 * sample_rate)), round(sample_rate / 100)


class Spectra(nn.Module):
    """STFT and its inverse with a periodic Hann window, in full precision whatever autocast says; nothing here is learnt."""

    hann: Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.window, self.hop = window_and_hop(sample_rate)
        self.register_buffer("hann", torch.hann_window(self.window), persistent=False)

    @property
    def bins(self) -> int:
        """Bins of a spectrum without the highest, which lies at half the sample rate: a power of two."""
        return self.window // 2

    def forward(self, signals: Tensor) -> Tensor:
        """Return the complex spectra, shape (B, T // hop + 1, bins + 1), of signals (B, T), T >= 1, zeros before and after."""
        with torch.autocast(signals.device.type, enabled=False):
            made = torch.stft(
                unhalved(signals), self.window, self.hop, window=self.hann, pad_mode="constant", return_complex=True
            )
        return made.transpose(1, 2)

    def back(self, spectra: Tensor, length: int) -> Tensor:
        """Return signals, shape (B, length), of spectra as :meth:`forward` gives them."""
        with torch.autocast(spectra.device.type, enabled=False):
            return torch.istft(spectra.transpose(1, 2), self.window, self.hop, window=self.hann, length=length)


def masked(spectra: Tensor, maps: Tensor) -> Tensor:
    """Return spectra whose magnitudes are masked and whose phases are turned; no bin becomes louder.

    The answer's magnitude is the mixture's times ``sigmoid(maps[:, 0])``; its phase is the mixture's plus the angle of
    ``tanh(maps[:, 1]) + i tanh(maps[:, 2])`` (Kong et al. 2021, "Decoupling magnitude and phase estimation with deep ResUNet
    for music source separation"; AudioSep).

    Args:
        spectra: complex, shape (B, frames, bins).
        maps: real and unbounded, shape (B, 3, frames, bins).
    """
    mask, real, imaginary = unhalved(maps).unbind(dim=1)
    real, imaginary = torch.tanh(real), torch.tanh(imaginary)
    # Where both are zero there is no angle, and the magnitude fades with them rather than the gradient becoming infinite.
    scale = torch.sigmoid(mask) * torch.rsqrt(real.square() + imaginary.square() + 1e-10)
    return spectra * torch.complex(scale * real, scale * imaginary)


def unhalved(values: Tensor) -> Tensor:
    """Return values as float32, or float64 where they are: what autocast has halved is made whole before sound is made of it."""
    return values if values.dtype == torch.float64 else values.float()


def levelled(mixture: Tensor) -> tuple[Tensor, Tensor]:
    """Return mixtures (B, T) at RMS 1, and the RMS that each had, shape (B, 1); silence stays as it is."""
    mixture = unhalved(mixture)
    level = mixture.square().mean(dim=1, keepdim=True).sqrt()
    level = torch.where(level > 0, level, torch.ones_like(level))
    return mixture / level, level


def filled(maps: Tensor, multiple: tuple[int, int]) -> Tensor:
    """Return maps (B, C, frames, bins) with zeros after the last frame and bin, up to multiples of two numbers."""
    frames, bins = (-size % of for size, of in zip(maps.shape[2:], multiple, strict=True))
    return functional.pad(maps, (0, bins, 0, frames))
