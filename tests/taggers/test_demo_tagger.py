"""The tagger that comes with the package: what it achieves on clips that it never saw, and that it keeps to the seam."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch", reason="the extra `models` is not installed")
pytest.importorskip("webdataset", reason="the extra `train` is not installed")
import torch

from schemas.errors import UserError
from schemas.ontology import default_ontology
from taggers import Finding, Listener, MissingWeights, Waveform, create, hear
from taggers.demo_tagger import DEMO, DemoTagger, TrainedTagger, specific
from taggers.models import listing
from trainers.cards import card
from trainers.clips.shards import Clips
from trainers.tagger.judge import judge

RATE = 16000
SINE, SIREN, POLICE = "/m/01v_m0", "/m/03kmc9", "/m/04qvtq"


@pytest.fixture(scope="module")
def listener() -> DemoTagger:
    made = create("demo_tagger", Listener)
    assert isinstance(made, DemoTagger)
    made.load("cpu")
    return made


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """Return what the trainer measured."""
    told: dict[str, Any] = json.loads((DEMO / "measures.json").read_text())
    return told


@pytest.fixture(scope="module")
def measured(demo: Path) -> dict[str, Any]:
    """Return what it achieves on the demo's own world, which nothing was trained on."""
    (folder,) = (demo / "shards").glob("captions-*")
    return judge(DEMO, Clips([folder], None))


def sound(seconds: float, seed: int = 0) -> Waveform:
    draw = np.random.default_rng(seed)
    time = np.arange(max(1, round(seconds * RATE))) / RATE
    tone = np.sin(2 * np.pi * draw.uniform(200, 2000) * time) * (time % 1.0 < 0.5)
    return Waveform((0.2 * tone + 0.001 * draw.standard_normal(len(time))).astype(np.float32), RATE)


def test_its_card_says_what_was_measured_and_nothing_else(report: dict[str, Any]) -> None:
    assert (DEMO / "README.md").read_text() == card("tagger", report)
    assert not {*report["worlds"]["trained_on"]} & {*report["worlds"]["measured_on"], 0}


def test_it_is_small_and_in_a_format_that_runs_nothing() -> None:
    assert sorted(path.name for path in DEMO.iterdir()) == [
        "README.md",
        "config.json",
        "measures.json",
        "model.safetensors",
    ]
    assert (DEMO / "model.safetensors").stat().st_size <= 3_000_000


@pytest.mark.parametrize("measure", ["tag_map", "event_f1", "event_f1_macro"])
def test_on_a_world_that_it_never_saw_it_is_far_above_chance_and_as_good_as_its_card_says(
    measured: dict[str, Any], report: dict[str, Any], measure: str
) -> None:
    low, high = measured[measure]["ci95"]
    assert low > 5 * measured[measure]["chance"]
    assert low > 0.5
    told = report["measures"][measure]
    assert told["ci95"][0] > 5 * told["chance"]
    assert told["ci95"][0] <= high
    assert told["ci95"][1] >= low


def test_what_it_says_is_so(measured: dict[str, Any], report: dict[str, Any]) -> None:
    for measures in (measured, report["measures"]):
        assert measures["tag_precision"]["ci95"][0] > 0.9
        assert measures["tag_recall"]["ci95"][0] > 0.8


def test_of_two_events_it_hears_the_right_one_first(measured: dict[str, Any], report: dict[str, Any]) -> None:
    for measures in (measured, report["measures"]):
        assert measures["order_where_both_heard"]["n"] >= 5
        assert measures["order_where_both_heard"]["value"] >= 0.9
        assert measures["order"]["value"] > 0.5


def test_findings_keep_to_the_seam(listener: DemoTagger) -> None:
    batch = [sound(seconds, seed) for seed, seconds in enumerate((10.0, 0.7, 3.21, 25.0))]
    every = hear(listener, batch)
    assert any(finding.kind == "tag" for findings in every for finding in findings)
    for waveform, findings in zip(batch, every, strict=True):
        tags = [finding for finding in findings if finding.kind == "tag"]
        confidences = [finding.confidence or 0.0 for finding in tags]
        assert confidences == sorted(confidences, reverse=True)
        for finding in findings:
            assert finding.name == default_ontology()[str(finding.class_id)].name
            assert finding.confidence == round(finding.confidence or 0.0, 4)
            assert finding.class_id in {tag.class_id for tag in tags}
            if finding.kind == "event":
                assert finding.onset_s == round(finding.onset_s or 0.0, 3)
                assert 0.0 <= (finding.onset_s or 0.0) < (finding.offset_s or 0.0) <= waveform.duration_s + 5e-4


def test_a_batch_is_heard_as_each_alone_and_twice_the_same(listener: DemoTagger) -> None:
    batch = [sound(2.0, 1), sound(10.0, 2), sound(2.0, 3)]
    together = listener.scores(batch)
    other = DemoTagger()
    other.load("cpu")
    for waveform, scores in zip(batch, together, strict=True):
        np.testing.assert_array_equal(scores, listener.scores([waveform])[0])
        np.testing.assert_array_equal(scores, other.scores([waveform])[0])
    assert hear(listener, []) == []


@pytest.mark.parametrize("samples", [1, 100, 639, 640, 641, 16000])
def test_scores_are_of_the_whole_and_of_each_begun_frame(listener: DemoTagger, samples: int) -> None:
    (scores,) = listener.scores([Waveform(np.full(samples, 0.1, np.float32), RATE)])
    assert scores.shape == (1 + -(-samples // 640), len(listener.shape.classes))
    assert scores.dtype == np.float32
    assert scores.min() >= 0.0
    assert scores.max() <= 1.0


def test_silence_holds_nothing(listener: DemoTagger) -> None:
    assert hear(listener, [Waveform(np.zeros(5 * RATE, np.float32), RATE)]) == [[]]


def test_a_class_that_is_heard_as_one_of_its_kinds_is_not_said_again(listener: DemoTagger) -> None:
    places = {class_id: place for place, class_id in enumerate(listener.shape.classes)}
    scores = np.zeros((101, len(places)), np.float32)
    scores[:, places[SIREN]] = 0.95
    scores[:, places[POLICE]] = 0.9
    scores[50:, places[SINE]] = 0.99
    scores[0, places[SINE]] = 0.8
    found = listener.findings(scores, 4.0)
    police, sine = (default_ontology()[class_id].name for class_id in (POLICE, SINE))
    assert found == [
        Finding("tag", police, class_id=POLICE, confidence=0.9),
        Finding("tag", sine, class_id=SINE, confidence=0.8),
        Finding("event", police, class_id=POLICE, onset_s=0.0, offset_s=4.0, confidence=0.9),
        Finding("event", sine, class_id=SINE, onset_s=1.96, offset_s=4.0, confidence=0.99),
    ]
    assert specific({SIREN}) == {SIREN}


def test_an_event_of_a_class_that_is_no_tag_is_not_said(listener: DemoTagger) -> None:
    scores = np.zeros((51, len(listener.shape.classes)), np.float32)
    scores[1:, 0] = 0.9
    assert listener.findings(scores, 2.0) == []


def test_its_revision_is_that_of_its_files(listener: DemoTagger, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(DEMO, copy)
    assert DemoTagger(copy).revision == listener.revision
    assert listener.revision.startswith("demo_tagger-1-")
    (copy / "README.md").write_text("another card")
    assert DemoTagger(copy).revision == listener.revision
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    assert DemoTagger(copy).revision != listener.revision


def test_what_is_missing_or_another_models_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        MissingWeights, match=r"are not in .* \(config.json, model.safetensors\); make them with `make demo"
    ):
        DemoTagger(tmp_path)
    shutil.copytree(DEMO, tmp_path / "copy")
    config = json.loads((DEMO / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps(config | {"classes": config["classes"][1:]}))
    shorter = DemoTagger(tmp_path / "copy")
    with pytest.raises(UserError, match="model.safetensors: holds other weights"):
        shorter.load("cpu")
    (tmp_path / "copy" / "model.safetensors").write_bytes((DEMO / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(UserError, match=r"model.safetensors: is no file of safetensors, or a damaged one .Safetensor"):
        shorter.load("cpu")
    (tmp_path / "copy" / "config.json").write_text("{}")
    with pytest.raises(UserError, match="config.json: does not describe a tagger"):
        DemoTagger(tmp_path / "copy")


def test_a_users_own_tagger_is_heard_by_the_name_that_a_recipe_gives_it(
    listener: DemoTagger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipelines.catalog.query import dicts
    from pipelines.cli import main
    from pipelines.core.workspace import Workspace

    own, data = tmp_path / "own", tmp_path / "data"
    own.mkdir()
    for file in ("config.json", "model.safetensors"):
        shutil.copy(DEMO / file, own)
    data.mkdir()
    soundfile.write(data / "tone.wav", sound(2.0).samples, RATE, subtype="PCM_16")
    recipe = tmp_path / "own.yaml"
    model = {"use": "trained_tagger", "name": "mine", "settings": {"weights": str(own)}}
    listen = {"listeners": ["demo_tagger", model]}
    told = {"name": "own", "partitions": 1, "audio": {"sample_rate": RATE}, "mix": {"per_clip": 0}, "listen": listen}
    recipe.write_text(
        json.dumps(told | {"data": {"root": str(data), "datasets": [{"adapter": "folder", "name": "d"}]}})
    )
    arguments = ["run", str(recipe), "--out", str(tmp_path / "run"), "--engine", "inline", "--quiet"]
    assert main(arguments) == 0, capsys.readouterr().err
    wanted = "SELECT kind, class_id, onset_s, offset_s, confidence FROM evidence WHERE listener = '{}' ORDER BY ALL"
    heard, same = (dicts(Workspace(str(tmp_path / "run")), wanted.format(name)) for name in ("mine", "demo_tagger"))
    assert heard == same != []
    assert main(["verify", str(tmp_path / "run")]) == 0


def test_a_users_own_tagger_is_told_apart_by_its_weights_and_not_by_their_place(tmp_path: Path) -> None:
    for name in "ab":
        shutil.copytree(DEMO, tmp_path / name)
    data = bytearray((DEMO / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "b" / "model.safetensors").write_bytes(data)
    shutil.copytree(DEMO, tmp_path / "c")
    first, other, again = (create("trained_tagger", Listener, {"weights": str(tmp_path / name)}) for name in "abc")
    assert first.revision == again.revision != other.revision
    assert first.revision.startswith("trained_tagger-1-")
    assert isinstance(first, TrainedTagger)
    assert first.shape.classes == DemoTagger().shape.classes


def test_a_users_own_tagger_that_is_not_there_is_told_with_how_it_comes_there(tmp_path: Path) -> None:
    mend = "set `weights` to the folder `model` that `earloom train` wrote for task `tagging`"
    with pytest.raises(MissingWeights, match=f"'trained_tagger' has no weights of its own; {mend}"):
        create("trained_tagger", Listener)
    with pytest.raises(MissingWeights, match=rf"are not in .*nowhere \(config.json, model.safetensors\); {mend}"):
        create("trained_tagger", Listener, {"weights": str(tmp_path / "nowhere")})
    shutil.copytree(DEMO, tmp_path / "odd")
    config = json.loads((DEMO / "config.json").read_text())
    (tmp_path / "odd" / "config.json").write_text(json.dumps(config | {"classes": ["/m/nobody"]}))
    with pytest.raises(UserError, match=r"config.json: '/m/nobody' is no class of the ontology; train it again"):
        create("trained_tagger", Listener, {"weights": str(tmp_path / "odd")})
    (shown,) = [shown for shown in listing() if shown.name == "trained_tagger"]
    assert (shown.state, shown.settings) == ("no weights", ("weights",))


def test_it_is_planned_without_torch_and_loaded_without_a_draw(listener: DemoTagger) -> None:
    code = (
        "import sys; from taggers import create, Listener; create('demo_tagger', Listener); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0
    before = torch.random.get_rng_state()
    listener.load("cpu")
    assert torch.equal(before, torch.random.get_rng_state())
