"""Groups of recordings over all corpora: who leaks into whom, and what is told of each recording."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.catalog.members import Row, Set, sets_of
from pipelines.identity.groups import PROTECTED, components, strictest


@dataclass(frozen=True)
class Group:
    """Members whose recordings are one, all of which are here.

    Attributes:
        group_id: the least of the recordings.
        members: rows of ``members``, with ``group_id`` and ``withheld``.
        listed: the blacklists that name a recording, by recording.
    """

    group_id: str
    members: list[Row]
    listed: dict[str, list[str]]


def group_of(links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the group of each recording that a link names; any other recording is a group of its own."""
    links = list(links)
    return components({recording for link in links for recording in link}, links)


def settle(group_id: str, members: Iterable[Row], listed: Iterable[tuple[str, str]]) -> Group:
    """Return a group of which each member knows whether it may be used.

    What its own run withholds stands in no split, so that it pulls nobody along; the rest may be used in the best
    protected split that one of them stands in.

    Args:
        group_id: the group.
        members: its members, in any order, with the reason of their own run in ``withheld``.
        listed: (recording, blacklist).
    """
    rows = list(members)
    splits = _splits(rows)
    home = strictest(splits) if splits else ""
    settled = []
    for row in rows:
        leaks = row["withheld"] or (f"leaks_into_{home}" if row["split"] != home else None)
        settled.append({**row, "group_id": group_id, "withheld": leaks, "own": row["withheld"]})
    by_recording: dict[str, set[str]] = {}
    for recording, blacklist in listed:
        by_recording.setdefault(recording, set()).add(blacklist)
    return Group(group_id, settled, {recording: sorted(names) for recording, names in by_recording.items()})


def by_recording(group: Group) -> dict[str, list[Row]]:
    """Return the members of each recording of a group."""
    found: dict[str, list[Row]] = {}
    for row in group.members:
        found.setdefault(row["recording_id"], []).append(row)
    return found


def group_row(group: Group) -> Row:
    """Return the row of ``groups``."""
    rows = group.members
    splits = _splits(rows, "own")
    return {
        "group_id": group.group_id,
        "recordings": sorted({row["recording_id"] for row in rows}),
        "datasets": sorted({row["dataset"] for row in rows}),
        "splits": sorted(splits),
        "split": strictest(splits or {row["split"] for row in rows}),
        "members": len(rows),
        "withheld": sum(row["withheld"] is not None for row in rows),
        "leaks": _leaks(splits),
    }


def recording_rows(group: Group) -> list[Row]:
    """Return the rows of ``recordings``."""
    return [_recording_row(group, recording, rows) for recording, rows in by_recording(group).items()]


def _recording_row(group: Group, recording_id: str, rows: list[Row]) -> Row:
    # Runs with another `audio.clip_s` may give one name to two lengths; the longer clip holds the shorter.
    seconds: dict[str, float] = {}
    for row in rows:
        if row["seconds"] is not None:
            seconds[row["member_id"]] = max(row["seconds"], seconds.get(row["member_id"], 0.0))
    splits = _splits(rows, "own")
    return {
        "recording_id": recording_id,
        "group_id": group.group_id,
        "datasets": sorted({row["dataset"] for row in rows}),
        "sets": sorted({f"{row['dataset']}/{row['published']}" for row in rows}),
        "splits": sorted(splits),
        "members": sorted({row["member_id"] for row in rows}),
        "seconds": math.fsum(seconds.values()) if seconds else None,
        "blacklists": group.listed.get(recording_id, []),
        "leaks": _leaks(splits),
    }


def listed_in(group: Group) -> list[tuple[tuple[str, Set], int]]:
    """Return how many recordings of a group each blacklist names, by blacklist and set, as far as it names any."""
    if not group.listed:  # as almost always
        return []
    named = Counter[tuple[str, Set]]()
    for recording, rows in by_recording(group).items():
        sets = {each for row in rows for each in sets_of(row)}
        named.update((blacklist, each) for blacklist in group.listed.get(recording, ()) for each in sets)
    return list(named.items())


def blacklist_row(key: tuple[str, Set], recordings: int, listed: int) -> Row:
    """Return the row of ``blacklists`` of a list and a set, from the recordings of the set and those that the list names."""
    blacklist, (dataset, published) = key
    return {
        "blacklist": blacklist,
        "dataset": dataset,
        "published": published,
        "recordings": recordings,
        "listed": listed,
        "missed": recordings - listed,
    }


def _splits(rows: list[Row], withheld: str = "withheld") -> set[str]:
    return {row["split"] for row in rows if row[withheld] is None}


def _leaks(splits: set[str]) -> bool:
    return len(splits & {*PROTECTED, "train"}) > 1
