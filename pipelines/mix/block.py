"""The mixtures of consecutive numbers as arrays: drawn, paired, laid and levelled, all but their words."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipelines.mix.candidates import Candidates
from pipelines.mix.catalogue import Pool
from pipelines.mix.cooccur import together, united
from pipelines.mix.draws import Purpose, below, bits, permutation, row_seeds
from pipelines.mix.pairing import Block
from pipelines.mix.placing import BACKGROUND, INTERFERER, NONE, TARGET, levels, placed
from pipelines.mix.quotas import Ints, largest_remainder
from schemas.mixing import Policy
from schemas.ontology import default_ontology

LEAST = 8192
"""Mixtures that are dealt together at least, where there are so many: whole turns of the pool."""

POLICIES: tuple[Policy, ...] = ("disjoint", "plausible", "same_class", "zero_target")
DISJOINT, PLAUSIBLE, SAME_CLASS, ZERO_TARGET = range(4)

REASONS = (
    None, "no_disjoint_partner", "no_plausible_partner", "no_same_class_partner", "no_background", "no_overlap_possible", "used_up",
)  # fmt: skip
"""Why a mixture cannot be had; each of the first four policies' partners in order of ``POLICIES`` from 1 on."""
NO_BACKGROUND, NO_OVERLAP, USED_UP = 4, 5, 6


@dataclass(frozen=True)
class Mixtures:
    """Mixtures as arrays: a row for each and, of what is said of sources, a column for each place.

    Attributes:
        numbers, seeds: shape (m,).
        policy: place in ``POLICIES``.
        refused: place in ``REASONS``.
        turn: row of the catalogue whose turn it is.
        sources: rows of the catalogue, shape (m, S); -1: none. Targets come first, the background in the last column.
        roles: ``TARGET``, ``INTERFERER``, ``BACKGROUND`` or ``NONE``.
        start, at, length: where each source lies, in samples.
        rooms: number of the impulse response; -1: none.
        snr_db: shape (m,), NaN: none. level_db: shape (m, S), likewise.
    """

    numbers: Ints
    seeds: Ints
    policy: Ints
    refused: Ints
    turn: Ints
    sources: Ints
    roles: Ints
    start: Ints
    at: Ints
    length: Ints
    rooms: Ints
    snr_db: NDArray[np.float64]
    level_db: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of mixtures."""
        return len(self.numbers)

    def cut(self, first: int, last: int) -> Mixtures:
        """Return some rows."""
        return replace(self, **{each.name: getattr(self, each.name)[first:last] for each in fields(self)})


@dataclass(frozen=True)
class Dealer:
    """What makes the mixtures of one pool, block by block; a block is a function of the pool and its number.

    Attributes:
        pool: the clips, the rules and the seed.
        total: samples of a mixture.
    """

    pool: Pool
    total: int

    @property
    def size(self) -> int:
        """Mixtures of a block: each clip of the pool may be an interferer equally often in it."""
        clips = len(self.pool.clips)
        return max(1, clips * -(-LEAST // max(1, clips)))

    def block(self, number: int) -> Mixtures:
        """Return the mixtures of one block."""
        pool, rules = self.pool, self.pool.set
        numbers = np.arange(number * self.size, min((number + 1) * self.size, len(pool)))
        seeds, turn = row_seeds(pool.seed, numbers), pool.targets[numbers]
        own = seeds.astype(np.uint64)
        policy = self._policies(len(numbers), number)
        zero = policy == ZERO_TARGET
        count = _between(rules.sources, own, Purpose.SOURCES)
        targets = np.where(zero, 0, _between(rules.targets, own, Purpose.TARGETS))
        # Words tell one source from others of its class, and not several.
        targets[policy == SAME_CLASS] = 1
        refused = np.where(numbers < pool.within, 0, USED_UP)
        paired = Block(
            pool.catalogue,
            seeds,
            turn,
            wanted=np.where(refused > 0, 0, count - 1 + zero),
            same=np.where(policy == SAME_CLASS, 1, 0),
            uploaders="uploader" in rules.apart,
            known=self._known if (policy == PLAUSIBLE).any() else None,
            plausible=policy == PLAUSIBLE,
            beds=self._beds if rules.background else None,
        )
        seed = int(bits(np.array([pool.seed], np.uint64), Purpose.ORDER, number)[0])
        found, whole = paired.fill(self._candidates, seed)
        refused[(refused == 0) & found & ~whole] = NO_BACKGROUND
        refused[~found] = np.where(zero, 1 + DISJOINT, 1 + policy)[~found]
        sources = paired.chosen.copy()
        sources[zero, 0] = -1
        sources[refused > 0] = -1
        roles = np.where(np.arange(sources.shape[1]) < targets[:, None], TARGET, INTERFERER)
        if rules.background:
            roles[:, -1] = BACKGROUND
        roles[sources < 0] = NONE
        lying = placed(rules, seeds, roles, pool.catalogue.samples[sources], self.total)
        refused[(refused == 0) & ~lying.possible] = NO_OVERLAP
        asked = levels(rules, seeds, roles)
        made = Mixtures(
            numbers, seeds, policy, refused, turn, sources, roles, *lying[:3], self._rooms(own, roles), *asked
        )
        return bare(made)

    def _policies(self, count: int, number: int) -> Ints:
        """Return the policy of each mixture of a block: the shares are exact in each but for what does not divide."""
        shares = self.pool.set.policies
        names = [POLICIES.index(name) for name in shares]
        made = np.zeros(count, np.int64)
        order = permutation(self.pool.seed, count, Purpose.POLICY, number) if len(names) > 1 else np.arange(count)
        made[order] = np.repeat(names, largest_remainder(list(shares.values()), count))
        return made

    def _rooms(self, own: NDArray[np.uint64], roles: Ints) -> Ints:
        """Draw the room that each source is heard in; the background brings its own."""
        made = np.full(roles.shape, -1, np.int64)
        if self.pool.rooms:
            for slot in range(roles.shape[1]):
                drawn = below(len(self.pool.rooms), own, Purpose.ROOM, slot)
                heard = (roles[:, slot] == TARGET) | (roles[:, slot] == INTERFERER)
                made[heard, slot] = drawn[heard]
        return made

    @cached_property
    def _candidates(self) -> Candidates:
        return Candidates(self.pool.catalogue, self.pool.clips)

    @cached_property
    def _beds(self) -> Candidates:
        return Candidates(self.pool.catalogue, self.pool.beds)

    @cached_property
    def _known(self) -> NDArray[np.uint64]:
        catalogue = self.pool.catalogue
        return united(catalogue.own, together(catalogue.class_ids, ~catalogue.inferred, default_ontology()))


def bare(mixtures: Mixtures) -> Mixtures:
    """Return mixtures of which those that are refused have no sources and no levels."""
    out = mixtures.refused > 0
    if not out.any():
        return mixtures
    sources, roles = mixtures.sources.copy(), mixtures.roles.copy()
    snr_db, level_db = mixtures.snr_db.copy(), mixtures.level_db.copy()
    sources[out], roles[out], snr_db[out], level_db[out] = -1, NONE, np.nan, np.nan
    return replace(mixtures, sources=sources, roles=roles, snr_db=snr_db, level_db=level_db)


def _between(bounds: tuple[int, int], own: NDArray[np.uint64], purpose: Purpose) -> Ints:
    return bounds[0] + below(bounds[1] - bounds[0] + 1, own, purpose)
