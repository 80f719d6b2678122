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
import pyarrow.parquet as pq
import pytest

from pipelines.catalog.build import build_catalog, catalog_tables, read_table, rows
from pipelines.catalog.query import render
from pipelines.catalog.tables import CATALOG_TABLES, KEYS, SOURCES
from pipelines.core.commit import parquet_bytes, table_name
from pipelines.seal import sealed_bytes
from schemas import tables
from schemas.errors import RunStopped, UserError
from schemas.ids import partition_of

Row = dict[str, Any]
CAPTIONS = (
    "A dog barks.", "a dog, barks!", "A  DOG\tBARKS", "A dog's bark", "A dog’s bark", "Rain falls",
    "Rain falls on café tiles", "Rain falls on cafe\u0301 tiles", "Wind; then 2 sirens",
    "snake_case", "...", "Шум дождя", "шум  дождя!",
)  # fmt: skip


def clip(clip_id: str, split: str, recording_id: str, duration_s: float, licence: str | None) -> Row:
    return {
        "clip_id": clip_id, "record_id": clip_id, "dataset": clip_id.split("-")[0], "split": split,
        "recording_id": recording_id, "duration_s": duration_s, "sample_rate": 16000,
        "source_path": "a.wav", "source_start_s": 0.0, "source_rate": 44100, "source_channels": 1,
        "source_decoder": "soundfile", "decoded_s": duration_s, "gain_db": 0.0, "excerpt_s": 0.0, "sha256": "0", "licence": licence,
        "tar": "store/a.tar", "offset": 0, "size": 1,
    }  # fmt: skip


def caption(of: Row, text: str | None, decision: str) -> Row:
    return {key: of[key] for key in ("clip_id", "dataset", "split")} | {
        "caption": text, "decision": decision, "reasons": []}  # fmt: skip


def known(of: Row, class_id: str | None) -> Row:
    return {"clip_id": of["clip_id"], "class_id": class_id, "origin": "none", "state": "unknown"}


def write_run(folder: Path, rows_of: dict[str, list[Row]], partitions: int = 3) -> str:
    """Write a run that holds these tables, as far as the catalogue looks at one."""
    stages = {}
    for table, (stage, _) in SOURCES.items():
        stages[stage] = f"tables/{stage}-0123456789ab"
        (folder / stages[stage]).mkdir(parents=True)
        for p in range(partitions):
            part = [row for row in rows_of[table] if partition_of(row["clip_id"], partitions) == p]
            data = parquet_bytes(tables.from_rows(table, part))
            (folder / table_name(stages[stage], p)).write_bytes(data)
    frozen = {"name": "x", "partitions": partitions, "tables": tables.VERSION}
    (folder / "run.json").write_text(json.dumps(frozen))
    seal = {"stages": stages, "files": {}, "partitions": partitions}
    (folder / "seal.json").write_bytes(sealed_bytes(seal))
    return str(folder)


def drawn_run(folder: Path, seed: int, count: int) -> str:
    """Write a run of three datasets that share recordings with each other, with other seeds, over splits."""
    draw = random.Random(seed)
    made: dict[str, list[Row]] = {table: [] for table in SOURCES}
    for number in range(count):
        split = draw.choice(["train", "train", "train", "val", "test", "evaluation"])
        recording = f"{draw.choice(['yt', 'fs'])}:{draw.randrange(count)}"
        name = f"{draw.choice(['clotho', 'fsd50k', 'Zoo'])}-{number}"
        licence = draw.choice([None, "CC0", "CC-BY"])
        row = clip(name, split, recording, draw.randrange(1, 480000) / 16000, licence)
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
SQL = {
    "recordings": """
        WITH once AS (SELECT recording_id, clip_id, max(duration_s) AS s FROM clips GROUP BY ALL),
             lengths AS (SELECT recording_id, count(*) AS n, sum(s) AS seconds FROM once GROUP BY ALL)
        SELECT recording_id, list_sort(list(DISTINCT dataset)), list_sort(list(DISTINCT clip_id)),
               list_sort(list(DISTINCT split)), any_value(n), any_value(seconds),
               count(DISTINCT split) FILTER (split IN ('train', 'val', 'test')) > 1
        FROM clips JOIN lengths USING (recording_id) GROUP BY recording_id ORDER BY 1""",
    "duplicates": f"""
        SELECT array_to_string({WORDS}, ' ') AS text, list_sort(list(DISTINCT clip_id)),
               list_sort(list(DISTINCT dataset)), count(DISTINCT clip_id) AS n
        FROM captions WHERE decision = 'accepted' GROUP BY text HAVING n > 1 ORDER BY 1""",
    "statistics": f"""
        WITH spoken AS (SELECT *, {WORDS} AS words FROM captions WHERE decision = 'accepted'),
             said AS (SELECT run, dataset, split, unnest(words) AS word FROM spoken),
             vocabulary AS (SELECT run, dataset, split, count(DISTINCT word) AS n FROM said GROUP BY ALL),
             texts AS (SELECT run, dataset, split, count(*) AS n, avg(len(words)) AS mean
                       FROM spoken GROUP BY ALL),
             known AS (SELECT run, dataset, split, count(DISTINCT class_id) AS n
                       FROM clips JOIN classes USING (run, clip_id) GROUP BY ALL)
        SELECT run, dataset, split, count(*), count(DISTINCT recording_id), sum(duration_s) / 3600,
               coalesce(any_value(texts.n), 0), any_value(texts.mean), coalesce(any_value(vocabulary.n), 0),
               any_value(known.n), avg((licence IS NULL)::INT)
        FROM clips LEFT JOIN texts USING (run, dataset, split)
        LEFT JOIN vocabulary USING (run, dataset, split)
        LEFT JOIN known USING (run, dataset, split) GROUP BY ALL ORDER BY 1, 2, 3""",
    "overlap": """
        WITH datasets AS (SELECT DISTINCT dataset FROM clips)
        SELECT a.dataset AS x, b.dataset AS y, (SELECT count(*) FROM (
            SELECT recording_id FROM clips WHERE dataset = x
            INTERSECT SELECT recording_id FROM clips WHERE dataset = y))
        FROM datasets a JOIN datasets b ON a.dataset < b.dataset ORDER BY 1, 2""",
}


def ask(runs: list[str], table: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        for source, (stage, _) in SOURCES.items():
            parts = []
            for i, run in enumerate(runs):
                files = sorted(Path(run).glob(f"tables/{stage}-*/p?????.parquet"))
                for j, file in enumerate(files):
                    connection.register(f"{source}_{i}_{j}", pq.ParquetFile(file).read())
                    parts.append(f"SELECT *, '{Path(run).name}' AS run FROM {source}_{i}_{j}")
            connection.execute(f"CREATE TABLE {source} AS {' UNION ALL '.join(parts)}")
        return connection.execute(SQL[table]).fetchall()


@pytest.mark.parametrize("table", CATALOG_TABLES)
def test_beam_finds_what_sql_finds(table: str, two_runs: list[str], catalogue: Path) -> None:
    found, expected = rows(str(catalogue), table)[1], ask(two_runs, table)
    assert len(found) == len(expected) > 2
    for mine, theirs in zip(found, expected, strict=True):
        assert mine == tuple(pytest.approx(x, rel=1e-12) if isinstance(x, float) else x for x in theirs)


def test_the_drawn_runs_hold_every_case(catalogue: Path) -> None:
    recordings = read_table(str(catalogue), "recordings").to_pylist()
    assert {row["leaks"] for row in recordings} == {True, False}
    assert any(row["splits"] == ["evaluation", "train"] and not row["leaks"] for row in recordings)
    texts = read_table(str(catalogue), "duplicates").column("text").to_pylist()
    assert {"a dog barks", "a dog's bark", "rain falls on café tiles", "шум дождя"} <= set(texts)


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
    return {file.name: file.read_bytes() for file in out.iterdir()}


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
        end = time.monotonic() + 30
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
        clip("a-1", "train", "yt:x", 1.5, None),
        clip("b-1", "test", "yt:x", 2.0, "CC0"),
        clip("c-1", "val", "fs:y", 4.0, "CC0"),
    ]
    again = [clip("a-1", "train", "yt:x", 3.0, None)]
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
    counts = {"recordings": 2, "duplicates": 1, "statistics": 4, "overlap": 3, "leaks": 1}
    assert build_catalog(runs, out) == counts
    assert capfd.readouterr() == ("", "")
    assert rows(out, "recordings")[1] == [
        ("fs:y", ["c"], ["c-1"], ["val"], 1, 4.0, False),
        ("yt:x", ["a", "b"], ["a-1", "b-1"], ["test", "train"], 2, 5.0, True),
    ]
    assert rows(out, "duplicates")[1] == [("a bell rings", ["a-1", "b-1"], ["a", "b"], 2)]
    assert rows(out, "overlap")[1] == [("a", "b", 1), ("a", "c", 0), ("b", "c", 0)]
    assert rows(out, "statistics")[1] == [
        ("one/run", "a", "train", 1, 1, 1.5 / 3600, 1, 3.0, 3, 0, 1.0),
        ("one/run", "b", "test", 1, 1, 2.0 / 3600, 1, 3.0, 3, 0, 0.0),
        ("one/run", "c", "val", 1, 1, 4.0 / 3600, 0, None, 0, 1, 0.0),
        ("two/run", "a", "train", 1, 1, 3.0 / 3600, 1, 3.0, 3, 0, 1.0),
    ]
    printed = [render(*rows(out, table), "table") for table in ("statistics", "overlap")]
    assert catalog_tables(out) == "\n\n".join(printed)
    assert render(*rows(out, "overlap"), "csv").startswith("dataset_a,dataset_b,recordings\na,b,1\n")


def test_a_run_without_clips_gives_tables_without_rows(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {table: [] for table in SOURCES})
    assert set(build_catalog([run], str(tmp_path / "out")).values()) == {0}
    made = {table: read_table(str(tmp_path / "out"), table).schema for table in CATALOG_TABLES}
    assert made == CATALOG_TABLES


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
    assert f"{absent}: is no folder" in refused([str(small), str(absent)], out)
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
    assert not list((tmp_path / "out").iterdir())


def test_a_table_that_was_not_built_is_a_mistake_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no overlap\.parquet"):
        rows(str(tmp_path), "overlap")
