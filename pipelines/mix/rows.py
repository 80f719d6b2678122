"""The rows of a plan: mixtures get their words and become an arrow table, any stretch of numbers alone or together with others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.mix.block import POLICIES, REASONS, SAME_CLASS, ZERO_TARGET, Dealer, Mixtures, bare
from pipelines.mix.catalogue import Pool
from pipelines.mix.draws import Purpose, uniform
from pipelines.mix.placing import INTERFERER, ROLES, TARGET, Levels, against_targets
from pipelines.mix.words import DRAWS, Asked, Lying, Wordings, asked
from schemas import tables
from schemas.ids import digest
from schemas.tables.mixtures import SOURCE

ROWS = 65_536
"""Rows that are made of arrays at once: words and lists take most of the room."""

NO_WORDS = Asked("", "", None, "", "", "")
"""Words of a mixture that is refused."""


def plan_range(dealer: Dealer, patterns: Wordings, sample_rate: int, first: int, last: int) -> pa.Table:
    """Return the rows of ``plan`` with the numbers in [first, last): the same, whatever else is asked for.

    Args:
        dealer: of the set and split.
        patterns: wordings of the set's instructions.
        sample_rate: samples per second.
        first: at least 0.
        last: at most the number of mixtures.
    """
    pieces = list(pieces_of(dealer, patterns, sample_rate, first, last))
    return pa.concat_tables(pieces).combine_chunks() if pieces else tables.schema("plan").empty_table()


def pieces_of(dealer: Dealer, patterns: Wordings, sample_rate: int, first: int, last: int) -> Iterator[pa.Table]:
    """Yield the rows of :func:`plan_range` some thousands at a time."""
    for number in range(first // dealer.size, -(-last // dealer.size)):
        block, begin = dealer.block(number), number * dealer.size
        stop = min(last - begin, len(block))
        for cut in range(max(0, first - begin), stop, ROWS):
            piece = block.cut(cut, min(cut + ROWS, stop))
            yield _table(dealer, *worded(dealer.pool, piece, patterns, sample_rate), sample_rate)


def worded(
    pool: Pool, mixtures: Mixtures, patterns: Wordings, sample_rate: int
) -> tuple[Mixtures, list[str | None], list[Asked]]:
    """Return the mixtures, why each is refused, and its words; one that cannot be asked for is refused, and has no sources any more."""
    spoken, words = pool.catalogue.spoken, pool.set.words
    own = mixtures.seeds.astype(np.uint64)
    draws = np.column_stack([uniform(own, Purpose.WORDS, each) for each in range(DRAWS)])
    targets = (mixtures.roles == TARGET).sum(axis=1)
    ends = targets + (mixtures.roles == INTERFERER).sum(axis=1)
    zero = mixtures.policy == ZERO_TARGET
    same = (mixtures.policy == SAME_CLASS).tolist()
    # With zero_target the clip that the words are of stands before the sources, where a target would.
    named = mixtures.sources.copy()
    named[zero, 0] = mixtures.turn[zero]
    targets, ends = targets + zero, ends + zero
    needs = ((draws[:, 3] < words.relative) | same) & ~zero & (mixtures.refused == 0)
    lying = dict(_lying(pool, mixtures, np.flatnonzero(needs), ends, sample_rate))
    reasons = [REASONS[code] for code in mixtures.refused.tolist()]
    made: list[Asked] = []
    for row, (numbers, sources, last_target, end) in enumerate(
        zip(draws.tolist(), named.tolist(), targets.tolist(), ends.tolist(), strict=True)
    ):
        if reasons[row] is not None:
            made.append(NO_WORDS)
            continue
        who = [spoken[source] for source in sources[:end]]
        told = asked(numbers, words, patterns, who[:last_target], who[last_target:], lying.get(row), same[row])
        if isinstance(told, str):
            reasons[row] = told
            told = NO_WORDS
        made.append(told)
    out = np.array([reason is not None for reason in reasons], np.bool_)
    return bare(replace(mixtures, refused=out.astype(np.int64))), reasons, made


def _lying(
    pool: Pool, mixtures: Mixtures, rows: NDArray[np.int64], ends: NDArray[np.int64], rate: int
) -> Iterator[tuple[int, list[Lying]]]:
    """Yield for each of ``rows`` where and how loud its targets and interferers are, as far as it is known."""
    if not len(rows):
        return
    roles = mixtures.roles[rows]
    levels = against_targets(pool.set, Levels(mixtures.snr_db[rows], mixtures.level_db[rows]), roles)
    sources, start = mixtures.sources[rows], mixtures.start[rows]
    at, length = mixtures.at[rows], mixtures.length[rows]
    onset = pool.catalogue.onset_s[sources] - start / rate
    # A loop that does not begin with the clip may sound before its first event does.
    onset[(start > 0) & (start + length > pool.catalogue.samples[sources])] = np.nan
    columns = (each.tolist() for each in (at / rate, length / rate, onset, levels))
    for row, end, *parts in zip(rows.tolist(), ends[rows].tolist(), *columns, strict=True):
        yield row, [Lying(a, s, _known(o), _known(db)) for a, s, o, db in list(zip(*parts, strict=True))[:end]]


def _known(value: float) -> float | None:
    return None if value != value else value


def _table(
    dealer: Dealer, mixtures: Mixtures, reasons: Sequence[str | None], words: Sequence[Asked], sample_rate: int
) -> pa.Table:
    """Return the rows as a table."""
    pool, ids = dealer.pool, dealer.pool.catalogue.ids
    count, seed = len(mixtures), str(pool.seed)
    names = [f"mix-{digest('mixture', seed, str(number)).hex()[:16]}" for number in mixtures.numbers.tolist()]
    columns = {
        "mixture_id": pa.array(names, pa.string()),
        "set": _same(pool.set.name, count),
        "split": _same(pool.split, count),
        "policy": pa.array(POLICIES, pa.string()).take(pa.array(mixtures.policy)),
        "target_clip_id": ids.take(pa.array(mixtures.turn)),
        "target_clip_ids": _lists(mixtures.roles == TARGET, mixtures.sources, ids),
        "interferer_clip_ids": _lists(mixtures.roles == INTERFERER, mixtures.sources, ids),
        "number": pa.array(mixtures.numbers),
        "refused": pa.array(reasons, pa.string()),
        "snr_db": _numbers(mixtures.snr_db),
        "length": pa.array(np.full(count, dealer.total)),
        "sample_rate": pa.array(np.full(count, sample_rate)),
        "sources": _sources(pool, mixtures),
        "seed": pa.array(mixtures.seeds),
    }
    columns |= {
        name: pa.array(texts, pa.string()) for name, texts in zip(Asked._fields, zip(*words, strict=True), strict=True)
    }
    schema = tables.schema("plan")
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _sources(pool: Pool, mixtures: Mixtures) -> pa.ListArray:
    there = mixtures.roles >= 0
    rooms = mixtures.rooms[there]
    parts = {
        "role": pa.array(ROLES, pa.string()).take(pa.array(mixtures.roles[there])),
        "clip_id": pool.catalogue.ids.take(pa.array(mixtures.sources[there])),
        "start": pa.array(mixtures.start[there]),
        "at": pa.array(mixtures.at[there]),
        "length": pa.array(mixtures.length[there]),
        "level_db": _numbers(mixtures.level_db[there]),
        "rir": pa.array(pool.rooms, pa.string()).take(pa.array(rooms, mask=rooms < 0)),
    }
    structs = pa.StructArray.from_arrays([parts[field.name] for field in SOURCE], fields=list(SOURCE))
    return pa.ListArray.from_arrays(_ends(there), structs)


def _lists(there: NDArray[np.bool_], sources: NDArray[np.int64], ids: pa.StringArray) -> pa.ListArray:
    return pa.ListArray.from_arrays(_ends(there), ids.take(pa.array(sources[there])))


def _ends(there: NDArray[np.bool_]) -> pa.Int32Array:
    return pa.array(np.concatenate([[0], np.cumsum(there.sum(axis=1))]), pa.int32())


def _numbers(values: NDArray[np.float64]) -> pa.DoubleArray:
    return pa.array(values, mask=np.isnan(values))


def _same(text: str, count: int) -> pa.StringArray:
    return pa.array([text], pa.string()).take(pa.array(np.zeros(count, np.int64)))
