"""A rendered mixture: its members sum up, a recipe shard mixes to the same integers, and its JSON tells all."""

from __future__ import annotations

import inspect
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rendering import RATE, batch, noise, planned, source, stored

from pipelines.core.commit import Commit
from pipelines.core.stage import Result
from pipelines.mix.remix import place, remix, scaled
from pipelines.mix.render import Render, clips_of
from pipelines.mix.samples import overlap_of, sample_json
from schemas import tables
from schemas.mixing import Level, MixtureSet, Peak
from schemas.recipe import Shards

TONES = {"c0": noise(0, 16_000, 900), "c1": noise(1, 16_000, 3000), "c2": noise(2, 5000, 60)}
THREE = [source("c0", "target", 16_000), source("c1", "interferer", 16_000), source("c2", "interferer", 5000, at=700)]


def rendered(tmp_path: Path, plans: list[dict], shards: Shards | None = None, **more: Any) -> Result:
    context, rows = stored(tmp_path, TONES)
    stage = Render((MixtureSet(**more),), shards or Shards())
    return stage.process(batch(plans, rows), context)


def sound(data: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(data), dtype="int16")[0].astype(np.int64)


def test_a_stored_sample_holds_what_is_asked_for_and_its_parts_sum_to_the_mixture(tmp_path):
    shards = Shards(members=["target", "residual", "stems"])
    result = rendered(tmp_path, [planned(*THREE, snr_db=3.0)], shards)
    (blob,) = result.blobs
    assert list(blob.members) == [
        "mixture.flac",
        "target.flac",
        "residual.flac",
        "stem0.flac",
        "stem1.flac",
        "stem2.flac",
        "json",
    ]
    mixture, target, residual, *stems = (sound(data) for name, data in blob.members.items() if name != "json")
    assert np.array_equal(mixture, target + residual)
    assert np.array_equal(mixture, sum(stems))
    assert np.array_equal(target, stems[0])
    facts = json.loads(blob.members["json"])
    laid = [TONES["c0"], TONES["c1"], place(TONES["c2"], 0, 700, 5000, 16_000)]
    for stem, clip, told in zip(stems, laid, facts["sources"], strict=True):
        assert np.array_equal(stem, scaled(clip, told["gain"]))


@pytest.mark.parametrize(
    ("shards", "names"),
    [
        (Shards(), ["mixture.flac", "target.flac", "json"]),
        (Shards(members=[]), ["mixture.flac", "json"]),
        (Shards(encoding="wav", members=["stems"]), ["mixture.wav", "stem0.wav", "stem1.wav", "stem2.wav", "json"]),
        (Shards(mixtures="recipe"), ["source0.flac", "source1.flac", "source2.flac", "json"]),
    ],
)
def test_the_members_are_those_that_the_recipe_names(tmp_path, shards, names):
    (blob,) = rendered(tmp_path, [planned(*THREE, snr_db=3.0)], shards).blobs
    assert list(blob.members) == names


def test_wav_and_flac_hold_the_same_samples(tmp_path):
    flac, wav = (
        rendered(tmp_path / encoding, [planned(*THREE, snr_db=3.0)], Shards(encoding=encoding)).blobs[0].members
        for encoding in ("flac", "wav")
    )
    assert np.array_equal(sound(flac["mixture.flac"]), sound(wav["mixture.wav"]))
    assert wav["mixture.wav"][:4] == b"RIFF"


RULES = {
    "snr": ([None, None, None], 3.0),
    "peak_snr": ([None, None, None], 0.0),
    "energy_ratio": ([None, 5.0, -5.0], None),
    "rms_match": ([None, 5.0, -5.0], 10.0),
    "gain": ([1.0, -2.0, 0.0], None),
    "lufs": ([-30.0, -28.0, -33.0], None),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rirs", [None, "rooms"])
def test_a_recipe_shard_mixes_to_the_very_integers_of_a_stored_one(tmp_path, rule, rirs):
    (tmp_path / "rooms").mkdir()
    response = np.zeros(400)
    response[[3, 90, 300]] = 0.5, -0.2, 0.1
    soundfile.write(tmp_path / "rooms" / "hall.wav", response, RATE)
    levels, snr_db = RULES[rule]
    sources = [
        s | {"level_db": level, "rir": "hall.wav" if rirs and s["clip_id"] != "c1" else None}
        for s, level in zip(THREE, levels, strict=True)
    ]
    sources[2] |= {"start": 4000, "length": 9000}  # the clip begins again
    plan, level = (
        planned(*sources, snr_db=snr_db),
        Level(rule=rule, range=(-35.0, -25.0) if rule == "lufs" else (0.5, 1.5)),
    )
    kept, told = (
        rendered(tmp_path, [plan], shards, level=level, rirs=rirs).blobs[0].members
        for shards in (Shards(members=["target", "stems"]), Shards(mixtures="recipe"))
    )
    mixture, target, stems = remix(told)
    assert np.array_equal(mixture, sound(kept["mixture.flac"]))
    assert np.array_equal(target, sound(kept["target.flac"]))
    for number, stem in enumerate(stems):
        assert np.array_equal(stem, sound(kept[f"stem{number}.flac"]))
    assert json.loads(told["json"]) == json.loads(kept["json"])


def test_a_recipe_shard_holds_the_clip_stores_own_bytes(tmp_path):
    context, rows = stored(tmp_path, TONES)
    stage = Render((MixtureSet(),), Shards(mixtures="recipe"))
    (blob,) = stage.process(batch([planned(*THREE, snr_db=0.0)], rows), context).blobs
    clips = {row["clip_id"]: row for row in rows}
    for number, each in enumerate(THREE):
        clip = clips[each["clip_id"]]
        assert blob.members[f"source{number}.flac"] == context.workspace.read_range(
            clip["tar"], clip["offset"], clip["size"]
        )


def test_remix_needs_nothing_of_ours():
    text = Path(inspect.getfile(remix)).read_text(encoding="utf-8")
    imported = {line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert imported <= {"__future__", "collections", "functools", "io", "json", "numpy", "soundfile"}


def test_a_sample_of_another_rate_is_not_mixed(tmp_path):
    (blob,) = rendered(tmp_path, [planned(*THREE, snr_db=3.0)], Shards(mixtures="recipe")).blobs
    facts = json.loads(blob.members["json"]) | {"sample_rate": 16_000}
    with pytest.raises(ValueError, match="source0.flac has 8000 samples per second, the mixture 16000"):
        remix(blob.members | {"json": json.dumps(facts).encode()})


def test_the_same_plan_gives_the_same_bytes(tmp_path):
    plans = [planned(*THREE, snr_db=float(n), mixture_id=f"mix-{n:016x}") for n in range(5)]
    first, again = (rendered(tmp_path / name, plans) for name in ("a", "b"))
    assert [blob.members for blob in first.blobs] == [blob.members for blob in again.blobs]
    context, rows = stored(tmp_path / "c", TONES)
    stage = Render((MixtureSet(),), Shards())
    alone = [stage.process(piece, context).blobs[0] for piece in batch(plans, rows).slices(1)]
    assert [blob.members for blob in alone] == [blob.members for blob in first.blobs]


def test_a_refused_mixture_is_a_drop_with_its_reason_and_a_silent_one_a_reject(tmp_path):
    context, rows = stored(tmp_path, TONES | {"c3": np.zeros(16_000, np.int16)})
    silent = planned(source("c3", "target", 16_000), THREE[1], snr_db=0.0, mixture_id="mix-2")
    refused = planned(mixture_id="mix-3", refused="no_disjoint_partner", target_clip_id="c0")
    good = planned(*THREE, snr_db=0.0)
    result = Render((MixtureSet(),), Shards()).process(batch([silent, refused, good], rows), context)
    assert result.drops == [("mix-3", "no_disjoint_partner")]
    (reject,) = result.rejects
    assert (reject.key, reject.error, reject.message) == (
        "mix-2",
        "cannot_mix",
        "the target is silent where it is used",
    )
    assert [row["mixture_id"] for row in result.rows] == [good["mixture_id"]]


def test_shards_are_named_by_split_and_by_set_where_there_are_several(tmp_path):
    context, rows = stored(tmp_path, TONES)
    stage = Render((MixtureSet(), MixtureSet(name="loud", peak=Peak(above=1.0, to=1.0))), Shards())
    plans = [
        planned(*THREE, snr_db=0.0),
        planned(*THREE, snr_db=0.0, set="loud", split="test", mixture_id="mix-2"),
    ]
    assert [blob.group for blob in stage.process(batch(plans, rows), context).blobs] == ["train", "loud_test"]


def test_the_rows_fit_their_table_and_say_what_was_asked_and_achieved(tmp_path):
    result = rendered(tmp_path, [planned(*THREE, snr_db=3.0)], peak=Peak(above=0.1, to=0.1))
    (row,) = result.rows
    tables.from_rows("mixtures", result.rows)
    assert row["snr_db"] == 3.0
    assert row["peak"] <= 0.1
    assert row["turned_down_db"] == pytest.approx(-20 * np.log10(row["gains"][0]))
    assert row["overlap"] == 1.0
    assert len(row["gains"]) == len(row["achieved_db"]) == 3
    assert row["duration_s"] == 2.0


def test_with_nothing_asked_for_the_target_is_silence_and_the_classes_are_those_asked_for_in_vain(tmp_path):
    extra = {"c2": {"class_ids": ["/m/09x0r"], "class_names": ["Speech"]}}
    context, rows = stored(tmp_path, TONES, **extra)
    plan = planned(
        source("c0", "interferer", 16_000),
        source("c1", "interferer", 16_000),
        snr_db=3.0,
        policy="zero_target",
        target_clip_id="c2",
    )
    result = Render((MixtureSet(),), Shards()).process(batch([plan], rows), context)
    (row,), (blob,) = result.rows, result.blobs
    assert row["target_class_ids"] == ["/m/09x0r"]
    assert row["achieved_snr_db"] is None
    assert not sound(blob.members["target.flac"]).any()
    assert json.loads(blob.members["json"])["target_class_names"] == ["Speech"]


@pytest.mark.parametrize(
    ("spans", "share"),
    [
        ([(0, 10), (0, 10)], 1.0),
        ([(0, 10), (5, 10)], 0.5),
        ([(0, 4), (4, 10)], 0.0),
        ([(0, 4), (2, 10), (3, 10)], 0.5),
        ([(5, 5), (0, 7), (8, 9)], 0.8),
        ([(0, 20), (3, 4)], 1.0),
    ],
)
def test_overlap_is_the_share_of_the_shortest_source_that_lies_with_another(spans, share):
    sources = [source("c", "interferer", length, at=at) for at, length in spans]
    assert overlap_of([*sources, source("b", "background", 30)]) == share


def row_and_json(tmp_path: Path, *clips: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Render a mixture of clips that say this of licences; return its row and its JSON."""
    names = [f"c{n}" for n in range(len(clips))]
    context, rows = stored(
        tmp_path,
        {name: noise(n, 800, 900) for n, name in enumerate(names)},
        **dict(zip(names, clips, strict=True)),
    )
    sources = [source(name, "interferer" if n else "target", 800) for n, name in enumerate(names)]
    result = Render((MixtureSet(),), Shards()).process(batch([planned(*sources, snr_db=3.0)], rows), context)
    return result.rows[0], json.loads(result.blobs[0].members["json"])


@pytest.mark.parametrize(
    ("licences", "whole"),
    [
        (("cc0", "by"), "by"),
        (("by-nc", "by"), "by-nc"),
        (("by", "unknown"), "unknown"),
        (("unknown", "unknown"), "unknown"),
        (("by-sa", "by-nc"), "by-nc-nd"),
        (("cc0", "by", "sampling+"), "sampling+"),
    ],
)
def test_a_mixture_is_under_all_that_its_sources_forbid_together(tmp_path, licences, whole):
    row, facts = row_and_json(tmp_path, *({"licence": licence} for licence in licences))
    assert row["licence"] == whole
    assert facts["licence"] == whole
    assert [each["licence"] for each in facts["sources"]] == list(licences)


def test_a_sample_names_whom_to_credit_for_each_of_its_sources(tmp_path):
    _, facts = row_and_json(
        tmp_path, {"licence": "by", "attribution": "Zoë"}, {"licence": "unknown", "recording_id": "sb:2"}
    )
    first, second = facts["sources"]
    assert (first["clip_id"], first["licence"], first["attribution"]) == ("c0", "by", "Zoë")
    assert (second["recording_id"], second["licence"], second["attribution"]) == ("sb:2", "unknown", None)


def test_only_what_changes_the_bytes_is_part_of_the_stages_identity():
    one = Render((MixtureSet(),), Shards()).params()
    assert one == Render((MixtureSet(per_clip=9, policy="plausible"),), Shards()).params()
    assert one != Render((MixtureSet(peak=Peak(to=0.5)),), Shards()).params()
    assert one != Render((MixtureSet(),), Shards(encoding="wav")).params()
    json.dumps(one)


def test_clips_are_looked_up_by_name_whatever_their_order(tmp_path):
    _, rows = stored(tmp_path, TONES)
    table = tables.from_rows("sources", rows[::-1])
    assert clips_of([planned(*THREE)], table).keys() == set(TONES)
    assert clips_of([planned(*THREE[:1])], table).keys() == {"c0"}


def test_a_sample_lies_in_its_shard_as_webdataset_reads_it(tmp_path):
    context, rows = stored(tmp_path, TONES)
    stage = Render((MixtureSet(),), Shards(max_samples=2))
    plans = [planned(*THREE, snr_db=1.0, mixture_id=f"mix-{n:016x}") for n in range(3)]
    with Commit(stage, context, "shards/mixtures-x", 0) as commit:
        commit.add(3, stage.process(batch(plans, rows), context))
    found = sorted(Path(context.workspace.path("shards/mixtures-x")).glob("*.tar"))
    assert [path.name for path in found] == ["train-00000-000.tar", "train-00000-001.tar"]
    with tarfile.open(found[0]) as tar:
        assert tar.getnames()[:3] == [f"mix-{0:016x}.{name}" for name in ("mixture.flac", "target.flac", "json")]


def test_the_json_is_a_function_of_plan_row_and_sources(tmp_path):
    context, rows = stored(tmp_path, TONES)
    plan = planned(*THREE, snr_db=3.0)
    result = Render((MixtureSet(),), Shards()).process(batch([plan], rows), context)
    clips = {row["clip_id"]: row for row in rows}
    assert sample_json(plan, result.rows[0], clips) == result.blobs[0].members["json"]
