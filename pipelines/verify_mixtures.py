"""The part of ``earloom verify`` that is of mixtures: each promise proved again from the tables and the samples themselves."""

from __future__ import annotations

import io
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from pipelines.core.stage import Context
from pipelines.core.workspace import Workspace
from pipelines.mix.checking import wrong_with_sample
from pipelines.mix.conflict import PRESENT, relation
from pipelines.mix.render import Render
from pipelines.mix.samples import PLANNED
from schemas.licences import most_restrictive
from schemas.mixing import MixtureSet
from schemas.ontology import default_ontology

Row = Mapping[str, Any]

LABELS = ("label:", "event:")
"""Origins of classes that a publisher states."""


def wrong_with_mixtures(
    stage: Render, table: Callable[[str], list[dict[str, Any]]], context: Context, rooms: bool = True
) -> Iterator[str]:
    """Yield what is wrong with the mixtures of a run, in words; nothing where every promise is kept.

    Proved of each mixture: that it is the plan's; that its sources conflict as little as its policy promises, by labels,
    captions and what is surely heard; that they are of different groups (and uploaders), of its split, and not withheld;
    that its licence binds them all; and of its sample what `pipelines.mix.checking.wrong_with_sample` proves.

    Args:
        stage: the run's stage ``mixtures``.
        table: name -> rows of the run's table.
        context: where its files, its data and its rooms are.
        rooms: whether the rooms' impulse responses are there; without them the sound of what is heard in one is not proved.
    """
    plans = {plan["mixture_id"]: plan for plan in table("plan") if not plan["refused"]}
    used = {plan["target_clip_id"] for plan in plans.values()}
    used |= {source["clip_id"] for plan in plans.values() for source in plan["sources"]}
    checks = _Checks(stage, table, used, context, rooms)
    for row in table("mixtures"):
        plan, label = plans.get(row["mixture_id"]), f"mixture {row['mixture_id']}"
        for problem in checks.of(row, plan) if plan else ["the plan does not ask for it, or refused it"]:
            yield f"{label}: {problem}"
    for group, splits in sorted(checks.homes.items()):
        if len(splits) > 1:
            yield f"group {group}: is mixed in {' and '.join(sorted(splits))}"


class _Checks:
    """What is known of the clips that are mixed."""

    def __init__(
        self,
        stage: Render,
        table: Callable[[str], list[dict[str, Any]]],
        used: set[str],
        context: Context,
        rooms: bool,
    ) -> None:
        self.stage, self.context, self.rooms = stage, context, rooms
        self.sources, self.clips, self.groups = (
            {row["clip_id"]: row for row in table(name) if row["clip_id"] in used}
            for name in ("sources", "clips", "groups")
        )
        self.homes: dict[str, set[str]] = defaultdict(set)
        self.present: dict[str, set[str]] = defaultdict(set)
        for row in table("classes"):
            stated = row["state"] == "inferred" or row["origin"].startswith(LABELS)
            if row["clip_id"] in used and row["class_id"] and stated:
                self.present[row["clip_id"]].add(row["class_id"])
        for clip_id, source in self.sources.items():
            self.present[clip_id].update(*(source[name] for name in PRESENT))

    def of(self, row: Row, plan: Row) -> Iterator[str]:
        """Yield what is wrong with one mixture."""
        laid = plan["sources"]
        clip_ids = [source["clip_id"] for source in laid]
        if not self.sources.keys() >= {*clip_ids, row["target_clip_id"]}:
            yield "a clip that it is made of may not be mixed"
            return
        if any(row[key] != plan[key] for key in PLANNED):
            yield "its row says something else than the plan"
        by_role = [[s["clip_id"] for s in laid if s["role"] == role] for role in ("target", "interferer")]
        if by_role != [row["target_clip_ids"], row["interferer_clip_ids"]]:
            yield "its sources are not the targets and interferers that it names"
        chosen = self.stage.by_name[row["set"]]
        yield from self._classes(row, laid, chosen)
        yield from self._apart(row, clip_ids, chosen)
        yield from self._licences(row, clip_ids)
        if not self.rooms and any(source["rir"] for source in laid):
            return
        members = members_of(row, self.context.workspace)
        own = {clip_id: self.sources[clip_id] for clip_id in {*clip_ids, row["target_clip_id"]}}
        yield from wrong_with_sample(row, plan, members, self.stage, own, self.context)

    def _classes(self, row: Row, laid: Sequence[Row], chosen: MixtureSet) -> Iterator[str]:
        """Sources share no class, unless the policy is that an interferer shares one with the target."""
        clip_ids = [source["clip_id"] for source in laid]
        if row["policy"] == "zero_target":
            clip_ids = [row["target_clip_id"], *clip_ids]
        if not all(self.present[clip_id] for clip_id in clip_ids):
            yield "a source has no known class, so that nothing can be promised"
        ontology, rule = default_ontology(), relation(chosen.conflict)
        own = [ontology.bits(self.present[clip_id]) for clip_id in clip_ids]
        related = [rule.related(self.present[clip_id]) for clip_id in clip_ids]
        clashes = {(i, j) for i, j in combinations(range(len(clip_ids)), 2) if related[i] & own[j]}
        if row["policy"] != "same_class":
            if clashes:
                yield "its sources share a class"
            return
        meant = {(0, j) for j, source in enumerate(laid) if source["role"] == "interferer" and own[0] & own[j]}
        if not meant:
            yield "no interferer has a class of its target, as its policy says"
        if len(clashes) > 1 or clashes - meant:
            yield "its sources share more classes than its policy says"

    def _apart(self, row: Row, clip_ids: Sequence[str], chosen: MixtureSet) -> Iterator[str]:
        """Sources are of different groups and uploaders, and of the mixture's split."""
        groups = [self.groups[clip_id] for clip_id in clip_ids]
        names = [group["group_id"] for group in groups]
        if len(set(names)) != len(names):
            yield "two sources are of the same group"
        uploaders = [self.clips[clip_id]["attribution"] for clip_id in clip_ids]
        known = [uploader for uploader in uploaders if uploader is not None]
        if "uploader" in chosen.apart and len(set(known)) != len(known):
            yield "two sources are of the same uploader"
        if any(group["split"] != row["split"] or group["withheld"] for group in groups):
            yield "a source is of another split, or withheld"
        for name in names:
            self.homes[name].add(row["split"])

    def _licences(self, row: Row, clip_ids: Sequence[str]) -> Iterator[str]:
        """The licence is what binds the sources together, and each source's is its clip's."""
        if any(self.sources[clip_id]["licence"] != self.clips[clip_id]["licence"] for clip_id in clip_ids):
            yield "a source's licence is not its clip's"
        if row["licence"] != most_restrictive(self.sources[clip_id]["licence"] for clip_id in clip_ids):
            yield "its licence is not what binds its sources together"


def members_of(row: Row, workspace: Workspace) -> dict[str, bytes]:
    """Return the members of a sample by suffix, from its place in its shard."""
    data = workspace.read_range(row["tar"], row["offset"], row["size"])
    with tarfile.open(fileobj=io.BytesIO(data + b"\0" * 1024)) as tar:
        found = {info.name.split(".", 1)[1]: tar.extractfile(info) for info in tar}
        return {suffix: file.read() for suffix, file in found.items() if file}
