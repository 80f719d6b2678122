"""``attribution.csv``: a line per recording, what was changed, no name that is a formula, the same bytes in any order."""

from __future__ import annotations

import csv
import io
import json
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.attribution import COLUMNS, NAME, attribution, link
from pipelines.catalog import query
from pipelines.core.commit import parquet_bytes, table_name
from pipelines.core.drive import drive
from pipelines.core.graph import Node
from pipelines.core.progress import Progress
from pipelines.core.workspace import Workspace
from pipelines.engines.inline import InlineEngine
from pipelines.mix.plan import PlanMixtures
from pipelines.mix.render import Render
from pipelines.seal import read_seal, write_seal
from pipelines.shards.captions import CaptionShards
from schemas import tables
from schemas.ids import partition_of
from schemas.licences import most_restrictive
from schemas.recipe import Shards
from toys import ToyIngest

NODES = {
    stage.writes: Node(stage, (), {"of": stage.name})
    for stage in (ToyIngest(), CaptionShards(5, 1), PlanMixtures((), 32000), Render((), Shards()))
}


def row(table: str, **given: Any) -> dict[str, Any]:
    """Return a row of a table: what is given, and else null, or the empty value of the column's type."""
    empty = {"string": "", "int64": 0, "double": 0.0}
    return {f.name: None if f.nullable else empty.get(str(f.type), []) for f in tables.schema(table)} | given


def clip(clip_id: str, recording_id: str, **given: Any) -> dict[str, Any]:
    whole = {"dataset": "a", "licence": "by", "duration_s": 5.0, "claimed_s": 5.0, "coverage": 1.0}
    rates = {"source_rate": 32000, "sample_rate": 32000, "source_channels": 1, "record_id": clip_id}
    return row("clips", clip_id=clip_id, recording_id=recording_id, **whole | rates | given)


def written(root: Path, rows: dict[str, list[dict[str, Any]]], partitions: int = 2) -> bytes:
    """Write tables as a run has them and return the file that tells of them."""
    workspace = Workspace(str(root))
    for table, node in NODES.items():
        key = tables.schema(table).names[0]
        for p in range(partitions):
            part = [each for each in rows.get(table, []) if partition_of(each[key], partitions) == p]
            workspace.write(table_name(node.folder, p), parquet_bytes(tables.from_rows(table, part)))
    return b"".join(attribution(workspace, list(NODES.values()), partitions))


def lines(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def mixture(target: str, *others: str) -> dict[str, Any]:
    return row("mixtures", mixture_id=f"mix-{target}", target_clip_id=target, interferer_clip_ids=list(others))


def planned(mixture: dict[str, Any]) -> dict[str, Any]:
    """Return the row of the plan that names a mixture's clips."""
    roles = [("target", mixture["target_clip_id"]), *(("interferer", each) for each in mixture["interferer_clip_ids"])]
    sources = [{"role": role, "clip_id": each, "start": 0, "at": 0, "length": 1} for role, each in roles]
    return row("plan", mixture_id=mixture["mixture_id"], target_clip_id=mixture["target_clip_id"], sources=sources)


def test_a_run_has_a_line_per_recording_that_says_all_that_a_licence_asks_for(tmp_path):
    clips = [
        clip(
            "a-1", "fs:1", licence_text="http://creativecommons.org/licenses/by/3.0/", attribution="-Hero_of_the_Winds-"
        ),
        clip("b-1", "fs:1", dataset="b", licence="unknown", source_channels=2, source_start_s=2.5),
        clip("a-2", "yt:-a_b0000000", licence="cc0", source_rate=44100, gain_db=-1.5, attribution="Zoë, of 'Noises'"),
        clip("a-3", "sb:2219", licence="unknown"),
    ]
    samples, mixtures = [row("samples", sample_id="a-2", clip_id="a-2")], [mixture("a-2", "b-1")]
    plan = [planned(each) for each in mixtures]
    data = written(tmp_path, {"clips": clips, "samples": samples, "mixtures": mixtures, "plan": plan})
    assert data.decode().splitlines() == [
        "recording_id,datasets,licence,licence_text,attribution,link,used_in,changes",
        "fs:1,a; b,unknown,http://creativecommons.org/licenses/by/3.0/,'-Hero_of_the_Winds-,https://freesound.org/s/1/,mixtures,"
        "cut to an excerpt; channels made one; mixed with other recordings; stored as 16-bit FLAC",
        "sb:2219,a,unknown,,,,clip store alone,stored as 16-bit FLAC",
        "yt:-a_b0000000,a,cc0,,\"Zoë, of 'Noises'\",https://www.youtube.com/watch?v=-a_b0000000,captions; mixtures,"
        "resampled to 32000 Hz; level lowered; mixed with other recordings; stored as 16-bit FLAC",
    ]


@pytest.mark.parametrize(
    ("given", "cut"),
    [
        ({}, False),
        ({"claimed_s": None}, False),
        ({"claimed_s": 5.05}, False),
        ({"coverage": 0.9999}, False),
        ({"claimed_s": 9.0}, True),
        ({"source_start_s": 1.0}, True),
        ({"coverage": 0.5}, True),
        ({"coverage": None}, True),
    ],
)
def test_a_clip_that_may_be_a_part_of_its_file_is_called_an_excerpt(tmp_path, given, cut):
    (line,) = lines(written(tmp_path, {"clips": [clip("a-1", "fs:1", **given)]}))
    assert ("cut to an excerpt" in line["changes"]) == cut


def test_the_same_clips_give_the_same_bytes_in_any_order_and_any_number_of_partitions(tmp_path):
    draw = random.Random(3)
    names = ["by", "cc0", "unknown"]
    clips = []
    for n in range(200):
        told = {"dataset": draw.choice("abc"), "licence": draw.choice(names), "attribution": draw.choice("xyz")}
        clips.append(clip(f"a-{n}", f"fs:{draw.randrange(40)}", **told))
    mixtures = [mixture(f"a-{n}", f"a-{n + 1}") for n in range(60)]
    plan = [planned(each) for each in mixtures]
    first = written(tmp_path / "a", {"clips": clips, "mixtures": mixtures, "plan": plan}, 1)
    turned = {"clips": clips[::-1], "mixtures": mixtures[::-1], "plan": plan[::-1]}
    assert written(tmp_path / "b", turned, 5) == first
    found = [line["recording_id"] for line in lines(first)]
    assert found == sorted({each["recording_id"] for each in clips})


HOSTILE = st.sampled_from(["=1+1", "＝1", "\t=1", "+4", "@a", "'", "'=1", " -x", "\r\n=1", "\x00=1", ""])


@settings(max_examples=40)
@given(names=st.lists(HOSTILE | st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=5))
def test_no_name_is_a_formula_and_each_can_be_had_back(tmp_path_factory, names):
    clips = [clip(f"a-{n}", f"fs:{n}", attribution=name) for n, name in enumerate(names)]
    data = written(tmp_path_factory.mktemp("names"), {"clips": clips}, 1)
    found = {line["recording_id"]: line["attribution"] for line in lines(data)}
    assert len(data.decode().split("\n")) == len(names) + 2, "a name must not break its line"
    for each in clips:
        shown = found[each["recording_id"]]
        assert not shown.startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))
        printed = "".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 else c for c in each["attribution"])
        assert shown.removeprefix("'") == " ".join(printed.split())


@pytest.mark.parametrize(
    ("recording_id", "page"),
    [
        ("fs:180913", "https://freesound.org/s/180913/"),
        ("yt:b0RFKhbpFJA", "https://www.youtube.com/watch?v=b0RFKhbpFJA"),
        ("yt:-0RFKhbpFJ_", "https://www.youtube.com/watch?v=-0RFKhbpFJ_"),
        ("bbc:NHU05051026", "https://sound-effects.bbcrewind.co.uk/search?q=NHU05051026"),
        ("sb:2219", ""),
        ("sha256:00ff", ""),
        ("fs:../evil", ""),
        ("fs:1\n", ""),
        ("yt:short", ""),
        ("", ""),
    ],
)
def test_a_link_is_given_where_its_form_is_certain(recording_id, page):
    assert link(recording_id) == page


def test_a_run_without_clips_has_a_head_alone(tmp_path):
    head = (",".join(COLUMNS) + "\n").encode()
    assert written(tmp_path, {}) == head
    assert b"".join(attribution(Workspace(str(tmp_path)), [], 2)) == head


def test_it_is_written_when_a_run_is_sealed_and_the_seal_covers_it(toy):
    work = toy()
    work.sweep()
    drive(work, InlineEngine(work.context), Progress(quiet=True))
    workspace = work.context.workspace
    for name in ("run.json", "recipe.yaml", "views.sql"):
        workspace.write(name, b"{}")
    write_seal(work)
    seal = read_seal(workspace)
    assert seal is not None
    assert seal["files"][NAME] == workspace.sha256(NAME)
    found = lines(workspace.read(NAME))
    assert len(found) == 45
    assert {(line["datasets"], line["licence"], line["used_in"]) for line in found} == {
        ("toy", "unknown", "clip store alone")
    }


def test_every_recording_of_the_main_job_has_its_line_with_its_use(demo):
    run = Workspace(str(demo))
    found = {line["recording_id"]: line for line in lines(run.read(NAME))}
    clips = query.dicts(run, "SELECT * FROM clips")
    assert found.keys() == {each["recording_id"] for each in clips}
    assert len({line["licence"] for line in found.values()}) >= 4
    for use, sql in (
        ("captions", "SELECT clip_id FROM samples WHERE kind = 'caption'"),
        ("mixtures", "SELECT unnest(sources).clip_id AS clip_id FROM plan"),
    ):
        joined = query.dicts(run, f"SELECT recording_id FROM clips JOIN ({sql}) USING (clip_id)")
        assert {each["recording_id"] for each in joined} == {
            name for name, line in found.items() if use in line["used_in"].split("; ")
        }
    for each in clips:
        line = found[each["recording_id"]]
        assert each["dataset"] in line["datasets"]
        assert (each["source_channels"] > 1) <= ("channels made one" in line["changes"])
        assert most_restrictive([each["licence"], line["licence"]]) == line["licence"]


def test_each_sample_of_the_main_job_carries_its_licence_and_whom_to_credit(demo):
    known = {each["clip_id"]: each for each in query.dicts(Workspace(str(demo)), "SELECT * FROM clips")}
    kinds = {}
    for path in sorted((demo / "shards").rglob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                file = tar.extractfile(info)
                if file is None or not info.name.endswith(".json"):
                    continue
                facts = json.loads(file.read())
                sources = facts.get("sources", [facts])
                kinds[path.parent.name.split("-")[0]] = len(sources)
                for source in sources:
                    clip = known[source["clip_id"]]
                    assert (source["licence"], source["attribution"]) == (clip["licence"], clip["attribution"])
                assert facts["licence"] == most_restrictive(source["licence"] for source in sources)
    assert kinds == {"captions": 1, "mixtures": 2}
