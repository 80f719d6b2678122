"""Training a separator on real runs and dataset folders, by the command: data, excerpts, judgements, sounds and mistakes."""

from __future__ import annotations

import argparse
import io
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")
import soundfile
import torch
import yaml
from dataset_folders import certified

from pipelines.core.workspace import Workspace
from pipelines.publish.form import Options
from pipelines.publish.webdataset import export_mixtures
from pipelines.run import alone
from schemas.errors import UserError
from trainers.fit import run
from trainers.fit.checkpoint import read_weights
from trainers.fit.command import add_train, run_train
from trainers.fit.history import read_history
from trainers.lass import mixtures
from trainers.lass.config import SeparatorConfig, build
from trainers.lass.mixtures import RunMixtures, excerpt, mixtures_of
from trainers.loader import Loader, collated
from trainers.measures.separation import sdr_improvement

RATE = 16000


@pytest.fixture(scope="module")
def exported(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "folder"
    export_mixtures(Workspace(str(made)), str(out), Options(), certified)
    return out


@pytest.fixture
def trained(made: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that trains on the run, by the command, with values of its own over the usual ones."""

    def train(*overrides: str, out: str = "out", said: bool = False, options: tuple[str, ...] = ()) -> Path:
        config = {
            "task": "separation",
            "name": "tiny",
            "data": {"folders": [str(made)], "sounds": 1, "held_out_mixtures": 4},
            "separator": {"sample_rate": RATE, "embedding": 128},
            "fit": {"steps": 3, "batch": 2, "warm_up": {"steps": 2}, "log_every": 2},
        }
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(config))
        parser = argparse.ArgumentParser()
        add_train(parser.add_subparsers())
        told = [word for each in overrides for word in ("--set", each)]
        told += ["--device", "cpu", *([] if said else ["--quiet"]), *options]
        print(run_train(parser.parse_args(["train", str(path), "--out", str(tmp_path / out), *told])))
        return tmp_path / out

    return train


def test_folders_of_several_lengths_are_refused_before_the_first_step(made, monkeypatch):
    class Shorter:
        def __init__(self, *given):
            self.own = RunMixtures(*given)

        def __getitem__(self, number):
            sample = self.own[number]
            return replace(sample, mixture=sample.mixture[:16000], target=sample.target[:16000])

    kinds = iter((RunMixtures, Shorter))
    monkeypatch.setattr(mixtures, "RunMixtures", lambda *given: next(kinds)(*given))
    with pytest.raises(
        UserError, match=r"mixtures of several lengths cannot share a batch: .*run 2 s, .*run 1 s; train on"
    ):
        mixtures_of([str(made), str(made)], "train", "mix", RATE)


def test_a_run_and_its_export_hold_the_same_mixtures_and_embeddings(made, exported):
    own, folder = (mixtures_of([str(each)], "train", "mix", RATE) for each in (made, exported))
    assert isinstance(own, RunMixtures)
    assert len(own) == len(folder) > 5
    of_run, of_folder = ({each.key: each for each in map(one.__getitem__, range(len(one)))} for one in (own, folder))
    for key, sample in of_run.items():
        np.testing.assert_array_equal(sample.mixture, of_folder[key].mixture)
        np.testing.assert_array_equal(sample.target, of_folder[key].target)
        assert sample.record == of_folder[key].record
        assert isinstance(sample.record["query.npy"], bytes)


def test_folders_are_joined_in_order_and_loaded_as_one(made, exported):
    parts = [mixtures_of([str(each)], "train", "mix", RATE) for each in (made, exported)]
    both = mixtures_of([str(made), str(exported)], "train", "mix", RATE)
    assert len(both) == len(parts[0]) + len(parts[1])
    assert both[len(parts[0])].key == parts[1][0].key
    keys = [key for batch in Loader(both, 4, workers=1) for key in batch.keys]
    assert sorted(keys) == sorted(part[n].key for part in parts for n in range(len(part)))
    with pytest.raises(IndexError):
        both[len(both)]


def test_folders_that_will_not_do_are_told_in_one_line(made, exported, tmp_path):
    for folders, split, name, rate, words in (
        ([str(tmp_path / "none")], "train", "mix", RATE, "none: no such folder; name a dataset folder or a run folder"),
        ([str(tmp_path)], "train", "mix", RATE, "holds no sizes.json"),
        ([str(made)], "dev", "mix", RATE, "holds no mixtures of dev, only of train, val"),
        ([str(made)], "train", "hard", RATE, "holds no mixtures of hard_train, only of train, val"),
        ([str(exported)], "train", "mix", 8000, "its mixtures are at 16000 Hz, the separator at 8000"),
    ):
        with pytest.raises(UserError, match=words):
            mixtures_of(folders, split, name, rate)


@pytest.mark.parametrize("how", ["missing", "cut"])
@pytest.mark.parametrize("kind", ["tar", "idx"])
def test_a_damaged_shard_of_a_run_is_named(made, tmp_path, how, kind):
    copy = Path(shutil.copytree(made, tmp_path / "run"))
    path = next(path for path in sorted((copy / "shards").rglob(f"train-*.{kind}")) if "mixtures-" in str(path))
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 700 if kind == "tar" else 30])
    with pytest.raises(UserError, match=rf"{path.name} is missing or damaged; `earloom verify .*` says more"):
        RunMixtures(copy, "train")


def test_an_excerpt_is_the_same_of_mixture_and_target_and_another_in_each_epoch(made):
    mixtures = mixtures_of([str(made)], "train", "mix", RATE)
    batch = collated([mixtures[n] for n in range(4)])
    cut = [excerpt(batch, 1000, seed=1, epoch=epoch) for epoch in (0, 0, 1)]
    assert torch.equal(cut[0].mixture, cut[1].mixture)
    assert not torch.equal(cut[0].mixture, cut[2].mixture)
    alone = excerpt(collated([mixtures[2]]), 1000, seed=1, epoch=0)
    assert torch.equal(alone.mixture[0], cut[0].mixture[2]), "what it is beside does not matter"
    for row in range(4):
        windows = batch.mixture[row].unfold(0, 1000, 1)
        at = int((windows == cut[0].mixture[row]).all(dim=1).nonzero()[0])
        assert torch.equal(batch.target[row, at : at + 1000], cut[0].target[row])
    whole = excerpt(batch, batch.mixture.shape[1], seed=1, epoch=0)
    assert torch.equal(whole.mixture, batch.mixture)
    with pytest.raises(ValueError, match="an excerpt of 40000 samples of mixtures of 32000"):
        excerpt(batch, 40000, seed=1, epoch=0)


def test_the_command_trains_judges_and_leaves_weights_that_answer_as_was_judged(trained, made):
    out = trained()
    *_, last = [line["judged"] for line in read_history(out) if "judged" in line]
    assert last["sdri"]["n"] + last["sdri"]["unknown"] == 4
    assert last["watched"] == last["sdri"]["value"]
    assert last["classes"], "labelled clips have classes"
    assert all(each["mixtures"] >= 1 for each in last["classes"].values())
    config, told, weights = read_weights(out / "last.safetensors")
    separator = build(SeparatorConfig(**config["separator"])).eval()
    separator.load_state_dict(weights)
    (folder,) = (out / "sounds").iterdir()
    held = mixtures_of([str(made)], "val", "mix", RATE)
    sample = next(each for each in map(held.__getitem__, range(len(held))) if each.key == folder.name)
    assert (folder / "asked.txt").read_text() == f"{sample.query}\n"
    assert told == {"query_encoder": sample.record["embedder"]["revision"]}
    query = np.load(io.BytesIO(sample.record["query.npy"])).astype(np.float32)
    condition = torch.from_numpy(query / np.linalg.norm(query))[None]
    with torch.no_grad():
        answer = separator(torch.from_numpy(sample.mixture)[None], condition, torch.zeros(1, dtype=torch.int64))[0]
    kept, rate = soundfile.read(folder / "answer.wav")
    assert rate == RATE
    np.testing.assert_allclose(kept, answer.clamp(-1, 1), atol=1e-4)
    assert np.isfinite(sdr_improvement(answer, sample.target, sample.mixture))


@pytest.mark.parametrize(
    "overrides",
    [
        ("loss=si_sdr", "data.crop_s=0.5", "removal=0.5"),
        ("separator.guided=true", "queries={text: 0.5}"),
        ("queries={embedder: {use: demo_clap}, text: 0.5}", "separator.guided=true"),
    ],
)
def test_it_goes_on_after_a_stop_with_the_same_bytes_however_it_is_asked(trained, overrides):
    whole = trained(*overrides, out="whole")
    trained(*overrides, "fit.steps=2", out="parts")
    parts = trained(*overrides, out="parts")
    assert (parts / "last.safetensors").read_bytes() == (whole / "last.safetensors").read_bytes()
    judged = [line["judged"] for line in read_history(parts) if "judged" in line]
    assert ("removal_sdri" in judged[-1]) == ("removal=0.5" in overrides)
    losses = next(line["losses"] for line in read_history(parts) if "losses" in line)
    assert set(losses) == ({"answer", "embedding"} if "separator.guided=true" in overrides else {"answer"})


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("separator.embedding=512", "separator.embedding: 512 will not do: the queries' embeddings have 128 numbers"),
        ("separator.sample_rate=32000", "its mixtures are at 16000 Hz, the separator at 32000"),
        ("data.held_out_split=test", "holds no mixtures of test, only of train, val"),
        (
            "data.crop_s=2.1",
            r"data.crop_s: 2.1 will not do: excerpts are of 0.064 s, .* at least, and the mixtures have 2 s",
        ),
        ("data.crop_s=0.0001", "data.crop_s: 0.0001 will not do: excerpts are of 0.064 s"),
        ("queries={embedder: {use: none}}", "queries.embedder: no listener is named 'none'"),
    ],
)
def test_what_cannot_be_trained_is_told_in_one_line_before_the_first_step(trained, override, words):
    with pytest.raises(UserError, match=words):
        trained(override)


def test_a_folder_in_which_another_training_is_at_work_is_refused(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "ORPHANS_S", 0.0)
    (tmp_path / "out").mkdir()
    with alone(Workspace(str(tmp_path / "out"))), pytest.raises(UserError, match="another run is at work there"):
        trained()


def test_a_training_tells_how_it_goes_and_what_came_of_it(trained, capsys):
    trained(said=True)
    told = capsys.readouterr()
    assert "step 2 of 3: loss 0." in told.err
    assert "waiting for data" in told.err
    assert "step 3 of 3: held out: " in told.err
    assert re.search(r"held out, sdri: -?[\d.]+ dB.*, of 4", told.out)
    assert "best.safetensors" in told.out


def test_devices_that_are_not_there_are_refused(trained, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match="--devices 2: there are 0 GPUs here; name fewer, or --device cpu"):
        trained(options=("--device", "cuda", "--devices", "2"))
    with pytest.raises(UserError, match="--out s3://x: must be a folder of this machine"):
        trained(options=("--out", "s3://x"))
