"""How loud each source is to be: the level rules of the published protocols, as linear gains on the stored samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipelines.mix.loudness import Power, amplitude, decibels, lufs, power
from pipelines.mix.remix import scaled
from schemas.mixing import Level

FULL_SCALE = 32767
"""Largest magnitude of a 16-bit sample."""

RATIO = (0.02, 50.0)
"""Bounds of the ratio of two RMS by which AudioSep matches them."""


class CannotMix(ValueError):
    """The levels cannot be had: a source is silent where it is used, has no loudness, or vanishes in rounding."""


@dataclass(frozen=True)
class Heard:
    """The sources of a mixture as they lie in it.

    Attributes:
        stems: int16, shape (n,) each.
        roles: ``target``, ``interferer`` or ``background`` of each.
        rate: samples per second.
        level: the rule, and what energy it is of.
        powers: of each stem; none is silent.
    """

    stems: Sequence[NDArray[np.int16]]
    roles: Sequence[str]
    rate: int
    level: Level
    powers: Sequence[Power]

    def scaled(self, gains: Sequence[float]) -> Heard:
        """Return the sources at their gains, rounded. Raises CannotMix where nothing is left of one."""
        stems = [scaled(stem, gain) for stem, gain in zip(self.stems, gains, strict=True)]
        powers = [
            known if after is before else power(after, self.rate)
            for known, before, after in zip(self.powers, self.stems, stems, strict=True)
        ]
        if not all(each.total for each in powers):
            raise CannotMix("a source is so quiet at this level that it vanishes in 16 bits")
        return Heard(stems, self.roles, self.rate, self.level, powers)

    @cached_property
    def reference(self) -> list[int]:
        """What the others are measured against: the targets; where there is none, the first interferer."""
        targets = [i for i, role in enumerate(self.roles) if role == "target"]
        return targets or [self.roles.index("interferer")]

    @cached_property
    def others(self) -> list[int]:
        """The interferers that are measured against it."""
        return [i for i, role in enumerate(self.roles) if role == "interferer" and i not in self.reference]

    @cached_property
    def background(self) -> list[int]:
        """The bed, if there is one."""
        return [i for i, role in enumerate(self.roles) if role == "background"]

    def energy(self, which: Sequence[int], gains: Sequence[float]) -> float:
        """Return the mean square of the sum of some sources at their gains, as the rule measures energy.

        The sum of several is rounded to whole numbers first, whose energy is the same on every processor.
        """
        if len(which) == 1:
            return self.powers[which[0]].by(self.level.energy) * gains[which[0]] ** 2
        wide = np.zeros(len(self.stems[0]), np.float32)
        for i in which:
            wide += self.stems[i] * np.float32(gains[i])
        found = power(np.rint(wide).astype(np.int32), self.rate).by(self.level.energy)
        if not found:
            raise CannotMix("sources of one side cancel each other")
        return found


def hear(stems: Sequence[NDArray[np.int16]], roles: Sequence[str], rate: int, level: Level) -> Heard:
    """Measure the sources of a mixture. Raises CannotMix where one is silent."""
    powers = [power(stem, rate) for stem in stems]
    for each, role in zip(powers, roles, strict=True):
        if not each.total:
            raise CannotMix(f"the {role} is silent where it is used")
    return Heard(stems, roles, rate, level, powers)


def gains_of(heard: Heard, level_db: Sequence[float | None], snr_db: float | None) -> list[float]:
    """Return the linear gain of each source before the peak rule.

    - ``snr``: the reference keeps its level; one gain on all interferers.
    - ``peak_snr``: each source is first brought to full scale (LASS-Net).
    - ``energy_ratio``: each interferer by itself (Hybrid-Sep).
    - ``rms_match``: each interferer is divided by its ratio of RMS to the target, within ``RATIO``, and moved by its
      ``level_db``; so is their sum, by minus ``snr_db`` (AudioSep).
    - ``gain``: ``level_db`` over the number of sources (CLIPSep).
    - ``lufs``: each source is brought to its ``level_db`` in LUFS.
    - ``over_background``: the background keeps its level; each source stands its ``level_db`` over it.

    Otherwise the background's ``level_db`` is of its energy against the reference's.

    Args:
        heard: the sources.
        level_db: of each source, in the sense of the rule; None: the rule asks for none.
        snr_db: of the rules ``snr``, ``peak_snr`` and ``rms_match``.

    Raises:
        CannotMix: a source has no loudness where that is asked for, or sources cancel each other.
    """
    rule, gains = heard.level.rule, [1.0] * len(heard.stems)
    sources = [i for i in range(len(gains)) if i not in heard.background]
    if rule == "over_background":
        bed = heard.energy(heard.background, gains)
        for i in sources:
            gains[i] = math.sqrt(bed / heard.energy([i], gains)) * amplitude(_asked(level_db[i]))
        return gains
    if rule == "gain":
        for i in sources:
            gains[i] = amplitude(_asked(level_db[i])) / len(sources)
    elif rule == "lufs":
        for i in sources:
            gains[i] = amplitude(_asked(level_db[i]) - _loudness(heard, i))
    elif rule == "energy_ratio":
        _each(heard, gains, [None if x is None else -x for x in level_db])
    elif rule == "rms_match":
        _matched(heard, gains, level_db, -_asked(snr_db) if heard.others else 0.0)
    else:
        if rule == "peak_snr":
            for i in sources:
                gains[i] = FULL_SCALE / loudest(heard.stems[i])
        _together(heard, gains, _asked(snr_db) if heard.others else 0.0)
    for i in heard.background:
        bed = heard.energy(heard.reference, gains) / heard.energy([i], gains)
        gains[i] = math.sqrt(bed) * amplitude(_asked(level_db[i]))
    return gains


def achieved(heard: Heard, final: Heard) -> list[float | None]:
    """Return what each source's level came to in the stems as they are stored, in dB.

    With ``gain``: the gain times the number of sources; ``lufs``: LUFS, None under -70; ``over_background``: over the background;
    ``energy_ratio``, of interferers: the reference's energy over theirs; else, and of the background: their
    energy over the reference's.

    Args:
        heard: the sources before any gain.
        final: the same with all gains.
    """
    rule, energy, even = heard.level.rule, heard.level.energy, [1.0] * len(heard.stems)
    if rule == "over_background":
        bed = final.energy(final.background, even)
        return [decibels(each.by(energy) / bed) for each in final.powers]
    reference, count, out = final.energy(final.reference, even), len(even) - len(heard.background), []
    for i, (before, after) in enumerate(zip(heard.powers, final.powers, strict=True)):
        found: float | None = decibels(after.by(energy) / reference)
        if i not in heard.background and rule == "gain":
            found = decibels(after.total / before.total) + 2 * decibels(count)
        elif i not in heard.background and rule == "lufs":
            found = lufs(final.stems[i], heard.rate)
        elif i in heard.others and rule == "energy_ratio":
            found = decibels(reference / after.by(energy))
        out.append(found)
    return out


def achieved_ratio(final: Heard) -> float | None:
    """Return what the targets came to over all interferers in the stems as they are stored, in dB; None: there is no target."""
    if "target" not in final.roles:
        return None
    even = [1.0] * len(final.stems)
    return decibels(final.energy(final.reference, even) / final.energy(final.others, even))


def loudest(samples: NDArray[np.int16] | NDArray[np.float32]) -> float:
    """Return the largest magnitude."""
    return max(float(samples.max()), -float(samples.min()))


def _together(heard: Heard, gains: list[float], snr_db: float) -> None:
    """Bring the interferers as a whole under the reference."""
    if heard.others:
        ratio = heard.energy(heard.reference, gains) / heard.energy(heard.others, gains)
        _by(gains, heard.others, math.sqrt(ratio) * amplitude(-snr_db))


def _each(heard: Heard, gains: list[float], level_db: Sequence[float | None]) -> None:
    """Bring each interferer to its level against the reference."""
    wanted = heard.energy(heard.reference, gains)
    for i in heard.others:
        gains[i] = math.sqrt(wanted / heard.energy([i], gains)) * amplitude(_asked(level_db[i]))


def _matched(heard: Heard, gains: list[float], level_db: Sequence[float | None], gain_db: float) -> None:
    """Match each interferer's RMS to the reference's and move it; then their sum, once more."""
    wanted = heard.energy(heard.reference, gains)
    for i in heard.others:
        gains[i] = amplitude(_asked(level_db[i])) / _ratio(heard.energy([i], gains), wanted)
    if heard.others:
        _by(gains, heard.others, amplitude(gain_db) / _ratio(heard.energy(heard.others, gains), wanted))


def _ratio(energy: float, reference: float) -> float:
    return min(max(math.sqrt(energy / reference), RATIO[0]), RATIO[1])


def _by(gains: list[float], which: Sequence[int], gain: float) -> None:
    for i in which:
        gains[i] *= gain


def _loudness(heard: Heard, number: int) -> float:
    found = lufs(heard.stems[number], heard.rate)
    if found is None:
        raise CannotMix(f"the {heard.roles[number]} is too quiet to have a loudness")
    return found


def _asked(level: float | None) -> float:
    """Return a level that the plan must hold under its rule; a plan without it is a bug, not a record's fault."""
    if level is None:
        raise ValueError("the plan asks for no level where its rule needs one")
    return level
