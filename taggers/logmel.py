"""The spectrogram that transformers' CLAP hears, computed in torch: on the model's device, and for a batch at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

FRAMES = 128
"""Frames computed at once: their float64 intermediates stay in a CPU's cache."""

FLOOR = 1e-10
"""Power below which transformers takes it for silence: -100 dB."""


class LogMel:
    """What `ClapFeatureExtractor` makes of a sound that is as long as it wants it, within 1e-4 dB.

    The extractor takes one frame after the other in numpy, which on a GPU's host takes longer than the network on the GPU.
    Sums are float64, as there: a tone's power lies 140 dB over what its far bins hold, which float32 cannot tell apart.

    Args:
        extractor: a `transformers.ClapFeatureExtractor`.
        channels: how often the network wants each spectrogram: 4 with feature fusion, else 1.
        device: where to compute.

    """

    def __init__(self, extractor: Any, channels: int, device: str) -> None:
        import torch

        # Models without fusion were trained on Slaney's filters, as librosa makes them, those with it on torchaudio's.
        fused = extractor.truncation == "fusion"
        filters = extractor.mel_filters if fused else extractor.mel_filters_slaney
        self._filters = torch.from_numpy(filters).to(device)
        self._size, self._hop, self._channels = extractor.fft_window_size, extractor.hop_length, channels
        self._window = torch.hann_window(self._size, periodic=True, dtype=torch.float64, device=device)

    def __call__(self, samples: torch.Tensor) -> torch.Tensor:
        """Return float32 dB of shape (batch, channels, frames, filters) for float32 samples of shape (batch, n)."""
        import torch
        from torch.nn.functional import pad

        half = self._size // 2
        framed = pad(samples.double(), (half, half), mode="reflect").unfold(1, self._size, self._hop)
        decibels = torch.cat([self._decibels(part) for part in framed.split(FRAMES, dim=1)], dim=1)
        return decibels[:, None].expand(-1, self._channels, -1, -1)

    def _decibels(self, framed: torch.Tensor) -> torch.Tensor:
        from torch.fft import rfft

        spectrum = rfft(framed * self._window)
        power = spectrum.real.square() + spectrum.imag.square()
        made: torch.Tensor = (power @ self._filters).clamp_(min=FLOOR).log10_().mul_(10.0).float()
        return made
