"""The dataset folder: what `datasets` reads of it, read here by the same rules; and a card that tells what was run.

`datasets` is none of Earloom's packages. Where it is installed, it loads the folder too.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from adapter_trees import source
from publish_runs import candidate, clip, flac

from pipelines.catalog import query
from pipelines.core.workspace import Workspace
from pipelines.ingest.adapters import adapter
from pipelines.publish.export import export
from pipelines.publish.form import Options
from pipelines.publish.outbox import Outbox
from pipelines.publish.sinks import ParquetShards
from schemas.licences import LICENCES

SOUND = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def front_of(folder: Path) -> dict[str, Any]:
    """Return the YAML between the first two lines of dashes, as the hub reads a card."""
    found = re.match(r"\A---\n(.*?\n)---\n", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return yaml.safe_load(found[1])


def load(folder: Path) -> dict[str, pa.Table]:
    """Return the splits as `load_dataset` finds them: by the patterns of the card's default configuration."""
    (config,) = front_of(folder)["configs"]
    assert config["config_name"] == "default"
    return {
        each["split"]: pa.concat_tables(map(pq.read_table, sorted(folder.glob(each["path"]))))
        for each in config["data_files"]
    }


def type_of(feature: Any) -> pa.DataType:
    """Return the arrow type that `datasets` gives a feature of a schema's metadata."""
    if isinstance(feature, list):
        return pa.list_(type_of(feature[0]))
    if "_type" not in feature:
        return pa.struct([(name, type_of(each)) for name, each in feature.items()])
    if feature["_type"] == "Audio":
        return SOUND
    return {"string": pa.string(), "float64": pa.float64(), "int64": pa.int64()}[feature["dtype"]]


def type_of_yaml(feature: dict[str, Any]) -> pa.DataType:
    """Return the arrow type that `datasets` gives a feature of a card."""
    if "list" in feature:
        return pa.list_(pa.struct([(each["name"], type_of_yaml(each)) for each in feature["list"]]))
    if "sequence" in feature:
        return pa.list_(type_of_yaml({"dtype": feature["sequence"]}))
    if isinstance(feature["dtype"], dict):
        assert feature["dtype"].keys() == {"audio"}
        return SOUND
    return type_of({"dtype": feature["dtype"], "_type": "Value"})


@pytest.fixture
def few(make):
    rows = [
        candidate("a", n, text, style=f"s{n}") for n, text in enumerate(("A dog.", "a dog", "It barks.", "Ein Hund."))
    ]
    rows[3]["language"] = "de"
    rows += [candidate("b", 0, "Rain | hail.")]
    judged = {"a:w:0": 0.9, "a:w:1": 0.8, "a:w:2": 0.2, "a:w:3": 0.7, "b:w:0": 0.1}
    verdicts = [
        {"candidate_id": key, "clip_id": key[0], "probability": p, "decision": "accepted" if p > 0.5 else "refused"}
        for key, p in judged.items()
    ]
    classes = [
        {"clip_id": "a", "class_id": "/m/0bt9lr", "class_name": "Dog", "origin": "label:mid", "state": "labelled"},
        {"clip_id": "b", "class_id": None, "class_name": "hail", "origin": "keyword:none", "state": "unknown"},
    ]
    return make(
        clip("a", "yt:b0RFKhbpFJA", caption="A dog.", split="train-clean", licence="by"),
        clip("b", "fs:1", caption="Rain | hail.", decision="refused", licence="cc0"),
        clip("c", "fs:2", withheld="leaks_into_test", licence="cc0"),
        candidates=rows,
        verdicts=verdicts,
        classes=classes,
        recipe={"data": {"datasets": ["fsd50k"], "decontaminate": ["clotho/evaluation", "esc50"]}},
        dropped=(
            ("x", "decontaminated:clotho/evaluation"),
            ("y", "decontaminated:clotho/evaluation"),
            ("z", "licence:by"),
        ),
        revisions={"make_candidates": {"model": "gpt|x", "prompt": "sha-1"}},
    )


@pytest.mark.parametrize("audio", [True, False])
def test_the_card_the_files_and_their_schemas_say_the_same(demo, tmp_path, audio):
    run = Workspace(str(demo))
    export(run, "huggingface", str(tmp_path / "x"), Options(audio=audio))
    front, splits = front_of(tmp_path / "x"), load(tmp_path / "x")
    told = front["dataset_info"]
    assert {each["name"]: each["num_examples"] for each in told["splits"]} == {k: v.num_rows for k, v in splits.items()}
    files = sorted((tmp_path / "x" / "data").iterdir())
    assert all(re.fullmatch(r"\w+-\d{5}-of-\d{5}\.parquet", path.name) for path in files)
    assert told["download_size"] == sum(path.stat().st_size for path in files)
    for path in files:
        schema = pq.read_schema(path)
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        assert pa.schema([(name, type_of(each)) for name, each in features.items()]).equals(schema)
        assert pa.schema([(each["name"], type_of_yaml(each)) for each in told["features"]]).equals(schema)
        assert ("audio" in schema.names) == audio
    found = {row["clip_id"]: row for table in splits.values() for row in table.to_pylist()}
    wanted = query.dicts(
        run, "SELECT * FROM captions JOIN clips USING (clip_id) WHERE decision = 'accepted' AND withheld IS NULL"
    )
    assert found.keys() == {row["clip_id"] for row in wanted}
    for row in wanted:
        shown = found[row["clip_id"]]
        assert all(
            shown[name] == row[name] for name in ("caption", "licence", "attribution", "recording_id", "duration_s")
        )
        assert shown["captions"][0] == row["caption"]
        assert shown["candidates"][0]["candidate_id"] == row["candidate_id"]
        if audio:
            assert shown["audio"]["bytes"] == run.read_range(row["tar"], row["offset"], row["size"])
            info = soundfile.info(io.BytesIO(shown["audio"]["bytes"]))
            assert info.samplerate == features["audio"]["sampling_rate"] == row["sample_rate"]


def test_our_own_reader_of_such_folders_finds_captions_sounds_and_splits(demo, tmp_path):
    export(Workspace(str(demo)), "huggingface", str(tmp_path / "x"), Options(audio=True))
    rows = list(adapter("huggingface").rows(source(tmp_path, "huggingface", "x")))
    splits = load(tmp_path / "x")
    assert sorted(row["captions"][0] for row in rows) == sorted(
        text for table in splits.values() for text in table.column("caption").to_pylist()
    )
    assert {row["split"] for row in rows} == splits.keys()
    assert all(row["member"].startswith("row:") for row in rows)


def test_the_library_of_hugging_face_loads_it(demo, tmp_path):
    datasets = pytest.importorskip("datasets", reason="the package `datasets` is not here")
    export(Workspace(str(demo)), "huggingface", str(tmp_path / "x"), Options())
    found = datasets.load_dataset(str(tmp_path / "x"), cache_dir=str(tmp_path / "cache"))
    assert {name: split.num_rows for name, split in found.items()} == {
        k: v.num_rows for k, v in load(tmp_path / "x").items()
    }


def test_a_row_has_what_was_accepted_and_with_all_what_was_not(few, tmp_path):
    export(few, "huggingface", str(tmp_path / "x"), Options(audio=True))
    ((name, table),) = load(tmp_path / "x").items()
    assert name == "train_clean", "no split of `datasets` has a hyphen"
    (row,) = table.to_pylist()
    assert row["captions"] == ["A dog."], "one language, no words twice"
    assert [(each["text"], each["language"]) for each in row["candidates"]] == [
        ("A dog.", "en"),
        ("a dog", "en"),
        ("Ein Hund.", "de"),
    ]
    assert row["classes"] == [{"class_id": "/m/0bt9lr", "class_name": "Dog", "origin": "label:mid", "confidence": None}]
    assert row["audio"] == {"bytes": flac("a"), "path": "a.flac"}
    assert (row["split"], row["decision"], row["withheld"]) == ("train-clean", "accepted", None)

    export(few, "huggingface", str(tmp_path / "y"), Options(everything=True))
    rows = {row["clip_id"]: row for table in load(tmp_path / "y").values() for row in table.to_pylist()}
    assert {key: (row["decision"], row["withheld"]) for key, row in rows.items()} == {
        "a": ("accepted", None),
        "b": ("refused", None),
        "c": ("accepted", "leaks_into_test"),
    }
    assert [each["decision"] for each in rows["a"]["candidates"]] == ["accepted", "accepted", "accepted", "refused"]
    assert (rows["b"]["captions"], rows["b"]["classes"], rows["b"]["state"]) == ([], [], "unknown")


def test_the_card_tells_what_was_run_decided_kept_out_and_licensed(few, tmp_path):
    export(few, "huggingface", str(tmp_path / "x"), Options())
    page, front = (tmp_path / "x/README.md").read_text(), front_of(tmp_path / "x")
    assert (front["license"], front["license_name"], front["license_link"]) == ("other", "by", "LICENSE.md")
    assert front["size_categories"] == ["n<1K"]
    assert front["language"] == ["de", "en"]
    for line in (
        "| accepted | 2 |",
        "| refused | 1 |",
        "| leaks_into_test | 1 |",
        "| clotho/evaluation | 2 |",
        "| esc50 | 0 |",
        f"| by | 1 | {LICENCES['by']} |",
        "| make_candidates | 1 | model gpt/x; prompt sha-1 |",
    ):
        assert line in page.splitlines(), line
    assert few.sha256("seal.json") in page
    assert "cc0" not in (tmp_path / "x/LICENSE.md").read_text(), "licences of what is in it alone"


def test_a_large_split_goes_to_several_files_whose_names_tell_how_many(tmp_path):
    box, schema = Outbox(tmp_path), pa.schema([("n", pa.int64()), ("sound", pa.binary())])
    shards = ParquetShards(box, "val", schema, file_bytes=3000)
    for n in range(10):
        shards.add({"n": n, "sound": bytes(range(256)) * 4 + bytes([n])}, heavy=64_000_000)
    names = shards.close()
    box.close()
    assert len(names) > 1
    assert names == [f"data/val-{n:05d}-of-{len(names):05d}.parquet" for n in range(len(names))]
    assert [n for name in names for n in pq.read_table(tmp_path / name).column("n").to_pylist()] == list(range(10))
    assert sorted(box.facts()) == names
    assert shards.rows == 10
