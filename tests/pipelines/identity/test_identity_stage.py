"""The stage `fingerprint`: a row for every clip, and real recordings that are found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.core.stage import Batch, Context, conserve
from pipelines.core.tar import Packer
from pipelines.core.workspace import Workspace
from pipelines.identity.fingerprint import landmarks
from pipelines.identity.near import near_duplicates
from pipelines.identity.stage import Fingerprint
from pipelines.ingest.store import encode_flac
from schemas import tables

RATE = 16000


def test_every_clip_has_a_row_and_one_without_landmarks_has_empty_lists(tmp_path):
    import pyarrow as pa

    noise = (3000 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.int16)
    sounds = {"loud": noise, "silent": np.zeros(RATE, np.int16), "short": noise[:100], "quiet": noise // 8}
    workspace, rows = Workspace(str(tmp_path)), []
    with Packer(workspace, "store", 0, 100, 10**9) as packer:
        for clip_id, samples in sounds.items():
            place = packer.add("clips", clip_id, {"flac": encode_flac(samples, RATE)})
            rows.append({"clip_id": clip_id, "tar": place.tar, "offset": place.offset, "size": place.size})
    stage = Fingerprint()
    result = stage.process(Batch(pa.Table.from_pylist(rows), {}), Context(workspace, ".", 0, 1))
    conserve(stage, list(sounds), result)
    table = {row["clip_id"]: row for row in tables.from_rows("fingerprints", result.rows).to_pylist()}
    assert (table["silent"]["hashes"], table["silent"]["times"]) == ([], [])
    assert (table["short"]["hashes"], table["short"]["times"]) == ([], [])
    expected = landmarks(noise, RATE)
    assert table["loud"]["hashes"] == expected[0].tolist()
    assert table["loud"]["times"] == expected[1].tolist()
    assert len(set(table["quiet"]["hashes"]) & set(table["loud"]["hashes"])) > 0.8 * len(table["loud"]["hashes"])


def esc50(shared: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    samples, rate = soundfile.read(shared / "esc50" / "audio" / name, dtype="int16")
    return landmarks(samples, rate)


@pytest.mark.parametrize(
    ("first", "second", "offset_s"),
    [("2-28314-A-12.ogg", "2-30322-A-12.ogg", 0.0), ("3-151080-A-20.ogg", "5-151085-A-20.ogg", 0.649)],
)
def test_recordings_that_esc50_holds_under_two_freesound_ids_are_found(shared, first, second, offset_s):
    names = [first, second, "1-100032-A-0.ogg", "1-17150-A-12.ogg", "3-151081-A-20.ogg"]
    pairs = near_duplicates(names, *zip(*(esc50(shared, name) for name in names), strict=True))
    assert [(pair.clip_a, pair.clip_b) for pair in pairs] == [(first, second)]
    assert pairs[0].offset_s == pytest.approx(offset_s, abs=0.064)
