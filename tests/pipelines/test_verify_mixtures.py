"""Each promise of a mixture is proved again: a forged row, plan, source or sample is found, and named for what it is."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from rendering import RATE, batch, noise, planned, source, stored

from pipelines.core.commit import Commit
from pipelines.core.tar import Packer
from pipelines.mix.render import Render
from pipelines.mix.rooms import impulse
from pipelines.verify_mixtures import members_of, wrong_with_mixtures
from schemas.mixing import MixtureSet
from schemas.recipe import Shards

DOG, ANIMAL, RAIN, SPEECH = "/m/0bt9lr", "/m/0jbk", "/m/06mb1", "/m/09x0r"
World = dict[str, list[dict[str, Any]]]


class Made:
    """Three mixtures with the tables that they come from."""

    def __init__(self, root: Path, shards: Shards, chosen: MixtureSet | None = None, **more: Any) -> None:
        clips = {"c0": noise(0, 16_000, 900), "c1": noise(1, 16_000, 3000), "c2": noise(2, 5000, 60)}
        own = {"c0": DOG, "c1": RAIN, "c2": SPEECH}
        told = {key: {"class_ids": [mid], "class_names": [key], "attribution": key} for key, mid in own.items()}
        self.context, sources = stored(root, clips, **told)
        self.stage = Render((chosen or MixtureSet(),), shards)
        plans = [
            planned(source("c0", "target", 16_000, **more), source("c1", "interferer", 16_000), snr_db=3.0),
            planned(source("c1", "target", 9000), source("c2", "interferer", 5000, at=4000), snr_db=-3.0),
            planned(source("c0", "interferer", 9000), snr_db=1.0, policy="zero_target", target_clip_id="c2"),
        ]
        plans = [plan | {"mixture_id": f"mix-{n:016x}"} for n, plan in enumerate(plans)]
        with Commit(self.stage, self.context, "shards/mixtures-x", 0) as commit:
            commit.add(len(plans), self.stage.process(batch(plans, sources), self.context))
        commit.finish("f", {}, 0.0, {})
        made = pq.read_table(self.context.workspace.path("shards/mixtures-x/p00000.parquet"))
        self.tables: World = {
            "plan": plans,
            "sources": sources,
            "mixtures": made.to_pylist(),
            "clips": [{key: row[key] for key in ("clip_id", "licence", "attribution")} for row in sources],
            "groups": [
                {"clip_id": r["clip_id"], "group_id": r["group_id"], "split": "train", "withheld": None}
                for r in sources
            ],
            "classes": [
                {"clip_id": key, "class_id": mid, "origin": "label:mid", "state": "labelled"}
                for key, mid in own.items()
            ],
        }

    def problems(self, forge: Callable[[World], Any] = lambda tables: None, **kwargs: Any) -> list[str]:
        tables = copy.deepcopy(self.tables)
        forge(tables)
        return list(wrong_with_mixtures(self.stage, tables.__getitem__, self.context, **kwargs))


@pytest.fixture(scope="module", params=["stored", "all", "wav", "recipe"])
def made(request, tmp_path_factory):
    shards = {
        "stored": Shards(),
        "all": Shards(members=["target", "residual", "stems"]),
        "wav": Shards(encoding="wav"),
        "recipe": Shards(mixtures="recipe"),
    }
    return Made(tmp_path_factory.mktemp("made"), shards[request.param])


def test_what_was_made_by_the_rules_has_no_problems(made):
    assert made.problems() == []


def every(table: str, **change: Any) -> Callable[[World], None]:
    def forge(tables: World) -> None:
        for row in tables[table]:
            row |= {key: value(row) if callable(value) else value for key, value in change.items()}

    return forge


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (every("mixtures", gains=lambda row: [g * 1.01 for g in row["gains"]]), "gains: not what the level rule"),
        (every("mixtures", gains=lambda row: row["gains"][:-1]), "it has not a gain for each of its sources"),
        (every("mixtures", achieved_snr_db=9.0), "achieved_snr_db: not what the level rule and its samples give"),
        (every("mixtures", achieved_db=lambda row: [9.0] * len(row["gains"])), "achieved_db: not what the level rule"),
        (every("mixtures", peak=0.123), "peak: not what the level rule and its samples give"),
        (every("mixtures", overlap=0.5), "overlap: not what"),
        (every("mixtures", query="cat"), "its row says something else than the plan"),
        (every("mixtures", query="cat"), "its json says something else than the tables"),
        (every("mixtures", target_clip_ids=["c2"]), "its sources are not the targets and interferers that it names"),
        (every("mixtures", licence="by"), "its licence is not what binds its sources together"),
        (every("clips", licence="by"), "a source's licence is not its clip's"),
        (every("clips", attribution="one"), "two sources are of the same uploader"),
        (every("groups", group_id="one"), "two sources are of the same group"),
        (every("groups", split="test"), "a source is of another split, or withheld"),
        (every("groups", withheld="leaks_into_test"), "a source is of another split, or withheld"),
        (every("classes", class_id=DOG), "its sources share a class"),
        (every("sources", class_ids=[ANIMAL]), "its sources share a class"),
        (every("sources", heard_class_ids=[RAIN]), "its sources share a class"),
        (every("sources", said_class_ids=[SPEECH]), "its sources share a class"),
        (every("plan", snr_db=8.0), "gains and achieved_db and achieved_snr_db and input_sdr_db"),
        (every("plan", sources=lambda row: [row["sources"][0] | {"start": 99_999}]), "cannot be made again"),
        (every("plan", refused="no_background"), "the plan does not ask for it, or refused it"),
        (lambda tables: tables["sources"].clear(), "a clip that it is made of may not be mixed"),
    ],
)
def test_a_forged_table_is_found(made, forge, words):
    found = made.problems(forge)
    assert any(words in problem for problem in found), found


def test_classes_are_of_labels_and_of_what_counts_as_present_and_of_nothing_else(made):
    assert made.problems(every("classes", class_id=DOG, origin="panns")) == []
    assert made.problems(every("classes", class_id=DOG, origin="caption", state="inferred"))
    nothing = lambda tables: (tables["classes"].clear(), every("sources", class_ids=[])(tables))  # noqa: E731
    assert any("a source has no known class" in problem for problem in made.problems(nothing))


def test_a_group_that_is_mixed_in_two_splits_is_found(made):
    found = made.problems(lambda tables: tables["mixtures"][0].update(split="test"))
    assert "group c1: is mixed in test and train" in found


def swapped(made: Made, change: Callable[[dict[str, bytes]], dict[str, bytes]], tmp_path: Path) -> list[str]:
    """Return what is wrong where the first sample's members are changed in its shard."""
    row = made.tables["mixtures"][0]
    with Packer(made.context.workspace, f"forged/{tmp_path.name}", 0, 10, 10**9) as packer:
        place = packer.add("train", row["mixture_id"], change(members_of(row, made.context.workspace)))
    where = {"tar": place.tar, "offset": place.offset, "size": place.size}
    return made.problems(lambda tables: tables["mixtures"][0].update(where))


def test_a_sample_whose_sound_or_words_were_changed_is_found(made, tmp_path):
    def other(members: dict[str, bytes]) -> dict[str, bytes]:
        first = next(iter(members))
        sink = io.BytesIO()
        kind = "WAV" if first.endswith("wav") else "FLAC"
        soundfile.write(sink, noise(9, 16_000, 500), RATE, format=kind, subtype="PCM_16")
        return members | {first: sink.getvalue()}

    found = swapped(made, other, tmp_path)
    assert any("do not sum to the mixture" in problem or "are not its clip's" in problem for problem in found)


def test_a_member_too_few_is_found(made, tmp_path):
    found = swapped(made, lambda members: dict(list(members.items())[1:]), tmp_path)
    assert any("its sample has members" in problem for problem in found)


def test_same_class_mixtures_share_one_class_with_one_interferer_and_no_more(tmp_path):
    made = Made(tmp_path, Shards())

    def same(tables: World) -> None:
        tables["plan"][0]["policy"] = tables["mixtures"][0]["policy"] = "same_class"

    assert any("no interferer has a class of its target" in problem for problem in made.problems(same))

    def shared(tables: World) -> None:
        same(tables)
        tables["sources"][1]["class_ids"] = [DOG]
        tables["classes"][1]["class_id"] = DOG

    found = [problem for problem in made.problems(shared) if "class" in problem]
    assert not any(problem.startswith("mixture mix-0000000000000000") for problem in found)


def test_the_words_of_a_mixture_without_target_conflict_with_none_of_its_sources(tmp_path):
    made = Made(tmp_path, Shards())
    found = made.problems(lambda tables: tables["plan"][2].update(target_clip_id="c0"))
    assert any("its row says something else than the plan" in problem for problem in found)

    def vain(tables: World) -> None:
        for table in ("plan", "mixtures"):
            tables[table][2]["target_clip_id"] = "c0"

    assert "mixture mix-0000000000000002: its sources share a class" in made.problems(vain)


def test_what_is_heard_in_a_room_is_proved_where_the_room_is_there(tmp_path):
    (tmp_path / "rooms").mkdir()
    soundfile.write(tmp_path / "rooms" / "hall.wav", np.array([0.5, 0.0, 0.2]), RATE)
    made = Made(tmp_path, Shards(), MixtureSet(rirs="rooms"), rir="hall.wav")
    assert made.problems() == []
    impulse.cache_clear()
    soundfile.write(tmp_path / "rooms" / "hall.wav", np.array([0.5, 0.0, 0.4]), RATE)
    assert made.problems()
    impulse.cache_clear()
    assert made.problems(rooms=False) == []
