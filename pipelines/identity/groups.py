"""The stage `groups`: which clips belong together, whatever they are called, and the one split of each group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.identity.near import near_duplicates
from schemas.ids import seed_for

PROTECTED = ("test", "val")
"""A group that stands in several splits stays in the first of these, else in one of another name, and last in train."""

Link = tuple[str, str, str, float]
"""Two clips, what shows that they are the same, and how surely, in [0, 1]."""


@dataclass(frozen=True)
class Groups(Stage):
    """Stage ``groups``: clips and their fingerprints -> a row per clip with its group and the group's split.

    Clips of one recording belong together, and so do clips of equal samples and clips that sound the same, with all
    that belongs to either. A group is used in one split alone, the best protected of those that its clips stand in;
    its clips that stand in another are withheld, not moved: a published test set stays what it was.

    Args:
        val: share of the groups that stand in ``train`` alone that goes to ``val``, drawn by the run's seed.
        test: likewise to ``test``.
    """

    val: float
    test: float

    name = "groups"
    reads = ("clips", "fingerprints")
    writes = "groups"
    places = "record_id"
    waits = True
    seeded = True

    def process(self, batch: Batch, context: Context) -> Result:
        """Group all clips of the run."""
        columns = ["clip_id", "record_id", "recording_id", "split", "sha256"]
        clips = sorted(batch.rows.select(columns).to_pylist(), key=lambda clip: clip["clip_id"])
        recording = {clip["clip_id"]: clip["recording_id"] for clip in clips}
        links = [*_equal(clips), *_alike(batch.sides["fingerprints"])]
        links = [link for link in links if recording[link[0]] != recording[link[1]]]
        group = components(recording.values(), ((recording[a], recording[b]) for a, b, _, _ in links))
        members, splits = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
        for clip in clips:
            members[group[clip["recording_id"]]].add(clip["recording_id"])
            splits[group[clip["recording_id"]]].add(clip["split"])
        shown = _by_clip(links)
        result = Result()
        for clip in clips:
            own = group[clip["recording_id"]]
            split = home(own, splits[own], self.val, self.test, context.run_seed)
            leaks = len(splits[own]) > 1 and clip["split"] != split
            result.rows.append(
                {
                    "clip_id": clip["clip_id"],
                    "record_id": clip["record_id"],
                    "group_id": own,
                    "recordings": len(members[own]),
                    "links": shown[clip["clip_id"]],
                    "split": split,
                    "withheld": f"leaks_into_{split}" if leaks else None,
                }
            )
        return result


def home(group_id: str, splits: Collection[str], val: float, test: float, run_seed: int) -> str:
    """Return the split in which a group may be used.

    Args:
        group_id: the group.
        splits: the splits that its clips stand in; if that is ``train`` alone, the split is drawn.
        val: share of such groups that goes to ``val``, in [0, 1).
        test: likewise to ``test``.
        run_seed: the seed of the run.
    """
    if set(splits) != {"train"}:
        return strictest(splits)
    drawn = seed_for(run_seed, Groups.name, group_id) / 2**63
    return "test" if drawn < test else "val" if drawn < test + val else "train"


def strictest(splits: Iterable[str]) -> str:
    """Return the best protected of several splits: test, val, those of other names in their order, train."""
    order = {split: rank for rank, split in enumerate(PROTECTED)} | {"train": len(PROTECTED) + 1}
    return min(splits, key=lambda split: (order.get(split, len(PROTECTED)), split))


def components(nodes: Iterable[str], edges: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return, for each node, the least node that it is connected with, itself included (union by least, path halving)."""
    parent = {node: node for node in nodes}

    def root(node: str) -> str:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in edges:
        least, other = sorted((root(a), root(b)))
        parent[other] = least
    return {node: root(node) for node in parent}


def _equal(clips: list[dict[str, Any]]) -> list[Link]:
    """Link each clip to the first that has the same bytes in the store: equal samples are equal bytes there."""
    first: dict[str, str] = {}
    links = []
    for clip in clips:
        least = first.setdefault(clip["sha256"], clip["clip_id"])
        if least != clip["clip_id"]:
            links.append((least, clip["clip_id"], "audio", 1.0))
    return links


def _alike(fingerprints: pa.Table) -> list[Link]:
    """Link clips that sound the same."""
    table = fingerprints
    hashes, times = ([row.values.to_numpy() for row in table.column(name)] for name in ("hashes", "times"))
    pairs = near_duplicates(table.column("clip_id").to_pylist(), hashes, times)
    return [(pair.clip_a, pair.clip_b, "fingerprint", pair.score) for pair in pairs]


def _by_clip(links: list[Link]) -> dict[str, list[dict[str, Any]]]:
    shown: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for a, b, by, score in sorted(links):
        shown[a].append({"clip_id": b, "by": by, "score": score})
        shown[b].append({"clip_id": a, "by": by, "score": score})
    return shown
