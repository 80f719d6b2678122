"""The main job on the sample corpora: what a stranger sees is true, and what was made can be read by others."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import webdataset

from pipelines.catalog import query
from pipelines.catalog.explain import explain, tell
from pipelines.core.workspace import Workspace
from pipelines.unify.names import default_index
from pipelines.verify import verify
from schemas.errors import UserError
from schemas.ontology import default_ontology


def ask(run: Path, sql: str) -> list[dict]:
    return query.dicts(Workspace(str(run)), sql)


def test_every_law_holds(demo):
    verdict = verify(Workspace(str(demo)))
    assert verdict.problems == []
    assert verdict.notes == []
    assert verdict.looked_at["mixtures"] > 100


def test_every_defect_of_the_sample_world_is_rejected_for_what_it_is(demo, sample):
    expected = {
        "missing": "missing_audio",
        "empty": "empty_file",
        "not_audio": "not_audio",
        "zero_frames": "no_samples",
        "silent": "digital_silence",
    }
    truth = [json.loads(line) for line in (sample / "truth.jsonl").read_text().splitlines()]
    wanted = Counter(expected[t["defect"]] for t in truth if t["defect"] in expected)
    found = Counter(
        {row["error"]: row["n"] for row in ask(demo, "SELECT error, count(*) AS n FROM rejects GROUP BY error")}
    )
    assert found == wanted
    truncated = [t["file"] for t in truth if t["defect"] == "truncated"]
    notes = {
        row["source_path"]: row["note"]
        for row in ask(demo, "SELECT source_path, note FROM clips WHERE note IS NOT NULL")
    }
    assert truncated
    for file in truncated:
        assert notes[file] in ("header_claims_more", "decode_error_midway")


def test_mixtures_share_no_class_when_recounted_in_sql_over_the_ontology(demo):
    ontology = default_ontology()
    pairs = ask(
        demo,
        """
        SELECT m.mixture_id, a.class_id AS mine, b.class_id AS theirs FROM mixtures m, unnest(m.interferer_clip_ids) AS u(other)
        JOIN classes a ON a.clip_id = m.target_clip_id JOIN classes b ON b.clip_id = u.other
        WHERE contains(a.origin, ':') AND contains(b.origin, ':')""",
    )
    assert len(pairs) > 200, "labels, events, captions and keywords; a listener counts where it is calibrated and sure"
    assert not [pair for pair in pairs if ontology.conflict(pair["mine"], pair["theirs"])]


def test_a_recording_that_is_in_a_test_set_is_in_no_training_mixture(demo):
    leaks = ask(
        demo,
        """
        WITH used AS (SELECT split, unnest([target_clip_id] || interferer_clip_ids) AS clip_id FROM mixtures)
        SELECT recording_id FROM used JOIN clips USING (clip_id) GROUP BY recording_id HAVING count(DISTINCT used.split) > 1""",
    )
    assert leaks == []
    barred = ask(demo, "SELECT * FROM drops WHERE reason LIKE 'leaks_into_%'")
    assert barred, "the sample world holds a recording in two corpora and two splits"


def test_timed_captions_tell_the_order_of_what_was_synthesised(demo):
    rows = ask(
        demo,
        """
        SELECT c.clip_id, k.text, list(e.name ORDER BY e.onset_s) AS heard FROM candidates k JOIN clips c USING (clip_id)
        JOIN evidence e USING (clip_id) WHERE k.style = 'temporal' AND e.kind = 'event' AND e.listener = 'publisher' GROUP BY ALL""",
    )
    assert len(rows) >= 10
    ontology, index, told = default_ontology(), default_index(), 0
    for row in rows:
        sounds = [index.lookup(name).class_id for name in row["heard"]]
        mentions = [mention.class_id for mention in index.tags_in_text(row["text"])]
        if len(sounds) == len(mentions) == 2 and any(
            word in row["text"] for word in (" then ", "followed by", " before ")
        ):
            assert all(ontology.conflict(a, b) for a, b in zip(sounds, mentions, strict=True)), row
            told += 1
    assert told >= 5


def test_scores_are_unknown_and_not_zero_where_nothing_can_be_checked(demo):
    assert ask(demo, "SELECT * FROM scores WHERE claims = 0 AND score IS NOT NULL") == []
    assert ask(demo, "SELECT * FROM captions WHERE score IS NULL AND decision <> 'abstained'") == []


def test_published_captions_are_judged_too(demo):
    rows = ask(
        demo,
        "SELECT method, count(*) AS n, avg(score) AS score FROM scores JOIN candidates USING (candidate_id) "
        "WHERE scorer = 'agreement' GROUP BY method",
    )
    assert {row["method"] for row in rows} == {"grammar", "published"}


@pytest.mark.parametrize(
    ("kind", "members"), [("captions", {"flac", "json"}), ("mixtures", {"mixture.flac", "target.flac", "json"})]
)
def test_webdataset_reads_every_sample_once(demo, kind, members):
    tars = sorted(str(path) for path in (demo / "shards").glob(f"{kind}-*/*.tar"))
    wanted = ask(demo, f"SELECT count(*) AS n FROM samples WHERE kind = '{kind[:-1]}'")[0]["n"]
    seen = []
    for found in webdataset.WebDataset(tars, shardshuffle=False):
        assert members <= found.keys()
        seen.append(found["__key__"])
    assert len(seen) == len(set(seen)) == wanted > 0


def test_the_index_beside_a_tar_points_at_the_members(demo):
    tar = next((demo / "shards").glob("mixtures-*/train-*.tar"))
    data, (head, *lines) = tar.read_bytes(), tar.with_suffix(".idx").read_text().splitlines()
    assert head == f"v1.2 {len(lines)}"
    for line in lines:
        words = line.split(" ")
        for suffix, offset, size, name in zip(*[iter(words)] * 4, strict=True):
            assert name.endswith("." + suffix)
            part = data[int(offset) : int(offset) + int(size)]
            assert part.startswith(b"fLaC" if suffix.endswith("flac") else b"{")


def test_a_sample_is_where_the_table_says_and_its_target_is_quieter_or_louder_by_its_snr(demo):
    for row in ask(demo, "SELECT * FROM mixtures ORDER BY mixture_id LIMIT 20"):
        tar = demo / row["tar"]
        with tar.open("rb") as file:
            file.seek(row["offset"])
            block = file.read(row["size"])
        starts = [block.find(b"fLaC"), block.find(b"fLaC", block.find(b"fLaC") + 4)]
        mixture, target = (
            soundfile.read(io.BytesIO(block[start:]), dtype="int16")[0].astype(float) for start in starts
        )
        snr = 10 * np.log10((target**2).sum() / ((mixture - target) ** 2).sum())
        assert snr == pytest.approx(row["input_sdr_db"], abs=1e-6)
        assert row["achieved_snr_db"] == pytest.approx(row["snr_db"], abs=0.05)


def test_a_clips_story_goes_from_its_file_to_its_byte_in_a_shard(demo):
    clip_id = ask(demo, "SELECT target_clip_id AS id FROM mixtures ORDER BY 1 LIMIT 1")[0]["id"]
    story = explain(Workspace(str(demo)), clip_id)
    for table in ("records", "clips", "evidence", "classes", "candidates", "scores", "captions", "mixtures"):
        assert story[table], table
    assert story["clips"][0]["source_path"] in tell(story)
    mixture = explain(Workspace(str(demo)), story["mixtures"][0]["mixture_id"])
    assert len(mixture["clips"]) == 2


def test_an_unknown_id_is_answered_with_the_nearest_one(demo):
    clip_id = ask(demo, "SELECT clip_id FROM clips ORDER BY 1 LIMIT 1")[0]["clip_id"]
    with pytest.raises(UserError, match=f"did you mean {clip_id}"):
        explain(Workspace(str(demo)), clip_id[:-1] + "x")


def test_views_open_in_a_plain_duckdb_from_within_the_folder(demo, monkeypatch):
    import duckdb

    monkeypatch.chdir(demo)
    with duckdb.connect() as connection:
        connection.execute(Path("views.sql").read_text())
        for view in (
            "clips",
            "evidence",
            "candidates",
            "scores",
            "captions",
            "classes",
            "mixtures",
            "samples",
            "rejects",
            "markers",
        ):
            assert connection.execute(f"SELECT count(*) FROM {view}").fetchone()[0] > 0, view
