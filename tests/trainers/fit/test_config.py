"""A training's file: what is wrong with it is told in one line, with the key and the mend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from schemas.errors import UserError
from schemas.ontology import configs_dir
from trainers.fit.read import load_training, parse_training
from trainers.lass.config import SeparatorTraining

GIVEN = "task: separation\nname: tiny\ndata: {folders: [mixtures]}\nfit: {steps: 100, warm_up: {steps: 10}}\n"


def written(folder: Path, text: str = GIVEN) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def test_what_is_not_said_is_audioseps_or_for_a_cpu(tmp_path):
    training = load_training(written(tmp_path))
    assert isinstance(training, SeparatorTraining)
    assert (training.separator.size, training.loss, training.fit.rate, training.removal) == ("tiny", "l1", 1e-3, 0.0)
    assert (training.data.split, training.data.held_out_split, training.data.held_out) == ("train", "val", None)


def test_what_it_was_resolved_to_reads_back_as_the_same(tmp_path):
    training = load_training(written(tmp_path), ("separator.size=resunet30", "data.crop_s=5", "fit.rate=1"))
    assert isinstance(training, SeparatorTraining)
    assert (training.separator.size, training.data.crop_s, training.fit.rate) == ("resunet30", 5.0, 1.0)
    assert parse_training(training.model_dump(mode="json"), "again") == training


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("fit.stesp=3",), r"fit.stesp: unknown key \(value 3\); did you mean 'steps'\?"),
        (("data.x=3",), r"data.x: unknown key \(value 3\); known here: folders, held_out, set"),
        (("fit.warm_up.x=3",), r"fit.warm_up.x: unknown key \(value 3\); known here: shape, steps"),
        (("fit.steps=0",), r"fit.steps: 0 will not do: Input should be greater than or equal to 1"),
        (("fit.steps=many",), r"fit.steps: 'many' will not do: Input should be a valid integer"),
        (("fit=null",), r"fit: None will not do: write settings"),
        (("data.folders=[]",), r"data.folders: \[\] will not do: List should have at least 1 item"),
        (("loss=l2",), r"loss: 'l2' will not do: Input should be 'l1' or 'si_sdr'"),
        (("separator.size=huge",), r"separator.size: 'huge' will not do"),
        (("fit.warm_up.steps=101",), r"fit.warm_up.steps: 101 will not do: fit.steps is 100; warm up for fewer"),
        (("task=seperation",), r"task: 'seperation' is no task; did you mean 'separation'\?"),
        (("task=[1]",), r"task: \[1\] is no task; name one of separation"),
        (("data.folders=['s3://me:secret@host/x']",), "a URL carries credentials"),
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
        ("task: separation\nname: x\ndata: {folders: [m]}\n", "tiny.yaml: fit: missing; add it"),
        ("name: x\ndata: {folders: [m]}\n", "tiny.yaml: task: missing; name one of separation"),
        ("- 1\n", "tiny.yaml: holds no settings"),
        ("name: x\nname: y\n", "tiny.yaml, line 2: cannot be read as YAML .*stands twice"),
        ("a: [", "tiny.yaml, line 1: cannot be read as YAML|tiny.yaml.*cannot be read as YAML"),
    ],
)
def test_a_file_that_is_none_is_told_in_one_line(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        load_training(written(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("tagger_demo.yaml", ("least=0",), r"least: 0 will not do: Input should be greater than or equal to 1"),
        (
            "tagger_demo.yaml",
            ("data.crop_s=2",),
            r"data.crop_s: unknown key \(value 2\); known here: folders, held_out",
        ),
        ("clap_demo.yaml", ("negatives.hrad=1",), r"negatives.hrad: unknown key \(value 1\); did you mean 'hard'\?"),
        ("clap_demo.yaml", ("task=tagging", "negatives.hard=0.5"), r"negatives: unknown key .*known here: task, name"),
    ],
)
def test_each_task_has_settings_of_its_own(name, overrides, words):
    path = configs_dir() / "training" / name
    assert load_training(path).task in name.replace("tagger", "tagging")
    with pytest.raises(UserError, match=words):
        load_training(path, overrides)


def test_a_configuration_is_read_without_what_trains():
    code = (
        "import sys; from trainers.fit.read import load_training; load_training(sys.argv[1]); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    path = configs_dir() / "training" / "clap_demo.yaml"
    assert (
        subprocess.run([sys.executable, "-c", code, str(path)], cwd=configs_dir().parent, check=False).returncode == 0
    )


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"training .*tniy.yaml: no such file; did you mean 'tiny.yaml'\?"):
        load_training(written(tmp_path).with_name("tniy.yaml"))
