"""Where the sources of mixtures lie and how loud they are asked to be, for many mixtures at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.mix.draws import Purpose, below, uniform
from pipelines.mix.quotas import Ints
from schemas.mixing import Level, MixtureSet

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

TARGET, INTERFERER, BACKGROUND = 0, 1, 2
ROLES = ("target", "interferer", "background")
NONE = -1
"""Role of a place where there is no source."""

PLACINGS = 32
"""Times that sources are laid anew until they overlap as asked, before they are laid so on purpose."""


class Placed(NamedTuple):
    """Where sources lie, in samples, shape (m, S) each, and whether each mixture has the overlap that is asked for, shape (m,)."""

    start: Ints
    at: Ints
    length: Ints
    possible: Flags


def placed(rules: MixtureSet, seeds: Ints, roles: Ints, samples: Ints, total: int) -> Placed:
    """Lay sources into mixtures.

    A longer clip is cropped. A shorter one is padded, or looped from its beginning; a background is always looped, so that it lies under
    the whole mixture. Where the overlap is not as asked, padded sources are laid anew, and at last on purpose: then the shortest is
    slid along the others, which all end with the mixture. Without a drawn offset nothing is laid anew.

    Args:
        rules: the set.
        seeds: of each mixture, shape (m,).
        roles: of each source, shape (m, S); ``NONE``: there is none.
        samples: of each clip, likewise, at least 1.
        total: samples of a mixture.
    """
    own = seeds.astype(np.uint64)
    looped = (roles == BACKGROUND) | (rules.short == "loop")
    length = np.where(looped, total, np.minimum(samples, total))
    start, at = np.zeros_like(length), np.zeros_like(length)
    for slot in range(roles.shape[1]):
        # A loop may begin anywhere; a crop may end at the clip's last sample.
        room = np.where(samples[:, slot] >= total, samples[:, slot] - total + 1, 1)
        room = np.where(looped[:, slot] & (samples[:, slot] < total), samples[:, slot], room)
        if rules.crop == "random":
            start[:, slot] = below(room, own, Purpose.START, slot)
        elif rules.crop == "centre":
            start[:, slot] = np.maximum(samples[:, slot] - total, 0) // 2
    sounding = (roles == TARGET) | (roles == INTERFERER)
    at = _offsets(rules, own, length, total, 0)
    good = overlapping(rules.overlap, sounding, at, length)
    if rules.offset == "random":
        for attempt in range(1, PLACINGS):
            rows = np.flatnonzero(~good)
            if not len(rows):
                break
            at[rows] = _offsets(rules, own[rows], length[rows], total, attempt)
            good[rows] = overlapping(rules.overlap, sounding[rows], at[rows], length[rows])
        for row in np.flatnonzero(~good).tolist():
            draw = float(uniform(own[row : row + 1], Purpose.OVERLAP)[0])
            laid = _on_purpose(rules.overlap, draw, length[row, sounding[row]].tolist(), total)
            if laid is not None:
                at[row, sounding[row]] = laid
                good[row] = True
    return Placed(start, at, length, good)


def overlap(sounding: Flags, at: Ints, length: Ints) -> Floats:
    """Return the share of the shortest source (the first of them) that lies together with another, in [0, 1], shape (m,)."""
    rows = np.arange(len(at))
    shortest = np.argmin(np.where(sounding, length, np.iinfo(np.int64).max), axis=1)
    low, size = at[rows, shortest], length[rows, shortest]
    others = sounding.copy()
    others[rows, shortest] = False
    begin = np.clip(at - low[:, None], 0, size[:, None])
    end = np.where(others, np.clip(at + length - low[:, None], 0, size[:, None]), 0)
    begin = np.where(others, begin, 0)
    # The union of the others within the shortest: in order of their beginnings, what each adds beyond those before it.
    order = np.argsort(begin, axis=1, kind="stable")
    begin, end = np.take_along_axis(begin, order, 1), np.take_along_axis(end, order, 1)
    reach, covered = np.zeros_like(size), np.zeros_like(size)
    for slot in range(at.shape[1]):
        covered += np.maximum(end[:, slot] - np.maximum(begin[:, slot], reach), 0)
        reach = np.maximum(reach, end[:, slot])
    return covered / np.maximum(size, 1)


def overlapping(bounds: tuple[float, float], sounding: Flags, at: Ints, length: Ints) -> Flags:
    """Say of each mixture whether its overlap is within the bounds; a source that is alone overlaps with nothing and is."""
    share = overlap(sounding, at, length)
    return ((share >= bounds[0] - 1e-9) & (share <= bounds[1] + 1e-9)) | (sounding.sum(axis=1) < 2)


def _offsets(rules: MixtureSet, own: NDArray[np.uint64], length: Ints, total: int, attempt: int) -> Ints:
    """Return where each source is laid."""
    at = np.zeros_like(length)
    if rules.offset == "random":
        for slot in range(length.shape[1]):
            at[:, slot] = below(total - length[:, slot] + 1, own, Purpose.AT, slot, attempt)
    return at


def _on_purpose(bounds: tuple[float, float], draw: float, lengths: list[int], total: int) -> list[int] | None:
    """Return where sources are laid so that the overlap is within the bounds; None: it cannot be.

    All others end where the mixture ends, so that the longest of them covers the rest; the shortest slides from the beginning, where the
    overlap is least, to where it is covered whole: every overlap that can be had is had in between.
    """
    shortest = lengths.index(min(lengths))
    size, longest = lengths[shortest], max(lengths[:shortest] + lengths[shortest + 1 :])
    least = max(0, size + longest - total, math.ceil(bounds[0] * size - 1e-9))
    most = min(size, math.floor(bounds[1] * size + 1e-9))
    if least > most:
        return None
    wanted = least + int(draw * (most - least + 1))
    laid = [total - length for length in lengths]
    laid[shortest] = max(0, total - longest - size + wanted) if wanted else 0
    return laid


class Levels(NamedTuple):
    """Asked levels in dB: of each mixture, shape (m,), and of each source, shape (m, S); NaN where the rule asks for none."""

    snr_db: Floats
    level_db: Floats


def levels(rules: MixtureSet, seeds: Ints, roles: Ints) -> Levels:
    """Draw levels by the set's rule; see ``Level`` for the rules and ``plan.sources`` for what each number means.

    With several targets each of them has a level of its own where the rule gives sources one; a ratio is of all together. Where no target
    sounds, the first interferer is what the others are held against, and keeps its level where the rule is of ratios.

    Args:
        rules: the set.
        seeds: of each mixture, shape (m,).
        roles: of each source, shape (m, S).
    """
    level, own = rules.level, seeds.astype(np.uint64)
    snr = np.full(len(seeds), np.nan)
    each = np.full(roles.shape, np.nan)
    if level.rule in ("snr", "peak_snr", "rms_match"):
        snr = _drawn(level, level.range, uniform(own, Purpose.LEVEL, 0))
        snr = (
            0.0 - snr if level.rule == "rms_match" else snr
        )  # what is drawn there is a gain on the interferers; none is -0.0
    interferers = roles == INTERFERER
    moved = interferers & ((roles == TARGET).any(axis=1)[:, None] | (np.cumsum(interferers, axis=1) > 1))
    for slot in range(roles.shape[1]):
        draws, role = uniform(own, Purpose.LEVEL, 1 + slot), roles[:, slot]
        values = _drawn(level, level.range, draws)
        if level.rule in ("energy_ratio", "rms_match"):
            each[:, slot] = np.where(moved[:, slot], values, np.nan)
        elif level.rule == "lufs":
            each[:, slot] = np.where(role >= 0, values, np.nan)
        elif level.rule == "gain":
            # Of the scalar function: numpy's differs between CPUs in the last bit.
            in_db = np.array([20.0 * math.log10(value) for value in values.tolist()])
            each[:, slot] = np.where(role >= 0, in_db, np.nan)
        elif level.rule == "over_background":
            of_interferers = _drawn(level, level.interferers, draws)
            each[:, slot] = np.select([role == TARGET, role == INTERFERER], [values, of_interferers], np.nan)
        if rules.background:
            bed = np.zeros_like(draws)
            if level.rule != "over_background":
                bed = _between(rules.background.level_db, draws)
            each[:, slot] = np.where(role == BACKGROUND, bed, each[:, slot])
    return Levels(snr, each)


def _drawn(level: Level, bounds: tuple[float, float], draws: Floats) -> Floats:
    """Return numbers that are uniform between the bounds; whole ones, both ends included, where the rule says so."""
    if not level.whole:
        return _between(bounds, draws)
    low, high = math.ceil(bounds[0]), math.floor(bounds[1])
    return low + np.floor(draws * (high - low + 1))


def _between(bounds: tuple[float, float], draws: Floats) -> Floats:
    return bounds[0] + draws * (bounds[1] - bounds[0])


def against_targets(rules: MixtureSet, asked: Levels, roles: Ints) -> Floats:
    """Return how loud each source is known to be, in dB against one reference per mixture, shape (m, S); NaN: not known.

    Ratios of energies are taken for levels. Where several interferers are brought to a ratio together, their own levels are unknown; with
    drawn gains those of all sources are, for the clips' own are.
    """
    rule, known = rules.level.rule, np.full(roles.shape, np.nan)
    target, interferer = roles == TARGET, roles == INTERFERER
    alone = (target.sum(axis=1) == 1) & (interferer.sum(axis=1) == 1)
    if rule in ("snr", "peak_snr", "rms_match"):
        # With `rms_match` too: after the last match of all, an interferer that is alone stands where the second gain puts it.
        known = np.where(alone[:, None] & interferer, (-asked.snr_db)[:, None], known)
        known = np.where(alone[:, None] & target, 0.0, known)
    elif rule == "energy_ratio":
        known = np.where(interferer, -asked.level_db, known)
        known = np.where(target & (target.sum(axis=1) == 1)[:, None], 0.0, known)
    elif rule in ("lufs", "over_background"):
        known = np.where(target | interferer, asked.level_db, known)
    return known
