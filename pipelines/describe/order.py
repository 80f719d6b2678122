"""The order of sounds in time: which of them follow one another, coincide, or go on behind the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Span = tuple[float, float]
"""Onset and offset in seconds."""

GAP_S = 0.1
"""One sound may begin this long before the other ends and still follow it: finer than annotators' onsets."""
BACKGROUND = 0.8
"""Least share of everything heard that a background covers."""


@dataclass(frozen=True)
class Event:
    """An interval of a class, in seconds from the clip's start."""

    class_id: str
    onset_s: float
    offset_s: float


def merge(spans: Sequence[Span]) -> list[Span]:
    """Return the union of intervals as disjoint ones, in order."""
    out: list[Span] = []
    for onset, offset in sorted(spans):
        if out and onset <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], offset))
        else:
            out.append((onset, offset))
    return out


def length(spans: Sequence[Span]) -> float:
    """Return the seconds that disjoint intervals cover."""
    return sum(offset - onset for onset, offset in spans)


def overlap(a: Sequence[Span], b: Sequence[Span]) -> float:
    """Return the seconds that two lists of disjoint intervals share."""
    return sum(max(0.0, min(x[1], y[1]) - max(x[0], y[0])) for x in a for y in b)


def follows(a: Sequence[Span], b: Sequence[Span]) -> bool:
    """Say whether all of ``b`` comes after all of ``a``."""
    in_order = a[0][0] < b[0][0] and a[-1][1] < b[-1][1] and a[-1][1] <= b[0][0] + GAP_S
    return in_order and not coincide(a, b)


def coincide(a: Sequence[Span], b: Sequence[Span]) -> bool:
    """Say whether the shorter of the two is heard with the other for half of its time or more."""
    return overlap(a, b) >= 0.5 * min(length(a), length(b)) > 0.0


def arrange(sounds: Sequence[Sequence[Span]]) -> tuple[str, tuple[int, ...]] | None:
    """Return how up to three sounds follow, coincide or stand in front of a background.

    Args:
        sounds: disjoint intervals of each sound, in order, none empty.

    Returns:
        A pattern and the sounds for its letters. ``>``: then, ``+``: while, ``~``: behind those before it.
        Sounds whose intervals support no such word are passed over; None where nothing can be said.

    """
    order = sorted(range(len(sounds)), key=lambda i: (sounds[i][0], sounds[i][-1][1]))
    behind = _background(sounds)
    steps: list[list[int]] = []
    for i in order:
        if i == behind:
            continue
        if not steps or all(follows(sounds[j], sounds[i]) for step in steps for j in step):
            steps.append([i])
        elif (
            len(steps[-1]) == 1
            and coincide(sounds[steps[-1][0]], sounds[i])
            and all(follows(sounds[j], sounds[i]) for step in steps[:-1] for j in step)
        ):
            steps[-1].append(i)
    if behind is not None:
        front = [step[0] for step in steps[:2]]
        return ("a~b", (front[0], behind)) if len(front) == 1 else ("a>b~c", (*front, behind))
    if sum(map(len, steps)) < 2:
        return None
    if len(steps) > 2 and len(steps[0]) == len(steps[1]) == 1:
        return "a>b>c", (steps[0][0], steps[1][0], steps[2][0])
    first, *rest = steps
    if not rest:
        return "a+b", (first[0], first[1])
    if len(first) == 2:
        return "a+b>c", (first[0], first[1], rest[0][0])
    return ("a>b+c", (first[0], *rest[0])) if len(rest[0]) == 2 else ("a>b", (first[0], rest[0][0]))


def _background(sounds: Sequence[Sequence[Span]]) -> int | None:
    """Return the sound that covers nearly everything and has each other one, much shorter, within it."""
    if len(sounds) < 2:
        return None
    longest = max(range(len(sounds)), key=lambda i: (length(sounds[i]), -i))
    rest = [sound for i, sound in enumerate(sounds) if i != longest]
    whole = max(sound[-1][1] for sound in sounds) - min(sound[0][0] for sound in sounds)
    own = length(sounds[longest])
    inside = all(length(s) < 0.5 * own and overlap(s, sounds[longest]) >= 0.9 * length(s) for s in rest)
    return longest if own >= BACKGROUND * whole and inside else None
