"""The recipes of the mixture protocols: what each states, and each from recordings to certified shards in a small world."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipelines.catalog.query import dicts
from pipelines.certify import write_certificate
from pipelines.cli import main
from pipelines.core.workspace import Workspace
from pipelines.sample.synth import SOUNDS
from pipelines.unify.names import tags_in_text
from schemas.load import load_recipe

CONFIGS = Path(__file__).parents[2] / "configs"
RECIPES = ("audiosep", "clapsep", "dcase2024_task9", "flowsep", "hsm_tss", "hybrid_sep", "lass_net")

KINDS = {
    "Siren": ("A siren wails.", "siren"),
    "Church bell": ("A church bell rings.", "church_bells"),
    "Rain": ("Rain is falling.", "rain"),
    "Applause": ("There is applause.", "clapping"),
    "Cricket": ("Crickets chirp.", "crickets"),
    "Knock": ("Someone knocks.", "door_wood_knock"),
}
"""A sound that can be synthesised -> a caption, and ESC-50's name for it."""
SYNTHS = {sound.name: sound for sound in SOUNDS}


def test_the_recipes_state_what_is_published():
    recipes = {name: load_recipe(CONFIGS / f"{name}.yaml") for name in RECIPES}
    stated = {
        name: (
            recipe.audio.sample_rate,
            {(each.duration_s, each.level.rule, each.level.range) for each in recipe.mix.every},
        )
        for name, recipe in recipes.items()
    }
    assert stated == {
        "audiosep": (32000, {(5.0, "rms_match", (-10.0, 10.0))}),
        "clapsep": (32000, {(10.0, "snr", (0.0, 0.0))}),
        "dcase2024_task9": (16000, {(10.0, "rms_match", (-10.0, 10.0)), (10.0, "snr", (-15.0, 15.0))}),
        "flowsep": (16000, {(10.0, "snr", (-15.0, 15.0))}),
        "hsm_tss": (16000, {(10.0, "snr", (-15.0, 15.0)), (10.0, "snr", (-5.0, 5.0))}),
        "hybrid_sep": (44100, {(10.0, "energy_ratio", (-20.0, 20.0))}),
        "lass_net": (16000, {(10.0, "peak_snr", (0.0, 0.0))}),
    }
    assert all(each.level.energy == "all" for recipe in recipes.values() for each in recipe.mix.every)
    assert [each.level.whole for each in recipes["audiosep"].mix.every] == [True]
    assert [each.level.whole for each in recipes["dcase2024_task9"].mix.every] == [True, True]
    assert recipes["clapsep"].mix.words.prompts == (0.25, 0.25, 0.5)
    counts = {each.name: each.count for each in recipes["hsm_tss"].mix.every}
    assert counts == {
        "train": 1_700_000,
        "audiocaps": 500,
        "clotho": 500,
        "fsd50k": 500,
        "three_sets": 1000,
        "music": 500,
    }
    sources = {each.name: (each.sources, each.words_of) for each in recipes["hybrid_sep"].mix.every}
    assert sources["keywords_of_4"] == ((4, 4), "label")
    assert sources["captions"] == ((2, 2), "caption")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_values_alone_and_its_sets_name_datasets_that_it_has(name):
    recipe = load_recipe(CONFIGS / f"{name}.yaml")
    known = {dataset.name or dataset.adapter for dataset in recipe.data.datasets}
    assert {dataset for each in recipe.mix.every for dataset in each.datasets} <= known
    assert all(each.policy == "disjoint" for each in recipe.mix.every)


def test_the_worlds_captions_name_a_sound():
    assert all(tags_in_text(caption) for caption, _ in KINDS.values())


class World:
    """Writes sounds, each another one, and what publishers say of them."""

    def __init__(self, root: Path) -> None:
        self.root, self._number = root, 0

    def sound(self, path: str, kind: str) -> None:
        """Write a sound of a kind, 1.5 to 2.5 s long."""
        self._number += 1
        rng = np.random.default_rng(self._number)
        samples = SYNTHS[kind].synth(rng, 1.5 + self._number % 3 / 2, 16000)
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, 0.5 * samples / np.abs(samples).max(), 16000)

    def table(self, path: str, header: str, *rows: list[Any]) -> None:
        """Write a table of a publisher's."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{header}\n{text.getvalue()}")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Return a data folder of nine datasets in their publishers' layouts, six kinds of sounds in each split."""
    made = World(tmp_path_factory.mktemp("world"))
    folders = (_audiocaps, _clotho, _fsd50k, _esc50, _vggsound, _wavcaps, _dcase, _music, _musdb)
    for write in folders:
        write(made)
    return made.root


def _audiocaps(made: World) -> None:
    for part in ("train", "test"):
        rows = []
        for number, (kind, (caption, _)) in enumerate(KINDS.items()):
            ytid = f"{part:-<10}{number}"
            made.sound(f"audiocaps/audio/Y{ytid}.wav", kind)
            rows.append([f"{part}{number}", ytid, 30, caption])
        made.table(f"audiocaps/dataset/{part}.csv", "audiocap_id,youtube_id,start_time,caption", *rows)


def _clotho(made: World) -> None:
    for part in ("development", "evaluation"):
        rows = []
        for kind, (caption, _) in KINDS.items():
            made.sound(f"clotho/{part}/{part} {kind}.wav", kind)
            rows.append([f"{part} {kind}.wav", *[caption] * 5])
        made.table(
            f"clotho/clotho_captions_{part}.csv", "file_name,caption_1,caption_2,caption_3,caption_4,caption_5", *rows
        )


def _fsd50k(made: World) -> None:
    for offset, part, header in ((100, "dev", "fname,labels,mids,split"), (200, "eval", "fname,labels,mids")):
        rows = []
        for number, kind in enumerate(KINDS):
            made.sound(f"fsd50k/FSD50K.{part}_audio/{offset + number}.wav", kind)
            label = [offset + number, kind.replace(" ", "_"), SYNTHS[kind].mid]
            rows.append([*label, "val" if number == 0 else "train"] if part == "dev" else label)
        made.table(f"fsd50k/FSD50K.ground_truth/{part}.csv", header, *rows)


def _esc50(made: World) -> None:
    rows = []
    for number, (kind, (_, category)) in enumerate(KINDS.items()):
        name = f"{number % 5 + 1}-{300 + number}-A-{number}.wav"
        made.sound(f"esc50/audio/{name}", kind)
        rows.append([name, number % 5 + 1, number, category, "False", 300 + number, "A"])
    made.table("esc50/meta/esc50.csv", "filename,fold,target,category,esc10,src_file,take", *rows)


def _vggsound(made: World) -> None:
    labels = {
        "Siren": "ambulance siren",
        "Church bell": "church bell ringing",
        "Rain": "raining",
        "Cricket": "cricket chirping",
    }
    rows = []
    for number, (kind, label) in enumerate(labels.items()):
        made.sound(f"vggsound/audio/vggsound--{number}_000030.wav", kind)
        rows.append([f"vggsound--{number}", 30, label, "train"])
    made.table("vggsound/vggsound.csv", *[",".join(map(str, rows[0]))], *rows[1:])


def _wavcaps(made: World) -> None:
    entries = []
    for number, (kind, (caption, _)) in enumerate(KINDS.items()):
        made.sound(f"wavcaps/SoundBible/{400 + number}.wav", kind)
        entries.append(
            {"id": str(400 + number), "title": kind, "description": "A", "caption": caption, "duration": 2.0}
        )
    path = made.root / "wavcaps" / "json_files" / "SoundBible" / "sb_final.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"num_captions_per_audio": 1, "data": entries}))


def _dcase(made: World) -> None:
    entries = []
    for number, (kind, (caption, _)) in enumerate(KINDS.items()):
        made.sound(f"dcase2024_task9/{500 + number}_9-hq.wav", kind)
        entries.append({"Index": f"{500 + number}_9-hq", "Tags": [kind.lower()], "Captions": [caption] * 3})
    (made.root / "dcase2024_task9" / "lass_validation.json").write_text(json.dumps(entries))


def _music(made: World) -> None:
    names = {"accordion": "Organ", "xylophone": "Tuning fork", "trumpet": "Foghorn"}
    files = {}
    for number, (label, kind) in enumerate(names.items()):
        files[label] = f"Ymusic-----{number}_1.wav"
        made.sound(f"music/audio/{files[label]}", kind)
    order = list(files)
    rows = [[number, label, files[label], files[order[number - 1]]] for number, label in enumerate(order)]
    made.table("music/music_eval.csv", "idx,caption,src_wav,noise_wav", *rows)


def _musdb(made: World) -> None:
    for number, kind in enumerate(("Organ", "Snare drum", "Plucked string instrument")):
        for name in ("drums", "vocals"):
            made.sound(f"musdb18hq/train/Song {number}/{name}.wav", kind)


SETTINGS = {
    # As many mixtures as a small world has room for, and no language model.
    "hsm_tss": (
        "unify.endpoint=null",
        "unify.tags=null",
        "mix.sets.0.count=20",
        *(f"mix.sets.{number}.count=6" for number in (1, 2, 3, 4)),
        "mix.sets.5.count=2",
    ),
}


@pytest.fixture(scope="module")
def run_of(world, tmp_path_factory):
    """Return a function that runs a recipe in the world, once."""
    made: dict[str, Workspace] = {}

    def run(name: str) -> Workspace:
        if name not in made:
            out = tmp_path_factory.mktemp("runs") / name
            words = ["partitions=1", f"data.root={world}", *SETTINGS.get(name, ())]
            settings = [part for word in words for part in ("--set", word)]
            assert (
                main(
                    [
                        "run",
                        str(CONFIGS / f"{name}.yaml"),
                        *settings,
                        "--out",
                        str(out),
                        "--engine",
                        "inline",
                        "--quiet",
                    ]
                )
                == 0
            )
            made[name] = Workspace(str(out))
        return made[name]

    return run


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs_and_keeps_what_it_promises(run_of, name):
    run = run_of(name)
    certificate = write_certificate(run, None)
    assert main(["verify", run.root]) == 0
    assert [each["promise"] for each in certificate["promises"] if not each["holds"]] == []
    assert {each["set"] for each in certificate["sets"]} == {
        each.name for each in load_recipe(CONFIGS / f"{name}.yaml").mix.every
    }
    assert certificate["sums"]["by"].keys() == {"made again from the clips"}


@pytest.mark.parametrize("name", RECIPES)
def test_levels_lengths_and_peaks_are_the_protocols(run_of, name):
    run, recipe = run_of(name), load_recipe(CONFIGS / f"{name}.yaml")
    sets = {each.name: each for each in recipe.mix.every}
    rows = dicts(
        run,
        "SELECT mixtures.*, plan.sources AS sources, plan.length AS length FROM mixtures JOIN plan USING (mixture_id)",
    )
    assert rows
    for row in rows:
        chosen = sets[row["set"]]
        low, high = chosen.level.range
        assert row["length"] == round(chosen.duration_s * recipe.audio.sample_rate)
        assert row["peak"] <= chosen.peak.above
        if chosen.level.rule in ("snr", "peak_snr"):
            asked = [row["snr_db"]]
            # The shorter of two clips is padded, and energy is over all samples of the mixture.
            assert abs(row["achieved_snr_db"] - row["snr_db"]) < 0.05
        else:
            asked = [source["level_db"] for source in row["sources"] if source["role"] == "interferer"]
            asked += [row["snr_db"]] if chosen.level.rule == "rms_match" else []
        assert all(low <= value <= high for value in asked)
        assert not chosen.level.whole or all(value == round(value) for value in asked)


def test_hsm_tss_has_its_evaluation_sets_of_their_own_test_clips(run_of):
    rows = dicts(
        run_of("hsm_tss"),
        'SELECT "set", mixtures.split, list(DISTINCT dataset ORDER BY dataset) AS datasets, count(DISTINCT mixture_id) AS n '
        "FROM mixtures JOIN sources ON list_contains(list_concat(target_clip_ids, interferer_clip_ids), sources.clip_id) GROUP BY ALL",
    )
    found = {row["set"]: (row["split"], row["datasets"], row["n"]) for row in rows}
    assert found.pop("train")[0] == "train"
    assert found == {
        "audiocaps": ("test", ["audiocaps"], 6),
        "clotho": ("test", ["clotho"], 6),
        "fsd50k": ("test", ["fsd50k"], 6),
        "three_sets": ("test", ["audiocaps", "clotho", "fsd50k"], 6),
        "music": ("test", ["music"], 2),
    }
    targets = dicts(
        run_of("hsm_tss"),
        "SELECT dataset, count(*) AS n FROM mixtures JOIN sources ON clip_id = target_clip_id WHERE \"set\" = 'three_sets' GROUP BY ALL",
    )
    assert {row["dataset"]: row["n"] for row in targets} == {"audiocaps": 2, "clotho": 2, "fsd50k": 2}


def test_hsm_tss_keeps_captions_and_labels_as_queries_and_has_both_instructions(run_of):
    captions = {caption for caption, _ in KINDS.values()}
    rows = dicts(run_of("hsm_tss"), "SELECT * FROM mixtures")
    assert {row["query_origin"] for row in rows} == {"caption", "label"}
    assert all(row["query"] in captions for row in rows if row["query_origin"] == "caption")
    assert all(row["instruction_extract"] and row["instruction_remove"] for row in rows)


def test_hybrid_sep_joins_keywords_and_never_mixes_keyword_data_with_caption_data(run_of):
    rows = dicts(
        run_of("hybrid_sep"),
        'SELECT "set", query, query_origin, len(target_clip_ids) AS targets, len(interferer_clip_ids) AS others, '
        "bool_or(sources.caption IS NULL) AS unworded, bool_or(sources.caption IS NOT NULL) AS worded "
        "FROM mixtures JOIN sources ON list_contains(list_concat(target_clip_ids, interferer_clip_ids), sources.clip_id) "
        'GROUP BY mixture_id, "set", query, query_origin, targets, others',
    )
    assert {row["targets"] + row["others"] for row in rows} == {2, 3, 4}
    for row in rows:
        keywords = row["set"] != "captions"
        assert (row["unworded"], row["worded"]) == (keywords, not keywords)
        assert row["query_origin"] == ("keyword" if keywords else "caption")
        if row["targets"] > 1:
            assert " and " in row["query"]
    assert {row["targets"] for row in rows if row["set"] == "keywords_of_4"} <= {1, 2, 3}


def test_clapsep_asks_in_three_ways(run_of):
    prompts = Counter(row["prompt"] for row in dicts(run_of("clapsep"), "SELECT prompt FROM mixtures"))
    assert prompts.keys() <= {"positive", "negative", "both"}
    assert len(prompts) > 1


def test_dcase_has_three_mixtures_of_each_validation_clip(run_of):
    rows = dicts(
        run_of("dcase2024_task9"),
        "SELECT target_clip_id, count(*) AS n FROM mixtures WHERE \"set\" = 'synth' GROUP BY ALL",
    )
    assert [row["n"] for row in rows] == [3] * len(KINDS)
