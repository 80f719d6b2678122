"""The adapter `huggingface`: Parquet and Arrow files as `datasets` saves them, as the hub has them, and of others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from adapter_trees import source, tree
from own_datasets import RATE, by_caption, errors, flac, index, names, sound

from pipelines.ingest.adapters import huggingface
from pipelines.ingest.decode import decode
from pipelines.ingest.member import located
from schemas.errors import UserError

AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def metadata(**features: Any) -> dict[str, str]:
    return {"huggingface": json.dumps({"info": {"features": features}})}


def table(rows: list[dict[str, Any]], **features: Any) -> pa.Table:
    kinds = {"audio": AUDIO}
    names = list(rows[0])
    columns = [pa.array([row[name] for row in rows], kinds.get(name)) for name in names]
    made = pa.Table.from_arrays(columns, names)
    return made.replace_schema_metadata(metadata(**features)) if features else made


def save(path: Path, content: pa.Table, rows: int = 2) -> None:
    """Write a table as `datasets` does: an Arrow stream, or Parquet in small row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(content, path, row_group_size=rows)
        return
    with pa.OSFile(str(path), "wb") as file, ipc.new_stream(file, content.schema) as writer:
        writer.write_table(content, max_chunksize=rows)


FEATURES = {
    "audio": {"sampling_rate": RATE, "_type": "Audio"},
    "picture": {"_type": "Image"},
    "label": {"names": ["dog", "cat"], "_type": "ClassLabel"},
    "tags": {"feature": {"names": ["loud", "soft"], "_type": "ClassLabel"}, "_type": "List"},
    "text": {"dtype": "string", "_type": "Value"},
}


def example(n: int, data: bytes | None, path: str | None = None) -> dict[str, Any]:
    return {
        "picture": {"bytes": b"png", "path": None},
        "audio": {"bytes": data, "path": path},
        "label": n % 3 - 1,
        "tags": [0, 1][: n % 3],
        "text": f"caption {n}",
        "license": "CC BY 4.0",
    }


def saved(root: Path, layout: str, tables_: dict[str, list[pa.Table]]) -> None:
    for split, parts in tables_.items():
        for number, part in enumerate(parts):
            if layout == "save_to_disk":
                save(root / split / f"data-{number:05d}-of-{len(parts):05d}.arrow", part)
            else:
                save(root / "data" / f"{split}-{number:05d}-of-{len(parts):05d}-abc.parquet", part)
        if layout == "save_to_disk":
            names = [{"filename": f"data-{number:05d}-of-{len(parts):05d}.arrow"} for number in range(len(parts))]
            tree(root, {f"{split}/state.json": json.dumps({"_data_files": names}), f"{split}/dataset_info.json": "{}"})
            save(root / split / "cache-0123.arrow", parts[0])
    if layout == "save_to_disk":
        tree(root, {"dataset_dict.json": json.dumps({"splits": list(tables_)})})


@pytest.mark.parametrize("layout", ["save_to_disk", "hub"])
def test_a_dataset_is_read_as_it_was_saved(tmp_path, layout):
    sounds = [flac(n) for n in range(9)]
    examples = [example(n, data, f"{n}.flac") for n, data in enumerate(sounds)]
    parts = {
        "train": [table(examples[:3], **FEATURES), table(examples[3:6], **FEATURES)],
        "test": [table(examples[6:], **FEATURES)],
    }
    saved(tmp_path, layout, parts)
    result = index(tmp_path, "huggingface")
    assert not result.rejects
    rows = by_caption(result)
    assert {caption: sound(tmp_path, row) for caption, row in rows.items()} == {
        f"caption {n}": data for n, data in enumerate(sounds)
    }
    assert [rows[f"caption {n}"]["split"] for n in range(9)] == ["train"] * 6 + ["test"] * 3
    assert [names(rows[f"caption {n}"]) for n in range(3)] == [[], ["dog"], ["cat"]], "-1 is no class"
    assert [rows[f"caption {n}"]["keywords"] for n in range(3)] == [[], ["loud"], ["loud", "soft"]]
    assert {row["licence"] for row in rows.values()} == {"by"}
    assert rows["caption 4"]["member"] == "row:1/audio"
    with located(tmp_path, rows["caption 4"]["source_path"], "row:1/audio") as path:
        assert len(decode(path).samples) == RATE / 2
    assert len({row["record_id"] for row in rows.values()}) == 9


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_audio_that_is_named_and_not_held_is_found_beside_it(tmp_path, suffix):
    held, below = flac(1), flac(2)
    examples = [
        example(0, held, "0.flac"),
        example(1, None, "clips/1.flac"),
        example(2, None, "clips/gone.flac"),
        example(3, None, None),
        example(4, None, "/cache/clips/1.flac"),
        example(5, None, "5.flac"),
    ]
    save(tmp_path / f"x/train.{suffix}", table(examples, **FEATURES))
    tree(tmp_path, {"audio/clips/1.flac": below, "clips/1.flac": below, "5.flac": below})
    result = index(tmp_path, "huggingface")
    rows = by_caption(result)
    assert (rows["caption 0"]["member"], sound(tmp_path, rows["caption 0"])) == ("row:0/audio", held)
    assert {caption: (row["source_path"], row["member"]) for caption, row in rows.items() if row["member"] is None} == {
        "caption 1": ("clips/1.flac", None),
        "caption 4": ("clips/1.flac", None),
        "caption 5": ("5.flac", None),
    }
    words = "no audio file of the name '{}', whatever its extension, in this dataset"
    wanted = ("clips/gone.flac", f"x/train.{suffix}, row 3")
    assert errors(result) == [("missing_audio", words.format(name)) for name in wanted]


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_columns_without_a_schema_of_datasets_are_known_by_their_type(tmp_path, suffix):
    content = pa.table({"wav": pa.array([flac(1), flac(2)], pa.large_binary()), "caption": ["a", "b"], "label": [0, 1]})
    save(tmp_path / f"some.{suffix}", content)
    rows = by_caption(index(tmp_path, "huggingface"))
    assert {caption: sound(tmp_path, row) for caption, row in rows.items()} == {"a": flac(1), "b": flac(2)}
    assert {row["split"] for row in rows.values()} == {"train"}
    assert names(rows["b"]) == []
    assert index(tmp_path, "huggingface", splits={"all": "val"}).rows[0]["split"] == "val"


def test_what_is_no_dataset_is_told_with_what_is_there(tmp_path):
    tree(tmp_path, {"metadata.csv": "file_name\na.wav\n"}, "a.wav")
    with pytest.raises(UserError, match=r"no \*.parquet or \*.arrow in .*metadata.csv are for the adapter `folder`"):
        index(tmp_path, "huggingface")
    save(tmp_path / "a.parquet", pa.table({"text": ["a"]}))
    with pytest.raises(
        UserError, match=r"a.parquet: no column, or more than one, holds audio; there are 'text' \(string\)"
    ):
        index(tmp_path, "huggingface")
    save(tmp_path / "a.parquet", pa.table({"left": [b"a"], "right": [b"b"]}))
    with pytest.raises(UserError, match=r"more than one, holds audio; there are 'left' \(binary\), 'right' \(binary\)"):
        index(tmp_path, "huggingface")
    tree(tmp_path, {"state.json": "[]"})
    with pytest.raises(UserError, match=r"state.json: does not name its data files; save the dataset again"):
        index(tmp_path, "huggingface")
    tree(tmp_path, {"state.json": '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}'})
    with pytest.raises(UserError, match=r"state.json: names 'data-00000-of-00001.arrow', which is not there"):
        index(tmp_path, "huggingface")


def test_a_file_that_is_cut_short_gives_what_can_be_read_and_one_refusal(tmp_path):
    content = table([example(n, os.urandom(2000)) for n in range(40)], **FEATURES)
    for name in ("whole.arrow", "short.arrow", "short.parquet"):
        save(tmp_path / name, content)
    for name in ("short.arrow", "short.parquet"):
        os.truncate(tmp_path / name, 40_000)
    tree(tmp_path, {"random.arrow": os.urandom(3000), "empty.parquet": b""})
    result = index(tmp_path, "huggingface")
    refusals = {refusal.source: refusal for refusal in result.rejects}
    assert set(refusals) == {"short.arrow", "short.parquet", "random.arrow", "empty.parquet"}
    assert {refusal.error for refusal in refusals.values()} == {"corrupt_shard"}
    served = [row["source_path"] for row in result.rows]
    assert served.count("whole.arrow") == 40
    assert 0 < served.count("short.arrow") < 40
    assert f"{served.count('short.arrow')} rows before that are served" in refusals["short.arrow"].message


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_listing_reads_no_sound(tmp_path, suffix):
    save(tmp_path / f"a.{suffix}", table([example(n, os.urandom(400_000)) for n in range(40)], **FEATURES), rows=40)
    before = pa.total_allocated_bytes()
    for row in huggingface.rows(source(tmp_path, "huggingface")):
        assert isinstance(row, dict)
        assert pa.total_allocated_bytes() - before < 1 << 20, "the sound has 16 MB"
