"""What the stages that judge captions have in common: one code judges candidates, and the probes that calibrate the gate."""

from __future__ import annotations

from typing import Literal

Of = Literal["candidates", "probes"]
"""The table whose captions are judged."""

WRITES: dict[Of, str] = {"candidates": "scores", "probes": "probe_scores"}
"""The table that holds what is said of them."""


def stage_name(name: str, of: Of, round_: int) -> str:
    """Return the name of a stage that judges: probes are judged under a name of their own, later rounds with their number."""
    return f"{name}{'_probes' if of == 'probes' else ''}{f'_{round_}' if round_ > 1 else ''}"


def written_by(of: Of, writers: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return, for ``reads_from``, the stages whose captions are judged; none named: all of them."""
    return {of: writers} if writers else {}
