"""Tests of the catalogue: Beam builds what SQL finds in the same tables, each time in the same bytes."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.catalog.build import build_catalog, catalog_tables
from pipelines.catalog.members import COLUMNS
from pipelines.catalog.show import read_table, rows
from pipelines.catalog.sources import STAGES
from pipelines.catalog.tables import CATALOG_TABLES, KEYS
from pipelines.core.commit import parquet_bytes, table_name
from pipelines.seal import sealed_bytes
from schemas import tables
from schemas.errors import RunStopped, UserError
from schemas.ids import partition_of

Row = dict[str, Any]
CAPTIONS = (
    "A dog barks.", "a dog, barks!", "A  DOG\tBARKS", "A dog's bark", "A dog’s bark", "Rain falls",
    "Rain falls on café tiles", "Rain falls on cafe\u0301 tiles", "Wind; then 2 sirens",
    "snake_case", "...", "Шум дождя", "шум  дождя!", "Barks: a dog", "bark", "Bark, bark", "wind then 3 sirens",
    "Far off, rain falls on tiles", "Rain falls far off on tiles", "Rain falls on tiles", "Rain falls on red tiles",
)  # fmt: skip


def clip(clip_id: str, split: str, recording_id: str, duration_s: float, licence: str, **more: Any) -> Row:
    """Return a row of `clips`; `start_s`, `used`, `withheld` and `landmarks` of `more` are told by other tables."""
    return {
        "clip_id": clip_id, "record_id": clip_id, "dataset": clip_id.split("-")[0], "split": split,
        "recording_id": recording_id, "duration_s": duration_s, "source_start_s": 0.0, "excerpt_s": 0.0,
        "sha256": clip_id + split, "licence": licence, **more,
    }  # fmt: skip


def caption(of: Row, text: str | None, decision: str) -> Row:
    return {"clip_id": of["clip_id"], "caption": text, "decision": decision}


def known(of: Row, class_id: str | None) -> Row:
    return {"clip_id": of["clip_id"], "class_id": class_id}


def write_run(folder: Path, rows_of: dict[str, list[Row]], partitions: int = 3) -> str:
    """Write a run that holds these tables, as far as the catalogue looks at one."""
    clips = rows_of["clips"]
    told = {
        "records": [{"record_id": row["record_id"], "start_s": row.get("start_s")} for row in clips],
        "groups": [
            {"clip_id": row["clip_id"], "split": row.get("used", row["split"]), "withheld": row.get("withheld")}
            for row in clips
        ],
        "fingerprints": [
            {"clip_id": row["clip_id"]} | dict(zip(("hashes", "times"), row.get("landmarks", ([], [])), strict=True))
            for row in clips
        ],
    }
    stages = {}
    for table, stage in STAGES.items():
        stages[stage] = f"tables/{stage}-0123456789ab"
        (folder / stages[stage]).mkdir(parents=True)
        schema = pa.schema([tables.schema(table).field(name) for name in COLUMNS[table]])
        for p in range(partitions):
            rows_ = [row for row in (told | rows_of)[table] if partition_of(row[schema.names[0]], partitions) == p]
            data = parquet_bytes(pa.Table.from_pylist(rows_, schema))
            (folder / table_name(stages[stage], p)).write_bytes(data)
    frozen = {"name": "x", "partitions": partitions, "tables": tables.VERSION}
    (folder / "run.json").write_text(json.dumps(frozen))
    seal = {"stages": stages, "files": {}, "partitions": partitions}
    (folder / "seal.json").write_bytes(sealed_bytes(seal))
    return str(folder)


def drawn_run(folder: Path, seed: int, count: int) -> str:
    """Write a run of three datasets that share recordings and samples with each other, with other seeds, over splits."""
    draw = random.Random(seed)
    made: dict[str, list[Row]] = {"clips": [], "captions": [], "classes": []}
    for number in range(count):
        split = draw.choice(["train", "train", "train", "val", "test", "evaluation"])
        recording = f"{draw.choice(['yt', 'fs'])}:{draw.randrange(count)}"
        name = f"{draw.choice(['clotho', 'fsd50k', 'Zoo'])}-{number}"
        licence = draw.choice(["unknown", "cc0", "by"])
        row = clip(name, split, recording, draw.randrange(1, 480000) / 16000, licence)
        row["start_s"] = draw.choice([None, draw.randrange(20) / 2])
        row["sha256"] = draw.choice([row["sha256"]] * 9 + [f"same{draw.randrange(20)}"])
        row["withheld"] = draw.choice([None] * 9 + ["leaks_into_test"])
        made["clips"].append(row)
        decision = draw.choice(["accepted", "accepted", "refused", "abstained"])
        text = draw.choice(CAPTIONS) if decision != "abstained" else None
        made["captions"].append(caption(row, text, decision))
        classes = draw.sample(["/m/1", "/m/2", "/m/3", "/m/4", None], draw.randrange(1, 4))
        made["classes"] += [known(row, class_id) for class_id in classes]
    return write_run(folder, made, partitions=4)


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    top = tmp_path_factory.mktemp("runs")
    # The second run's folder has characters that are patterns elsewhere.
    return [drawn_run(top / "first", 1, 150), drawn_run(top / "second [2]*?", 2, 90)]


@pytest.fixture(scope="module")
def catalogue(two_runs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("catalogue")
    build_catalog(two_runs, str(out))
    return out


PLAIN = "replace(lower(nfc_normalize(caption)), '’', '''')"
WORDS = rf"regexp_extract_all({PLAIN}, '[\p{{L}}\p{{N}}]+(?:''[\p{{L}}\p{{N}}]+)*')"
MEMBERS = """
    CREATE TABLE home AS WITH RECURSIVE
        same AS (SELECT DISTINCT a.recording_id AS a, b.recording_id AS b FROM clips a JOIN clips b USING (sha256)),
        reach AS (SELECT recording_id AS a, recording_id AS b FROM clips
                  UNION SELECT reach.a, same.b FROM reach JOIN same ON reach.b = same.a)
    SELECT a AS recording_id, min(b) AS group_id FROM reach GROUP BY 1;
    CREATE TABLE who AS
    SELECT clips.*, group_id, records.start_s AS s, records.start_s + duration_s AS e, groups.withheld AS own
    FROM clips JOIN records USING (run, record_id) JOIN groups USING (run, clip_id) JOIN home USING (recording_id);
    CREATE TABLE sets AS
    SELECT *, split AS published FROM who UNION ALL SELECT *, '*' FROM who;
    CREATE TABLE said AS
    SELECT *, {words} AS w FROM captions JOIN who USING (run, clip_id) WHERE decision = 'accepted';"""
RANK = "CASE split WHEN 'test' THEN 0 WHEN 'val' THEN 1 WHEN 'train' THEN 3 ELSE 2 END"
LEAKS = "count(DISTINCT split) FILTER (own IS NULL AND split IN ('train', 'val', 'test')) > 1"
SPLITS = "coalesce(list_sort(list(DISTINCT split) FILTER (own IS NULL)), [])"
SQL = {
    "recordings": f"""
        WITH once AS (SELECT recording_id, clip_id, max(duration_s) AS s FROM clips GROUP BY ALL),
             lengths AS (SELECT recording_id, sum(s) AS seconds FROM once GROUP BY ALL)
        SELECT recording_id, any_value(group_id), list_sort(list(DISTINCT dataset)),
               list_sort(list(DISTINCT dataset || '/' || split)), {SPLITS}, list_sort(list(DISTINCT clip_id)),
               any_value(seconds), [], {LEAKS}
        FROM who JOIN lengths USING (recording_id) GROUP BY recording_id ORDER BY 1""",
    "groups": f"""
        WITH best AS (SELECT group_id, coalesce(arg_min(split, {RANK}) FILTER (own IS NULL), arg_min(split, {RANK})) AS best
                      FROM who GROUP BY 1)
        SELECT group_id, list_sort(list(DISTINCT recording_id)), list_sort(list(DISTINCT dataset)), {SPLITS},
               any_value(best), count(*), count(*) FILTER (own IS NOT NULL OR split != best), {LEAKS}
        FROM who JOIN best USING (group_id) GROUP BY 1 ORDER BY 1""",
    "near_duplicates": """
        WITH least AS (SELECT sha256, min(recording_id) AS a FROM clips GROUP BY 1),
             shown AS (SELECT sha256, recording_id, min(clip_id) AS clip FROM clips GROUP BY ALL)
        SELECT a, b.recording_id, 'audio', 1.0, min((x.clip, b.clip))[1], min((x.clip, b.clip))[2]
        FROM least JOIN shown b USING (sha256) JOIN shown x ON x.sha256 = least.sha256 AND x.recording_id = a
        WHERE a != b.recording_id GROUP BY ALL ORDER BY 1, 2""",
    "duplicates": f"""
        SELECT array_to_string({WORDS}, ' ') AS text, list_sort(list(DISTINCT clip_id)),
               list_sort(list(DISTINCT dataset || '/' || split)), list_sort(list(DISTINCT split)), count(DISTINCT clip_id) AS n
        FROM said GROUP BY text HAVING n > 1 ORDER BY 1""",
    "near_captions": f"""
        WITH texts AS (SELECT array_to_string({WORDS}, ' ') AS text, list_distinct(any_value(w)) AS d, count(DISTINCT clip_id) AS n,
                              list_sort(list(DISTINCT dataset || '/' || split)) AS sets, list_sort(list(DISTINCT split)) AS splits
                       FROM said GROUP BY text HAVING len(d) > 0)
        SELECT a.text, b.text, len(list_intersect(a.d, b.d)) / len(list_distinct(list_concat(a.d, b.d))) AS j,
               a.n, b.n, a.sets, b.sets, a.splits, b.splits
        FROM texts a JOIN texts b ON a.text < b.text WHERE j >= 0.8 ORDER BY 1, 2""",
    "statistics": """
        WITH texts AS (SELECT run, dataset, published, count(*) AS n, avg(len(w)) AS mean, len(list_distinct(flatten(list(w)))) AS v,
                              count(*) FILTER (list_contains(w, 'café')) AS located
                       FROM said JOIN sets USING (run, clip_id, dataset) GROUP BY ALL),
             known AS (SELECT run, dataset, published, count(DISTINCT class_id) AS n
                       FROM sets JOIN classes USING (run, clip_id) GROUP BY ALL)
        SELECT run, dataset, published, count(*), count(DISTINCT recording_id), 0.0, 1.0, sum(duration_s) / 3600, 1.0,
               coalesce(any_value(texts.n), 0), any_value(texts.mean), coalesce(any_value(v), 0), coalesce(any_value(located), 0), 0,
               any_value(known.n), avg((licence = 'unknown')::INT)
        FROM sets LEFT JOIN texts USING (run, dataset, published)
        LEFT JOIN known USING (run, dataset, published) GROUP BY ALL ORDER BY 1, 2, 3""",
    "overlap": """
        WITH every AS (SELECT DISTINCT dataset, published FROM sets),
             -- A clip of several runs counts once, at its longest.
             once AS (SELECT dataset, published, recording_id, group_id, clip_id, max((e - s, -s, s, e)) AS span FROM sets GROUP BY ALL),
             pairs AS (SELECT a.dataset AS da, a.published AS pa, b.dataset AS db, b.published AS pb,
                       count(*) FILTER (a.clip_id != b.clip_id
                                        AND a.span[3] < b.span[4] AND b.span[3] < a.span[4]) AS segments,
                       count(*) FILTER (a.clip_id != b.clip_id AND (a.span[3] IS NULL OR b.span[3] IS NULL)) AS untimed
                       FROM once a JOIN once b USING (recording_id) GROUP BY ALL)
        SELECT a.dataset AS x, a.published AS p, b.dataset AS y, b.published AS q,
               (SELECT count(*) FROM (SELECT recording_id FROM sets WHERE (dataset, published) = (x, p)
                                      INTERSECT SELECT recording_id FROM sets WHERE (dataset, published) = (y, q))),
               (SELECT count(*) FROM (SELECT group_id FROM sets WHERE (dataset, published) = (x, p)
                                      INTERSECT SELECT group_id FROM sets WHERE (dataset, published) = (y, q))),
               coalesce(segments, 0) // CASE WHEN a = b THEN 2 ELSE 1 END, coalesce(untimed, 0) // CASE WHEN a = b THEN 2 ELSE 1 END
        FROM every a JOIN every b
             ON (a.dataset, a.published) <= (b.dataset, b.published) AND (a.published = '*') = (b.published = '*')
        LEFT JOIN pairs ON (da, pa, db, pb) = (a.dataset, a.published, b.dataset, b.published) ORDER BY 1, 2, 3, 4""",
}


def ask(runs: list[str], table: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        for source, stage in STAGES.items():
            parts = []
            for i, run in enumerate(runs):
                files = sorted(Path(run).glob(f"tables/{stage}-*/p?????.parquet"))
                for j, file in enumerate(files):
                    connection.register(f"{source}_{i}_{j}", pq.ParquetFile(file).read())
                    parts.append(f"SELECT *, '{Path(run).name}' AS run FROM {source}_{i}_{j}")
            connection.execute(f"CREATE TABLE {source} AS {' UNION ALL '.join(parts)}")
        connection.execute(MEMBERS.format(words=WORDS))
        return connection.execute(SQL[table]).fetchall()


@pytest.mark.parametrize("table", SQL)
def test_beam_finds_what_sql_finds(table: str, two_runs: list[str], catalogue: Path) -> None:
    found, expected = rows(str(catalogue), table)[1], ask(two_runs, table)
    assert len(found) == len(expected) > 2
    for mine, theirs in zip(found, expected, strict=True):
        assert mine == tuple(pytest.approx(x, rel=1e-12) if isinstance(x, float) else x for x in theirs)


def test_the_drawn_runs_hold_every_case(catalogue: Path) -> None:
    recordings = read_table(str(catalogue), "recordings").to_pylist()
    assert {row["leaks"] for row in recordings} == {True, False}
    assert any(row["splits"] == ["evaluation", "train"] and not row["leaks"] for row in recordings)
    assert any(row["recording_id"] != row["group_id"] for row in recordings)
    texts = read_table(str(catalogue), "duplicates").column("text").to_pylist()
    assert {"a dog barks", "a dog's bark", "rain falls on café tiles", "шум дождя"} <= set(texts)
    members = read_table(str(catalogue), "members").to_pylist()
    assert {row["withheld"] for row in members} == {None, "leaks_into_test", "leaks_into_val", "leaks_into_evaluation"}
    overlap = read_table(str(catalogue), "overlap").to_pylist()
    assert any(row["groups"] > row["recordings"] for row in overlap)
    assert any(row["segments"] and row["untimed"] for row in overlap)


@pytest.mark.parametrize("table", CATALOG_TABLES)
def test_tables_keep_their_schema_and_order_and_say_what_columns_mean(table: str, catalogue: Path) -> None:
    made = read_table(str(catalogue), table)
    assert made.schema == CATALOG_TABLES[table]
    assert made.schema.metadata == CATALOG_TABLES[table].metadata
    assert all(field.metadata[b"doc"] for field in made.schema)
    assert all(field.nullable == (b"null:" in field.metadata[b"doc"]) for field in made.schema)
    keys = [tuple(row[key] for key in KEYS[table]) for row in made.to_pylist()]
    assert keys == sorted(set(keys))


def contents(out: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in out.iterdir() if file.is_file()}


def test_runs_in_another_place_and_order_give_the_same_bytes(
    two_runs: list[str], catalogue: Path, tmp_path: Path
) -> None:
    moved = [shutil.copytree(run, tmp_path / "moved" / Path(run).name) for run in reversed(two_runs)]
    build_catalog([str(run) for run in [*moved, moved[0]]], str(tmp_path / "out"))
    assert contents(tmp_path / "out") == contents(catalogue)
    assert sorted(contents(catalogue)) == sorted(f"{table}.parquet" for table in CATALOG_TABLES)


def test_worker_processes_give_the_same_bytes(two_runs: list[str], catalogue: Path, tmp_path: Path) -> None:
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    build_catalog(two_runs, str(tmp_path), runner_options=options)
    assert contents(tmp_path) == contents(catalogue)


@pytest.fixture
def job_server(tmp_path: Path) -> Iterator[str]:
    """Start Beam's own server of the job API, by which runners such as Flink's are reached too."""
    port = tmp_path / "port"
    module = "apache_beam.runners.portability.local_job_service_main"
    command = [sys.executable, "-m", module, "--port", "0", "--port_file", str(port)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 120
        while not (port.exists() and port.read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        yield f"localhost:{port.read_text().strip()}"
    finally:
        server.terminate()
        server.wait()


def test_a_runner_behind_a_job_server_gives_the_same_bytes(
    two_runs: list[str], catalogue: Path, job_server: str, tmp_path: Path
) -> None:
    options = [f"--job_endpoint={job_server}", "--environment_type=LOOPBACK"]
    build_catalog(two_runs, str(tmp_path / "out"), runner="PortableRunner", runner_options=options)
    assert contents(tmp_path / "out") == contents(catalogue)
    damage(Path(two_runs[0]), tmp_path / "damaged")
    with pytest.raises(RunStopped, match=r"^[^\n]*Parquet[^\n]*$"):
        build_catalog([str(tmp_path / "damaged")], str(tmp_path / "none"), "PortableRunner", options)


def damage(run: Path, copy: Path) -> None:
    shutil.copytree(run, copy)
    file = sorted(copy.glob("tables/ingest-*/*.parquet"))[0]
    file.write_bytes(file.read_bytes()[:-4] + b"none")


def test_a_leak_a_duplicate_and_datasets_that_share_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = [
        clip("a-1", "train", "yt:x", 1.5, "unknown", start_s=10.0),
        clip("b-1", "test", "yt:x", 2.0, "cc0", start_s=11.0),
        clip("c-1", "val", "fs:y", 4.0, "cc0"),
    ]
    again = [clip("a-1", "train", "yt:x", 3.0, "unknown", start_s=10.0)]
    said = [
        caption(first[0], "A bell rings.", "accepted"),
        caption(first[1], "a bell rings", "accepted"),
        caption(first[2], "A bell rings", "refused"),
    ]
    bell = [known(first[2], "/m/1")]
    runs = [
        write_run(tmp_path / "one/run", {"clips": first, "captions": said, "classes": bell}),
        write_run(tmp_path / "two/run", {"clips": again, "captions": said[:1], "classes": []}),
    ]
    out = str(tmp_path / "out")
    counts = dict.fromkeys(CATALOG_TABLES, 0) | {
        "members": 4, "recordings": 2, "groups": 2, "duplicates": 1, "statistics": 8, "overlap": 12,
        "leaks": 1, "leaking_groups": 1,
    }  # fmt: skip
    assert build_catalog(runs, out) == counts
    assert capfd.readouterr() == ("", "")
    assert rows(out, "recordings")[1] == [
        ("fs:y", "fs:y", ["c"], ["c/val"], ["val"], ["c-1"], 4.0, [], False),
        ("yt:x", "yt:x", ["a", "b"], ["a/train", "b/test"], ["test", "train"], ["a-1", "b-1"], 5.0, [], True),
    ]
    assert rows(out, "groups")[1] == [
        ("fs:y", ["fs:y"], ["c"], ["val"], "val", 1, 0, False),
        ("yt:x", ["yt:x"], ["a", "b"], ["test", "train"], "test", 3, 2, True),
    ]
    assert rows(out, "duplicates")[1] == [("a bell rings", ["a-1", "b-1"], ["a/train", "b/test"], ["test", "train"], 2)]
    cells = {row[:4]: row[4:] for row in rows(out, "overlap")[1]}
    assert cells["a", "*", "b", "*"] == cells["a", "train", "b", "test"] == (1, 1, 1, 0)
    # The clip that stands in two runs is one member, not a pair.
    assert cells["a", "*", "a", "*"] == (1, 1, 0, 0)
    assert cells["a", "train", "c", "val"] == (0, 0, 0, 0)
    members = read_table(out, "members").to_pylist()
    assert [(row["run"], row["member_id"], row["start_s"], row["end_s"], row["withheld"]) for row in members] == [
        ("one/run", "a-1", 10.0, 11.5, "leaks_into_test"),
        ("one/run", "b-1", 11.0, 13.0, None),
        ("one/run", "c-1", None, None, None),
        ("two/run", "a-1", 10.0, 13.0, "leaks_into_test"),
    ]
    assert rows(out, "statistics")[1][0] == (
        "one/run", "a", "*", 1, 1, 0.0, 1.0, 1.5 / 3600, 1.0, 1, 3.0, 3, 0, 0, 0, 1.0,
    )  # fmt: skip


def test_what_a_run_has_withheld_itself_leaks_no_more_and_pulls_nobody_along(tmp_path: Path) -> None:
    clips = [
        clip("a-1", "train", "yt:x", 1.0, "cc0", used="test", withheld="leaks_into_test"),
        clip("a-2", "test", "yt:x", 1.0, "cc0"),
        clip("a-3", "train", "yt:z", 1.0, "cc0", used="val"),
    ]
    other = [
        clip("b-1", "val", "yt:z", 1.0, "cc0"),
        clip("b-2", "train", "yt:x", 1.0, "cc0", withheld="leaks_into_val"),
    ]
    one = write_run(tmp_path / "one", {"clips": clips, "captions": [], "classes": []})
    two = write_run(tmp_path / "two", {"clips": other, "captions": [], "classes": []})
    counts = build_catalog([one, two], str(tmp_path / "out"))
    assert (counts["leaks"], counts["leaking_groups"]) == (0, 0)
    members = {row["member_id"]: row for row in read_table(str(tmp_path / "out"), "members").to_pylist()}
    assert {key: row["split"] for key, row in members.items()} == {
        "a-1": "train", "a-2": "test", "a-3": "val", "b-1": "val", "b-2": "train",
    }  # fmt: skip
    assert {key for key, row in members.items() if row["withheld"]} == {"a-1", "b-2"}
    # The draw of its run moved it: the split as in `clips` is another matter.
    assert members["a-3"]["published"] == "train"


def test_clips_that_sound_the_same_bind_the_recordings_of_two_runs(tmp_path: Path) -> None:
    draw = random.Random(5)
    hashes, others = ([draw.randrange(2**32) for _ in range(80)] for _ in range(2))
    times = sorted(draw.randrange(300) for _ in range(80))
    one = [
        clip("a-1", "test", "yt:x", 1.0, "cc0", landmarks=(hashes, times)),
        clip("a-2", "train", "yt:y", 1.0, "cc0", landmarks=(others, times)),
    ]
    late = (hashes[20:], [time + 7 for time in times[20:]])
    two = [
        clip("b-1", "train", "fs:9", 1.0, "cc0", landmarks=late),
        clip("b-2", "val", "fs:8", 1.0, "cc0", sha256="a-2train"),
    ]
    runs = [
        write_run(tmp_path / name, {"clips": clips, "captions": [], "classes": []})
        for name, clips in (("one", one), ("two", two))
    ]
    out = str(tmp_path / "out")
    counts = build_catalog(runs, out)
    assert (counts["groups"], counts["leaks"], counts["leaking_groups"]) == (2, 0, 2)
    assert rows(out, "near_duplicates")[1] == [
        ("fs:8", "yt:y", "audio", 1.0, "b-2", "a-2"),
        ("fs:9", "yt:x", "fingerprint", 1.0, "b-1", "a-1"),
    ]
    members = {row["member_id"]: (row["group_id"], row["withheld"]) for row in read_table(out, "members").to_pylist()}
    assert members == {
        "a-1": ("fs:9", None), "b-1": ("fs:9", "leaks_into_test"), "a-2": ("fs:8", "leaks_into_val"), "b-2": ("fs:8", None),
    }  # fmt: skip
    cells = {row[:4]: row[4:6] for row in rows(out, "overlap")[1]}
    assert cells["a", "*", "b", "*"] == (0, 2)


def test_a_run_without_clips_gives_tables_without_rows(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"clips": [], "captions": [], "classes": []})
    assert set(build_catalog([run], str(tmp_path / "out")).values()) == {0}
    made = {table: read_table(str(tmp_path / "out"), table).schema for table in CATALOG_TABLES}
    assert made == CATALOG_TABLES
    assert catalog_tables(str(tmp_path / "out"))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return Path(drawn_run(tmp_path / "run", 3, 8))


def refused(runs: list[str], out: Path, **how: Any) -> str:
    with pytest.raises(UserError) as caught:
        build_catalog(runs, str(out), **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_finished_run_is_refused_and_nothing_is_made(small: Path, tmp_path: Path) -> None:
    out, absent = tmp_path / "out", tmp_path / "absent"
    assert "none is named" in refused([], out)
    assert f"{absent}: is neither a run folder" in refused([str(small), str(absent)], out)
    assert f"{tmp_path}: holds no run" in refused([str(tmp_path)], out)
    (small / "seal.json").rename(tmp_path / "seal.json")
    assert "not finished" in refused([str(small)], out)
    (small / "seal.json").write_bytes((tmp_path / "seal.json").read_bytes().replace(b"ingest-0", b"ingest-1"))
    assert "altered" in refused([str(small)], out)
    assert not out.exists()
    assert not absent.exists()


def test_a_run_that_lacks_a_table_or_is_of_another_version_is_refused(small: Path, tmp_path: Path) -> None:
    lost = sorted(small.glob("tables/unify-*/*.parquet"))[2]
    data = lost.read_bytes()
    lost.unlink()
    assert "p00002.parquet is missing" in refused([str(small)], tmp_path / "out")
    lost.write_bytes(data)
    (small / "run.json").write_text(json.dumps({"tables": tables.VERSION + 1}))
    assert "version" in refused([str(small)], tmp_path / "out")


def test_a_folder_that_holds_a_run_is_not_written_to(small: Path) -> None:
    before = sorted(small.rglob("*"))
    assert "holds a run" in refused([str(small)], small)
    assert sorted(small.rglob("*")) == before


def test_a_runner_or_an_option_that_does_not_exist_is_named(
    small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert "--runner NoRunner: Unexpected" in refused([str(small)], tmp_path / "out", runner="NoRunner")
    assert "no.such.Runner" in refused([str(small)], tmp_path / "out", runner="no.such.Runner")
    bad = ["--direct_num_workers=many"]
    assert "invalid int value: 'many'" in refused([str(small)], tmp_path / "out", runner_options=bad)
    assert capfd.readouterr() == ("", "")
    build_catalog([str(small)], str(tmp_path / "out"), runner_options=["--direct_num_werkers=2"])
    assert "--direct_num_werkers" in caplog.text


def test_a_damaged_table_stops_the_build_and_leaves_no_table_of_an_earlier_one(
    small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    build_catalog([str(small)], str(tmp_path / "out"))
    damage(small, tmp_path / "damaged")
    with pytest.raises(RunStopped, match="Parquet"):
        build_catalog([str(tmp_path / "damaged")], str(tmp_path / "out"))
    assert capfd.readouterr() == ("", "")
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]


def test_a_table_that_was_not_built_is_a_mistake_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no overlap\.parquet"):
        rows(str(tmp_path), "overlap")
