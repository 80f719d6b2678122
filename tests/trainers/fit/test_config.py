"""A training's file: what is wrong with it is told in one line, with the key and the mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import UserError
from trainers.fit.config import Training
from trainers.fit.read import load_training, parse_training

GIVEN = "name: tiny\ndata: {folders: [mixtures]}\nfit: {steps: 100, warm_up: {steps: 10}}\n"


def written(folder: Path, text: str = GIVEN) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def test_what_is_not_said_is_audioseps_or_for_a_cpu(tmp_path):
    training = load_training(written(tmp_path))
    assert (training.separator.size, training.loss, training.fit.rate, training.removal) == ("tiny", "l1", 1e-3, 0.0)
    assert (training.data.split, training.data.held_out_split, training.data.held_out) == ("train", "val", None)


def test_what_it_was_resolved_to_reads_back_as_the_same(tmp_path):
    training = load_training(written(tmp_path), ("separator.size=resunet30", "data.crop_s=5", "fit.rate=1"))
    assert (training.separator.size, training.data.crop_s, training.fit.rate) == ("resunet30", 5.0, 1.0)
    assert parse_training(training.model_dump(mode="json"), "again") == training
    assert isinstance(training, Training)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("fit.stesp=3",), r"fit.stesp: unknown key; did you mean 'steps'\?"),
        (("data.x=3",), r"data.x: unknown key; known here: folders, held_out, set"),
        (("fit.warm_up.x=3",), r"fit.warm_up.x: unknown key; known here: shape, steps"),
        (("fit.steps=0",), r"fit.steps: '0' will not do: Input should be greater than or equal to 1"),
        (("fit.steps=many",), r"fit.steps: 'many' will not do: Input should be a valid integer"),
        (("fit=null",), r"fit: 'None' will not do"),
        (("data.folders=[]",), r"data.folders: '\[\]' will not do: List should have at least 1 item"),
        (("loss=l2",), r"loss: 'l2' will not do: Input should be 'l1' or 'si_sdr'"),
        (("separator.size=huge",), r"separator.size: 'huge' will not do"),
        (("fit.warm_up.steps=101",), r"fit.warm_up.steps: 101 will not do: fit.steps is 100; warm up for fewer"),
        (("fit.steps",), r"--set fit.steps: must read a.b=c"),
        (("fit.steps.x=3",), r"--set fit.steps.x=3: 'steps' holds a value, not a section"),
        (("fit.steps=[",), r"--set fit.steps=\[: the value is not YAML; quote it"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_key(tmp_path, overrides, words):
    with pytest.raises(UserError, match=words) as told:
        load_training(written(tmp_path), overrides)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\ndata: {folders: [m]}\n", "tiny.yaml: fit: missing; add it"),
        ("- 1\n", "tiny.yaml: holds no settings"),
        ("name: x\nname: y\n", "tiny.yaml, line 2: cannot be read as YAML .*stands twice"),
        ("a: [", "tiny.yaml, line 1: cannot be read as YAML|tiny.yaml.*cannot be read as YAML"),
    ],
)
def test_a_file_that_is_none_is_told_in_one_line(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        load_training(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="none.yaml: no such file; name a training's YAML file"):
        load_training(tmp_path / "none.yaml")
