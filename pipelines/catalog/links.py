"""Links between recordings of other names: equal samples, and clips that sound the same (a blocking join on landmarks)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import AsSingleton, PCollection
from numpy.typing import NDArray

from pipelines.catalog.members import Piece, Row
from pipelines.identity.near import NEAR_SHARED, NEXT, REPEATS, Landmarks, score

BLOCKS = 16
"""Blocks of landmarks by hash, and of votes by clip: each is joined by itself, in arrays."""
_MOST = 1 << 22
"""Clips must be fewer, for two of their numbers and an offset share 64 bits."""

Key = tuple[str, str]
"""A clip and its run."""
Print = tuple[Key, str, Landmarks]
"""A clip, its recording, and its landmarks."""
Block = tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]
"""Of landmarks the hash, the number of the clip, and the time, equally long."""
Votes = NDArray[np.int64]
"""Per pair of landmarks of one hash: the number of the first clip, that of the second, and their offset plus 2^17."""


def add_links(pieces: PCollection[Piece]) -> PCollection[Row]:
    """Return the rows of ``near_duplicates``."""
    equal = (
        pieces
        | "samples" >> beam.FlatMap(lambda piece: piece.samples())
        | "clips of samples" >> beam.GroupByKey()
        | "equal samples" >> beam.FlatMapTuple(equal_rows)
    )
    rows = (equal, _alike(pieces)) | "equal and alike" >> beam.Flatten()
    return (
        rows
        | "pair of recordings" >> beam.Map(lambda row: ((row["recording_a"], row["recording_b"]), row))
        | "links of pair" >> beam.GroupByKey()
        | "best link" >> beam.MapTuple(best_row)
    )


def _alike(pieces: PCollection[Piece]) -> PCollection[Row]:
    prints = pieces | "fingerprints" >> beam.FlatMap(lambda piece: piece.fingerprints())
    numbers = (
        prints
        | "clips" >> beam.Map(lambda each: each[0])
        | "all clips" >> beam.combiners.ToList()
        | "numbers" >> beam.Map(numbered)
    )
    candidates = (
        prints
        | "some clips" >> beam.BatchElements(64, 1024)
        | "landmarks by hash" >> beam.FlatMap(blocks, AsSingleton(numbers))
        | "landmarks of block" >> beam.GroupByKey()
        | "votes by clip" >> beam.FlatMapTuple(votes)
        | "votes of clips" >> beam.GroupByKey()
        | "candidates" >> beam.FlatMapTuple(agreeing)
    )
    named = prints | "number of clip" >> beam.Map(lambda each, of: (of[each[0]], each), AsSingleton(numbers))
    wanted = candidates | "both clips" >> beam.FlatMap(lambda pair: [(pair[0], pair), (pair[1], pair)])
    return (
        {"prints": named, "pairs": wanted}
        | "prints and pairs" >> beam.CoGroupByKey()
        | "print per pair"
        >> beam.FlatMapTuple(lambda _, of: [(pair, each) for each in of["prints"] for pair in of["pairs"]])
        | "prints of pair" >> beam.GroupByKey()
        | "scored" >> beam.FlatMapTuple(alike_rows)
    )


def equal_rows(_: str, clips: Iterable[tuple[str, str]]) -> list[Row]:
    """Return the links of the recordings that have a clip of equal samples, given (recording, clip): each to the least."""
    first: dict[str, str] = {}
    for recording, clip in sorted(clips):
        first.setdefault(recording, clip)
    (least, least_clip), *others = first.items()
    return [_link(least, recording, "audio", 1.0, least_clip, clip) for recording, clip in others]


def alike_rows(_: tuple[int, int], prints: Iterable[Print]) -> list[Row]:
    """Return the link of two clips' recordings, if these are two and the clips sound the same."""
    (key_a, recording_a, a), (key_b, recording_b, b) = sorted(prints, key=lambda each: (each[1], each[0]))
    match = score(a, b)
    if recording_a == recording_b or not match.near:
        return []
    return [_link(recording_a, recording_b, "fingerprint", match.score, key_a[0], key_b[0])]


def best_row(_: tuple[str, str], links: Iterable[Row]) -> Row:
    """Return the surest of the links between two recordings."""
    return min(links, key=lambda row: (row["by"], -row["score"], row["clip_a"], row["clip_b"]))


def numbered(clips: Iterable[Key]) -> dict[Key, int]:
    """Return the place of each clip in order of names.

    Raises:
        ValueError: there are 2^22 clips or more.
    """
    ordered = sorted(clips)
    if len(ordered) >= _MOST:
        raise ValueError(f"{len(ordered):,} clips have fingerprints; a catalogue compares fewer than {_MOST:,} at once")
    return {clip: number for number, clip in enumerate(ordered)}


def blocks(prints: Sequence[Print], numbers: dict[Key, int]) -> Iterator[tuple[int, Block]]:
    """Yield the landmarks of several clips, by block of their hash."""
    hashes = np.concatenate([hashes for _, _, (hashes, _) in prints])
    times = np.concatenate([times for _, _, (_, times) in prints]).astype(np.int64)
    lengths = [len(hashes) for _, _, (hashes, _) in prints]
    clips = np.repeat(np.array([numbers[key] for key, _, _ in prints], np.int64), lengths)
    for block in range(BLOCKS):
        here = hashes % BLOCKS == block
        if here.any():
            yield block, (hashes[here], clips[here], times[here])


def votes(_: int, parts: Iterable[Block]) -> Iterator[tuple[int, Votes]]:
    """Yield the votes of the landmarks of one block, by block of the first clip.

    Each landmark is compared with the next `NEXT` of its hash in other clips, in order of clip: all pairs of a hash
    that stands in very many clips would be the square of their number.
    """
    hashes, clips, times = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((times, clips, hashes))
    hashes, clips, times = hashes[order], clips[order], times[order]
    early = ~_same(hashes, clips, REPEATS)
    hashes, clips, times = hashes[early], clips[early], times[early]
    for step in range(1, min(NEXT, len(hashes) - 1) + 1):
        equal = hashes[step:] == hashes[:-step]
        if not equal.any():
            break
        one = np.flatnonzero(equal & (clips[step:] != clips[:-step]))
        two = one + step
        cast = (clips[one] << 41) | (clips[two] << 18) | (times[one] - times[two] + (1 << 17))
        for block in np.unique(clips[one] % BLOCKS).tolist():
            yield block, cast[clips[one] % BLOCKS == block]


def _same(hashes: NDArray[np.uint32], clips: NDArray[np.int64], back: int) -> NDArray[np.bool_]:
    """Say of each landmark whether the one so many places before it has its hash and its clip."""
    same = np.zeros(len(hashes), np.bool_)
    same[back:] = (hashes[back:] == hashes[:-back]) & (clips[back:] == clips[:-back])
    return same


def agreeing(_: int, parts: Iterable[Votes]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of clips with enough votes for one offset, or for two next to each other."""
    cast = np.sort(np.concatenate(list(parts)))
    last = cast[NEAR_SHARED - 1 :]
    enough = last - cast[: len(last)] <= 1
    for pair in np.unique(last[enough] >> 18).tolist():
        yield pair >> 23, pair & ((1 << 23) - 1)


def _link(recording_a: str, recording_b: str, by: str, sure: float, clip_a: str, clip_b: str) -> Row:
    return {
        "recording_a": recording_a,
        "recording_b": recording_b,
        "by": by,
        "score": sure,
        "clip_a": clip_a,
        "clip_b": clip_b,
    }
