"""Planning over generated catalogues: no shared class, no shared recording, no leak, and nothing is forced."""

from __future__ import annotations

import numpy as np
from scipy.stats import kstest

from pipelines.core.stage import Batch, Context, Result, conserve, empty
from pipelines.core.workspace import Workspace
from pipelines.identity.groups import Groups
from pipelines.mix.conflict import present, specific
from pipelines.mix.plan import PlanMixtures
from pipelines.mix.words import phrase
from schemas import tables
from schemas.ontology import default_ontology

DOG, BARK, SPEECH, MALE, RAIN = "/m/0bt9lr", "/m/05tny_", "/m/09x0r", "/m/05zppz", "/m/06mb1"


def clip(clip_id: str, split: str = "train", recording: str | None = None, seconds: float = 10.0) -> dict:
    return {
        "clip_id": clip_id,
        "record_id": clip_id,
        "dataset": "t",
        "split": split,
        "recording_id": recording or f"fs:{clip_id}",
        "duration_s": seconds,
        "sample_rate": 8000,
        "source_path": "x",
        "source_start_s": 0.0,
        "source_rate": 8000,
        "source_channels": 1,
        "source_decoder": "soundfile",
        "claimed_s": None,
        "decoded_s": seconds,
        "note": None,
        "gain_db": 0.0,
        "excerpt_s": 0.0,
        "sha256": clip_id,
        "licence": "cc0",
        "channel": "mean",
        "dc_offset": 0.0,
        "clipped_share": 0.0,
        "attribution": None,
        "tar": "store/x.tar",
        "offset": 0,
        "size": 1,
    }


def known(clip_id: str, ids: list[str], state: str = "labelled") -> list[dict]:
    names = default_ontology()
    rows = [
        {
            "clip_id": clip_id,
            "class_id": c,
            "class_name": names[c].name,
            "origin": "label:mid",
            "confidence": 1.0,
            "state": state,
        }
        for c in ids
    ]
    return rows or [
        {"clip_id": clip_id, "class_id": None, "class_name": None, "origin": "none", "confidence": None, "state": state}
    ]


def caption(clip_id: str) -> dict:
    return {
        "clip_id": clip_id,
        "dataset": "t",
        "split": "train",
        "caption": f"A caption of {clip_id}.",
        "candidate_id": "c",
        "method": "grammar",
        "decision": "accepted",
        "score": 1.0,
        "reasons": [],
        "licence": "unknown",
    }


def plan(clips: list[dict], classes: list[dict], seed: int = 3, **options: object) -> Result:
    stage = PlanMixtures(
        **(
            {
                "per_clip": 1,
                "duration_s": 10.0,
                "sample_rate": 8000,
                "snr_db": (-15.0, 15.0),
                "inferred": False,
                "phrases": "prompts/grammar.yaml",
            }
            | options
        )
    )
    context = Context(Workspace("unused"), ".", seed, 4)
    rows = tables.from_rows("clips", clips)
    grouped = Groups(0.0, 0.0).process(Batch(rows, {"fingerprints": empty("fingerprints")}), context)
    sides = {
        "groups": tables.from_rows("groups", grouped.rows),
        "classes": tables.from_rows("classes", classes),
        "captions": tables.from_rows("captions", [caption(c["clip_id"]) for c in clips]),
    }
    result = stage.process(Batch(rows, sides), context)
    conserve(stage, [c["clip_id"] for c in clips], result)
    return result


def world(count: int, seed: int = 0) -> tuple[list[dict], list[dict]]:
    rng, ontology = np.random.default_rng(seed), default_ontology()
    leaves = [node.class_id for node in ontology.classes if not node.abstract]
    clips = [
        clip(f"c{i:04d}", ["train", "val", "test"][i % 3], seconds=float(rng.uniform(1, 20))) for i in range(count)
    ]
    classes = [
        row for c in clips for row in known(c["clip_id"], list(rng.choice(leaves, rng.integers(1, 4), replace=False)))
    ]
    return clips, classes


def test_no_mixture_shares_a_class_a_recording_or_a_split():
    clips, classes = world(300)
    ontology, rows = default_ontology(), plan(clips, classes, per_clip=3).rows
    own: dict[str, set] = {}
    for row in classes:
        own.setdefault(row["clip_id"], set()).add(row["class_id"])
    split = {c["clip_id"]: c["split"] for c in clips}
    assert len(rows) == 900
    for row in rows:
        target, (other,) = row["target_clip_id"], row["interferer_clip_ids"]
        assert target != other
        assert split[target] == split[other] == row["split"]
        assert not any(ontology.conflict(a, b) for a in own[target] for b in own[other])


def test_the_plan_is_a_function_of_the_seed_and_of_nothing_else():
    clips, classes = world(60)
    first = plan(clips, classes).rows
    assert plan(clips[::-1], classes[::-1]).rows == first
    assert plan(clips, classes, seed=4).rows != first
    assert len({row["mixture_id"] for row in first}) == 60


def test_ratios_are_uniform_between_the_bounds():
    clips, classes = world(240)
    ratios = [row["snr_db"] for row in plan(clips, classes, per_clip=5, snr_db=(-15.0, 15.0)).rows]
    assert kstest(ratios, "uniform", args=(-15, 30)).pvalue > 0.01


def test_a_child_class_conflicts_with_its_parent_and_such_a_pair_is_refused():
    clips = [clip("a"), clip("b")]
    result = plan(clips, known("a", [SPEECH]) + known("b", [MALE]))
    assert sorted(result.drops) == [("a", "no_disjoint_partner"), ("b", "no_disjoint_partner")]
    assert plan(clips, known("a", [SPEECH]) + known("b", [RAIN])).rows[0]["interferer_clip_ids"] == ["b"]


def test_what_is_not_known_is_not_mixed():
    clips = [clip(x) for x in "abcd"]
    classes = (
        known("a", [DOG]) + known("b", [RAIN], "inferred") + known("c", [RAIN], "partial") + known("d", [], "unknown")
    )
    assert sorted(plan(clips, classes).drops) == [
        ("a", "no_disjoint_partner"),
        ("b", "classes_inferred"),
        ("c", "classes_partial"),
        ("d", "classes_unknown"),
    ]
    assert sorted(plan(clips, classes, inferred=True).drops) == [("c", "classes_partial"), ("d", "classes_unknown")]


def test_a_recording_of_the_test_set_is_not_mixed_for_training():
    clips = [clip("a", "train", "fs:1"), clip("b", "test", "fs:1"), clip("c", "train"), clip("d", "test")]
    classes = known("a", [DOG]) + known("b", [DOG]) + known("c", [RAIN]) + known("d", [RAIN])
    result = plan(clips, classes)
    assert ("a", "leaks_into_test") in result.drops
    assert {row["target_clip_id"] for row in result.rows} == {"b", "d"}


def test_two_clips_of_one_recording_are_never_mixed():
    clips = [clip("a", recording="fs:1"), clip("b", recording="fs:1")]
    assert {reason for _, reason in plan(clips, known("a", [DOG]) + known("b", [RAIN])).drops} == {
        "no_disjoint_partner"
    }


def test_pieces_fit_their_clips_and_the_mixture():
    clips, classes = world(90)
    seconds = {c["clip_id"]: c["duration_s"] for c in clips}
    for row in plan(clips, classes).rows:
        for source in row["sources"]:
            assert source["length"] == min(round(seconds[source["clip_id"]] * 8000), row["length"])
            assert source["start"] + source["length"] <= round(seconds[source["clip_id"]] * 8000)
            assert source["at"] + source["length"] <= row["length"]


def test_words_name_the_specific_classes():
    ontology = default_ontology()
    assert specific(ontology, [DOG, BARK, RAIN]) == sorted([BARK, RAIN])
    assert present(ontology, [SPEECH]).conflicts(present(ontology, [MALE]))
    assert phrase(["Male speech, man speaking"]) == "male speech"
    assert phrase(["Dog", "Rain", "DTMF"]) == "dog, rain and DTMF"
