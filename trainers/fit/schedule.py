"""How the learning rate begins: a factor on it, a function of the step alone."""

from __future__ import annotations

from typing import Literal

Shape = Literal["stairs", "linear"]

_STAIRS = (1e-3, 1e-2, 1e-1)


def warm_up(shape: Shape, steps: int, step: int) -> float:
    """Return the factor on the learning rate at a step.

    Args:
        shape: ``stairs``: 0.001, 0.01, 0.1, each for ``steps`` steps, as AudioSep begins; ``linear``: 1 / steps, 2 / steps, and so on.
        steps: of one stair, or of the whole slope; 0: no warm-up.
        step: steps that are done, 0 at the first.

    Returns:
        A factor in (0, 1]; 1 after the warm-up.
    """
    if shape == "linear":
        return min(1.0, (step + 1) / steps) if steps else 1.0
    stair = step // steps if steps else len(_STAIRS)
    return _STAIRS[stair] if stair < len(_STAIRS) else 1.0
