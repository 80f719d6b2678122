"""Stage ``captions``: a sample carries its clip's own bytes, its licence in both forms, and whom to credit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pipelines.core.stage import Batch, Context, Result, conserve
from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac
from pipelines.shards.captions import CaptionShards
from schemas import tables

FLAC = encode_flac(np.arange(800, dtype=np.int16), 8000)


def row(table: str, **given: Any) -> dict[str, Any]:
    """Return a row of a table: what is given, and else null, or the empty value of the column's type."""
    empty = {"string": "", "int64": 0, "double": 0.0}
    return {f.name: None if f.nullable else empty.get(str(f.type), []) for f in tables.schema(table)} | given


def served(root: str, clips: list[dict[str, Any]], captions: list[dict[str, Any]]) -> Result:
    workspace, stage = Workspace(root), CaptionShards(10, 1)
    workspace.write("store/x.tar", b"head" + FLAC)
    place = {"tar": "store/x.tar", "offset": 4, "size": len(FLAC)}
    sides = {
        "clips": tables.from_rows("clips", [row("clips", **clip, **place) for clip in clips]),
        "classes": tables.from_rows("classes", []),
    }
    result = stage.process(Batch(tables.from_rows("captions", captions), sides), Context(workspace, ".", 1, 1))
    conserve(stage, [caption["clip_id"] for caption in captions], result)
    return result


def test_a_sample_carries_its_licence_and_whom_to_credit(tmp_path):
    told = {"licence": "by", "licence_text": "http://creativecommons.org/licenses/by/3.0/", "attribution": "Zoë"}
    clips = [{"clip_id": "a", **told}, {"clip_id": "b", "licence": "unknown"}]
    result = served(str(tmp_path), clips, [row("captions", clip_id=key, decision="accepted") for key in "ab"])
    first, second = (json.loads(blob.members["json"]) for blob in result.blobs)
    assert {key: first[key] for key in told} == told
    assert (second["licence"], second["licence_text"], second["attribution"]) == ("unknown", None, None)
    assert all(blob.members["flac"] == FLAC for blob in result.blobs)


def test_what_is_not_accepted_is_dropped_as_what_was_decided(tmp_path):
    captions = [row("captions", clip_id="a", decision="refused"), row("captions", clip_id="b", decision="abstained")]
    result = served(str(tmp_path), [{"clip_id": key, "licence": "by"} for key in "ab"], captions)
    assert result.drops == [("a", "refused"), ("b", "abstained")]
    assert not result.rows
