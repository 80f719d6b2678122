"""``earloom verify``: proves from the files alone that a run is whole, unaltered, and keeps every law."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import yaml

from pipelines import attribution
from pipelines.core.commit import ALL, Marker, parse_marker
from pipelines.core.graph import Node, spans_all
from pipelines.core.stage import Context
from pipelines.core.work import content_read
from pipelines.core.workspace import Workspace
from pipelines.identity.groups import home
from pipelines.llm.service import FOLDER as LEDGER
from pipelines.made import made
from pipelines.mix.render import Render
from pipelines.seal import NAME, ROOMS, parse_seal
from pipelines.verify_mixtures import members_of, wrong_with_mixtures
from schemas import tables
from schemas.errors import UserError
from schemas.ids import canonical_json, fingerprint
from schemas.licences import COMMERCIAL
from schemas.load import parse_recipe
from schemas.recipe import Recipe


@dataclass
class Verdict:
    """What was found: problems in words (none: every law holds), what is worth knowing, and how much was looked at."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    looked_at: Counter[str] = field(default_factory=Counter)


def verify(workspace: Workspace) -> Verdict:
    """Check a finished run: seal, hashes, marker chain, conservation, tables, clip store, mixtures, caption shards.

    Raises:
        UserError: the folder holds no finished run.
    """
    verdict = Verdict()
    if not workspace.exists("run.json") and not workspace.exists(NAME):
        raise UserError(f"{workspace.root}: holds no run; name the folder that was given as --out")
    if not workspace.exists(NAME):
        verdict.problems.append(
            f"{NAME}: is missing; the run did not finish, or the file was removed (run the same command again)"
        )
        return verdict
    try:
        seal = parse_seal(workspace.read(NAME))
    except ValueError:
        verdict.problems.append(f"{NAME}: was altered")
        return verdict
    check = _Check(workspace, seal, verdict)
    check.files()
    if not verdict.problems:
        # What the tables say is only worth reading once their bytes are known to be those that were committed.
        steps = (check.graph, check.chain, check.conservation, check.clips, check.frames, check.groups)
        for step in (*steps, check.mixtures, check.captions, check.credit):
            step()
    return verdict


class _Check:
    """The checks of one run, each a method that adds to the verdict's problems."""

    def __init__(self, workspace: Workspace, seal: dict[str, Any], verdict: Verdict) -> None:
        self.workspace, self.seal, self.verdict = workspace, seal, verdict
        self.partitions: int = seal["partitions"]

    def wrong(self, text: str) -> None:
        self.verdict.problems.append(text)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe as it was resolved."""
        return parse_recipe(yaml.safe_load(self.workspace.read("recipe.yaml")), "recipe.yaml")

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """The stages of the recipe with the identities that were sealed, which later prompts or versions do not change."""
        here = made(self.workspace, self.recipe, self.seal["stages"])
        sealed: dict[str, Node] = {}
        for node in here.nodes:
            name = node.stage.name
            if name in self.seal["stages"]:
                identity = json.loads(self.workspace.read(f"{self.seal['stages'][name]}/stage.json"))
                inputs = tuple(sealed[source.stage.name] for source in node.inputs if source.stage.name in sealed)
                sealed[name] = Node(node.stage, inputs, identity)
                if sealed[name].fingerprint != node.fingerprint:
                    self.verdict.notes.append(
                        f"stage {name}: was made with other prompts, tables, models or code than are here now"
                    )
        for why in dict.fromkeys(here.absent.values()):
            stages = ", ".join(name for name, words in here.absent.items() if words == why)
            self.verdict.notes.append(f"{why}; proved from the files alone: {stages}")
        return sealed

    @cached_property
    def markers(self) -> dict[tuple[str, int], Marker]:
        found = {}
        for name in self.seal["files"]:
            if name.startswith(ROOMS) and name.endswith(".json") and not name.endswith("stage.json"):
                marker = parse_marker(self.workspace.read(name))
                if marker is not None:
                    found[marker.stage, marker.partition] = marker
        return found

    def table(self, name: str) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        for node in self.nodes.values():
            if node.stage.writes == name:
                for p in range(self.partitions):
                    out += self._parquet(f"{node.folder}/p{p:05d}.parquet").to_pylist()
        return out

    def _parquet(self, name: str) -> pa.Table:
        return pq.read_table(pa.BufferReader(self.workspace.read(name)))

    def files(self) -> None:
        """Every file is named by the seal, a marker or its own folder's seal, and has the bytes that are named there."""
        expected: dict[str, str] = dict(self.seal["files"]) | {NAME: ""}
        sizes = self.workspace.sizes()
        for name in sorted(sizes):
            if name.startswith(ROOMS) and name.endswith(".json") and not name.endswith("stage.json"):
                marker = parse_marker(self.workspace.read(name))
                if marker is None:
                    self.wrong(f"{name}: is not a whole, unaltered marker")
                    continue
                expected.setdefault(name, "")
                expected |= {file: facts["sha256"] for file, facts in marker.files.items()}
            elif name.count("/") == 1 and name.endswith(f"/{NAME}"):
                try:
                    derived = parse_seal(self.workspace.read(name))
                    expected |= derived["files"] | {name: ""}
                    if derived.get("of") not in (None, self.workspace.sha256(NAME)):
                        self.verdict.notes.append(
                            f"{name.split('/')[0]}: is of an earlier state of the run; make it again"
                        )
                except ValueError:
                    self.wrong(f"{name}: was altered")
        for name, sha in sorted(expected.items()):
            if name not in sizes:
                self.wrong(f"{name}: is missing")
            elif sha and self.workspace.sha256(name) != sha:
                self.wrong(f"{name}: was altered (its sha256 is not the one that was committed)")
        for name in sorted(sizes.keys() - expected.keys()):
            # A folder that the recipe has left behind is in no seal; its own name is the hash of its stage.json. The ledger
            # of what was asked belongs to no commit: answers that were paid for stay, whatever becomes of the run.
            left = name.startswith(ROOMS) and name.endswith("/stage.json") and self._names_itself(name)
            if not left and not name.startswith(f"{LEDGER}/"):
                self.wrong(f"{name}: no marker names it")
        self.verdict.looked_at["files"] = len(sizes)
        self.verdict.looked_at["bytes"] = sum(sizes.values())

    def _names_itself(self, name: str) -> bool:
        data = self.workspace.read(name)
        try:
            identity = json.loads(data)
        except ValueError:
            return False
        folder = name.rsplit("/", 2)[1]
        return data == (canonical_json(identity) + "\n").encode() and folder.endswith("-" + fingerprint(identity)[:12])

    def graph(self) -> None:
        """Each stage's folder is named by its identity, the identities form one graph, and each partition has its marker."""
        for name, node in self.nodes.items():
            if self.seal["stages"][name] != node.folder:
                self.wrong(f"stage {name}: its folder is not named by the hash of its stage.json")
            if node.identity["inputs"] != [source.fingerprint for source in node.inputs]:
                self.wrong(f"stage {name}: names other inputs than those that are sealed")
        if self.seal["stages"].keys() != self.nodes.keys():
            self.wrong(
                f"stages {', '.join(sorted(self.seal['stages'].keys() ^ self.nodes.keys()))}: are in the seal or in the recipe, not in both"
            )
        for node in self.nodes.values():
            wanted = {ALL} if spans_all(node) else set(range(self.partitions))
            have = {p for stage, p in self.markers if stage == node.stage.name}
            if wanted != have:
                self.wrong(f"stage {node.stage.name}: commits {sorted(wanted ^ have)} are missing or too many")

    def chain(self) -> None:
        """Each commit was made from the inputs that are there now."""
        for (name, partition), marker in sorted(self.markers.items()):
            if name not in self.nodes:
                continue
            for source in self.nodes[name].inputs:
                key = source.stage.name
                if marker.inputs.get(key) != content_read(
                    self.nodes[name], source, partition, self.markers, self.partitions
                ):
                    self.wrong(f"stage {name}, partition {partition}: was made from another {key} than lies here")
            self.verdict.looked_at["commits"] += 1

    def conservation(self) -> None:
        """Rows in = rows out + rejects + drops, key by key, and as many as the marker says."""
        columns: dict[str, pa.Schema] = {}
        for (name, partition), marker in sorted(self.markers.items()):
            node = self.nodes[name]
            stage, files = node.stage, marker.files
            wanted = range(self.partitions) if partition == ALL else [partition]
            out = [self._parquet(f"{node.folder}/p{p:05d}.parquet") for p in wanted]
            for table in out:
                first = columns.setdefault(name, table.schema)
                if not _alike(table.schema, tables.schema(stage.writes)) or table.schema != first:
                    self.wrong(
                        f"stage {name}: its table has other columns than version {tables.VERSION} of {stage.writes}"
                    )
                    return
            served = {key for table in out for key in table.column(stage.out_key).to_pylist()}
            refused = self._keys(files, "rejects")
            dropped = self._keys(files, "drops")
            asked = self._asked(node, partition) if stage.reads else [*served, *refused, *dropped]
            outcomes = [*served, *refused, *dropped]
            label = f"stage {name}, partition {partition}"
            if len(set(asked)) != len(asked):
                self.wrong(f"{label}: a key stands twice in what it read")
            if len(set(outcomes)) != len(outcomes):
                self.wrong(f"{label}: a key has two outcomes")
            if set(asked) != set(outcomes):
                self.wrong(f"{label}: {len(set(asked) ^ set(outcomes))} keys are lost or invented")
            if (marker.rows_in, marker.rows_out, marker.rejects, marker.drops) != (
                len(asked),
                len(served),
                len(refused),
                len(dropped),
            ):
                self.wrong(f"{label}: the marker's counts are not those of its files")
            self.verdict.looked_at["rows"] += len(asked)

    def _keys(self, files: dict[str, dict[str, Any]], kind: str) -> list[str]:
        return [
            key
            for name in files
            if name.endswith(f".{kind}.parquet")
            for key in self._parquet(name).column("clip_id").to_pylist()
        ]

    def _asked(self, node: Node, partition: int) -> list[str]:
        stage, keys = node.stage, []
        for source in node.inputs:
            if source.stage.writes == stage.reads[0]:
                for p in range(self.partitions) if partition == ALL else [partition]:
                    keys += self._parquet(f"{source.folder}/p{p:05d}.parquet").column(stage.key).to_pylist()
        return keys

    def clips(self) -> None:
        """Each clip is a FLAC of the stated rate and length at the stated place, and no identifier stands twice."""
        clips = self.table("clips")
        self._unique("clips", [clip["clip_id"] for clip in clips])
        if self.recipe.data.licence == "commercial" and any(clip["licence"] not in COMMERCIAL for clip in clips):
            self.wrong("clips: some may not be used commercially, as the recipe asks")
        for clip in clips:
            data = self.workspace.read_range(clip["tar"], clip["offset"], clip["size"])
            if hashlib.sha256(data).hexdigest() != clip["sha256"]:
                self.wrong(f"clip {clip['clip_id']}: the bytes at its place are another clip's")
                continue
            try:
                info = soundfile.info(io.BytesIO(data))
            except soundfile.LibsndfileError:
                self.wrong(f"clip {clip['clip_id']}: there is no FLAC at its place")
                continue
            if (info.samplerate, info.frames) != (clip["sample_rate"], round(clip["duration_s"] * clip["sample_rate"])):
                self.wrong(f"clip {clip['clip_id']}: its FLAC has another rate or length than the table says")
        self.verdict.looked_at["clips"] = len(clips)

    def _unique(self, table: str, ids: list[str]) -> None:
        for key, count in Counter(ids).items():
            if count > 1:
                self.wrong(f"{table}: {key} stands {count} times")

    def frames(self) -> None:
        """Each picture has the bytes that its row says."""
        frames = self.table("frames")
        self._unique("frames", [frame["frame_id"] for frame in frames])
        for frame in frames:
            data = self.workspace.read_range(frame["tar"], frame["offset"], frame["size"])
            if hashlib.sha256(data).hexdigest() != frame["sha256"]:
                self.wrong(f"frame {frame['frame_id']}: the bytes at its place are another picture's")
        if frames:
            self.verdict.looked_at["frames"] = len(frames)

    def groups(self) -> None:
        """A recording is in one group, a group in its one split, and a clip of another split is withheld."""
        clips = {clip["clip_id"]: clip for clip in self.table("clips")}
        groups, homes = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
        rows = self.table("groups")
        if sorted(row["clip_id"] for row in rows) != sorted(clips):
            self.wrong("groups: hold other clips than the clip store")
            return
        published, members, sounds = (defaultdict[str, set[str]](set) for _ in range(3))
        for row in rows:
            clip = clips[row["clip_id"]]
            groups[clip["recording_id"]].add(row["group_id"])
            homes[row["group_id"]].add(row["split"])
            published[row["group_id"]].add(clip["split"])
            members[row["group_id"]].add(clip["recording_id"])
            sounds[clip["sha256"]].add(row["group_id"])
        for row in rows:
            leaks = len(published[row["group_id"]]) > 1 and clips[row["clip_id"]]["split"] != row["split"]
            if row["group_id"] != min(members[row["group_id"]]) or row["recordings"] != len(members[row["group_id"]]):
                self.wrong(f"group {row['group_id']}: is not named by its least recording, or counts them wrongly")
            if row["withheld"] != (f"leaks_into_{row['split']}" if leaks else None):
                self.wrong(f"clip {row['clip_id']}: is withheld, or not, against its group's split")
        held_out = self.recipe.groups
        for group, splits in sorted(published.items()):
            split = home(group, splits, held_out.val, held_out.test, self.recipe.seed)
            if homes[group] != {split}:
                which = "was drawn for it" if splits == {"train"} else "protects it"
                self.wrong(f"group {group}: is not used in the split that {which}, {split}")
        for what, found in (("recording", groups), ("group", homes), ("sound", sounds)):
            for key, places in sorted(found.items()):
                if len(places) > 1:
                    self.wrong(f"{what} {key}: stands in {' and '.join(sorted(places))}")
        self.verdict.looked_at["groups"] = len(homes)

    def mixtures(self) -> None:
        """Every promise of a mixture is kept, and each sample is what its tables say: `pipelines.verify_mixtures`."""
        if "mixtures" not in self.nodes:
            return
        stage = cast(Render, self.nodes["mixtures"].stage)
        context = Context(self.workspace, self.recipe.data.root or "", self.recipe.seed, self.partitions)
        ids = [row["mixture_id"] for row in self.table("mixtures")]
        self._unique("mixtures", ids)
        rooms = True
        try:
            stage.sources(context)
        except UserError as error:
            rooms = False
            self.verdict.notes.append(f"{error}; the sound of mixtures that are heard in rooms is not proved")
        self.verdict.problems += wrong_with_mixtures(stage, self.table, context, rooms)
        self.verdict.looked_at["mixtures"] = len(ids)

    def credit(self) -> None:
        """Whom to credit, and under which licence, is what the tables say."""
        told = hashlib.sha256()
        for lines in attribution.attribution(self.workspace, list(self.nodes.values()), self.partitions):
            told.update(lines)
        if told.hexdigest() != self.workspace.sha256(attribution.NAME):
            self.wrong(f"{attribution.NAME}: says something else than the tables")

    def captions(self) -> None:
        """Each sample of a caption shard is an accepted caption with its clip's own bytes."""
        clips = {clip["clip_id"]: clip for clip in self.table("clips")}
        decided = [row for row in self.table("captions") if row["decision"] == "accepted" and not row["withheld"]]
        accepted = {row["clip_id"]: row for row in decided}
        groups = {row["clip_id"]: (row["split"], row["withheld"]) for row in self.table("groups")}
        if any((row["split"], row["withheld"]) != groups[row["clip_id"]] for row in self.table("captions")):
            self.wrong("captions: a clip's split, or why it is withheld, is not its group's")
        samples = self.table("samples")
        self._unique("samples", [sample["sample_id"] for sample in samples])
        if {sample["clip_id"] for sample in samples} != accepted.keys():
            self.wrong("captions: the shards hold other clips than those with an accepted caption")
        for sample in samples:
            members, clip = members_of(sample, self.workspace), clips[sample["clip_id"]]
            if members["flac"] != self.workspace.read_range(clip["tar"], clip["offset"], clip["size"]):
                self.wrong(f"sample {sample['sample_id']}: its audio is not its clip's")
            facts, split = json.loads(members["json"]), groups[sample["clip_id"]][0]
            if facts["caption"] != accepted[sample["clip_id"]]["caption"]:
                self.wrong(f"sample {sample['sample_id']}: its caption is not the accepted one")
            if not (sample["split"] == facts["split"] == split and f"/{split}-" in sample["tar"]):
                self.wrong(f"sample {sample['sample_id']}: is not in its group's split")
        self.verdict.looked_at["captions"] = len(samples)


def _alike(found: pa.Schema, stated: pa.Schema) -> bool:
    """Say whether columns are as stated, but for the length of a vector, which is its model's and may be known to nobody here."""
    for index, column in enumerate(found):
        if pa.types.is_fixed_size_list(column.type):
            found = found.set(index, column.with_type(pa.list_(column.type.value_type)))
    return bool(found.equals(stated, check_metadata=False))
