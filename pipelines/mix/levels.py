"""The arithmetic of a mixture: stems in the stored integers, a mixture that is exactly their sum, one factor for what is too loud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.mix.gains import FULL_SCALE, Heard, achieved, achieved_ratio, gains_of, hear, loudest
from pipelines.mix.loudness import decibels, energy
from pipelines.mix.remix import added
from schemas.mixing import Level, Peak


@dataclass(frozen=True)
class Mixed:
    """A mixture in 16-bit integers, shape (n,) each; the residual is mixture minus target, exactly.

    Attributes:
        mixture: the sum of the stems.
        target: the sum of the targets' stems; zeros where there is none.
        stems: the sources at their gains, in the order that they were given.
        gains: linear gain of each, the peak rule's factor included.
        achieved_snr_db: targets over interferers in the integers, energy as the rule measures it; None: there is no target.
        input_sdr_db: target over residual energy of the integers, over all samples; None: likewise.
        achieved_db: what each source's level came to, see `pipelines.mix.gains.achieved`.
        turned_down_db: how far all were turned down because of the peak, at least 0.
        peak: largest magnitude of the mixture, full scale = 1.
    """

    mixture: NDArray[np.int16]
    target: NDArray[np.int16]
    stems: list[NDArray[np.int16]]
    gains: list[float]
    achieved_snr_db: float | None
    input_sdr_db: float | None
    achieved_db: list[float | None]
    turned_down_db: float
    peak: float

    @property
    def residual(self) -> NDArray[np.int16]:
        """What is left without the target."""
        return self.mixture - self.target


def mix(
    stems: Sequence[NDArray[np.int16]],
    roles: Sequence[str],
    level: Level,
    level_db: Sequence[float | None],
    snr_db: float | None,
    peak: Peak,
    rate: int,
) -> Mixed:
    """Mix sources by a level rule and a peak rule.

    Each stem is scaled, then rounded to integers, and only then are they added: so the stems sum to the mixture without any
    error, whatever the gains. A mixture above ``peak.above`` (or within one unit per source of it, which rounding could add)
    is turned down to ``peak.to`` with all its sources. So is one of which a stem, the target or the residual would
    not fit 16 bits though the mixture does, as where sources cancel each other, but only as far as these need.

    Args:
        stems: int16, shape (n,) each, as they lie in the mixture, without any gain.
        roles: ``target``, ``interferer`` or ``background`` of each; at least one of the first two.
        level: the rule, see `pipelines.mix.gains.gains_of`.
        level_db: asked level of each, in the sense of the rule.
        snr_db: asked ratio, where the rule asks for one.
        peak: the peak rule; 16 bits hold no more than full scale, whatever ``peak.above`` says.
        rate: samples per second.

    Raises:
        CannotMix: a source is silent where it is used, has no loudness, or is all zeros after rounding.
    """
    heard = hear(stems, roles, rate, level)
    wanted = gains_of(heard, level_db, snr_db)
    factor = _factor(heard, wanted, peak)
    gains = [gain * factor for gain in wanted]
    final, total = heard.scaled(gains), len(stems[0])
    mixture = added(final.stems, total)
    target = added((stem for stem, role in zip(final.stems, roles, strict=True) if role == "target"), total)
    return Mixed(
        mixture,
        target,
        list(final.stems),
        gains,
        achieved_ratio(final),
        _ratio_db(final, target, mixture),
        achieved(heard, final),
        max(0.0, -2 * decibels(factor)),
        loudest(mixture) / FULL_SCALE,
    )


def ratio_db(target: NDArray[np.int16], residual: NDArray[np.int16]) -> float | None:
    """Return 10 log10 of target over residual energy, over all samples, in dB; None where one of them is silent."""
    wanted, unwanted = energy(target), energy(residual)
    return decibels(wanted / unwanted) if wanted and unwanted else None


def _ratio_db(final: Heard, target: NDArray[np.int16], mixture: NDArray[np.int16]) -> float | None:
    """Return the same of a mixture; what is one stem was measured before."""
    if final.roles.count("target") == 1 and len(final.roles) == 2:
        wanted, unwanted = (final.powers[i].total for i in (final.reference[0], 1 - final.reference[0]))
        return decibels(wanted / unwanted)
    return ratio_db(target, mixture - target)


def _factor(heard: Heard, gains: Sequence[float], peak: Peak) -> float:
    """Return the factor in (0, 1] that brings a mixture under its peak, and its parts into 16 bits."""
    # A unit per source: rounding may lift each of them by half a unit.
    room = 1 + len(gains)
    above, to = (min(x, 1.0) * FULL_SCALE - room for x in (peak.above, peak.to))
    each = [gain * loudest(stem) for gain, stem in zip(gains, heard.stems, strict=True)]
    if sum(each) <= above:
        return 1.0
    targets, rest = (np.zeros(len(heard.stems[0]), np.float32) for _ in range(2))
    for gain, stem, role in zip(gains, heard.stems, heard.roles, strict=True):
        side = targets if role == "target" else rest
        side += stem * np.float32(gain)
    parts = max(*each, loudest(targets), loudest(rest))
    factor = min(1.0, (FULL_SCALE - room) / parts)
    highest = loudest(np.add(targets, rest, out=rest))
    return min(factor, to / highest) if highest > above else factor
