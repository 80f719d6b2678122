"""How large a separator is: the channels of its blocks, how they shrink the spectrogram, and the guide's width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

Step = tuple[int, int]
"""By how much frames and bins become fewer."""

_HALVED = (2, 2)


@dataclass(frozen=True)
class Size:
    """Attributes of a separator that its configuration names by one word.

    Attributes:
        patch: frames and bins that the first convolution takes together; (1, 1) is AudioSep's.
        first: channels after the first convolution.
        channels: channels of each encoder block; the decoder mirrors them, and the middle has the last one's.
        steps: by how much each encoder block shrinks frames and bins.
        guide: channels of the guide's transformer, a multiple of its heads.
        layers: layers of the guide's transformer.
    """

    patch: Step
    first: int
    channels: tuple[int, ...]
    steps: tuple[Step, ...]
    guide: int
    layers: int

    @property
    def multiple(self) -> Step:
        """Frames and bins of a spectrogram are filled up to multiples of these."""
        every = (self.patch, *self.steps)
        return prod(step[0] for step in every), prod(step[1] for step in every)


_SIX = (*[_HALVED] * 5, (1, 2))

SIZES: Mapping[str, Size] = MappingProxyType(
    {
        "tiny": Size((2, 4), 16, (16, 32, 48, 64), (*[_HALVED] * 3, (1, 2)), 64, 2),
        "small": Size((1, 1), 16, (16, 32, 64, 128, 192, 192), _SIX, 128, 3),
        "resunet30": Size((1, 1), 32, (32, 64, 128, 256, 384, 384), _SIX, 256, 4),
    }
)
"""``resunet30`` has the channels and steps of AudioSep's public model (Liu et al. 2023)."""
