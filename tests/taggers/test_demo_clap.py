"""The CLAP that comes with the package: what it finds among clips that it never saw, and that transformers reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers", reason="the extra `models` is not installed")
pytest.importorskip("webdataset", reason="the extra `train` is not installed")
import torch

from taggers import Embedder, Waveform, create, embed
from taggers.clap_transformers import DEMO, DemoClap
from trainers.cards import card
from trainers.clap.judge import judge
from trainers.clips.shards import Clips

RATE = 16000


@pytest.fixture(scope="module")
def model() -> DemoClap:
    made = create("demo_clap", Embedder)
    assert isinstance(made, DemoClap)
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


def sound(seconds: float, hz: float) -> Waveform:
    time = np.arange(round(seconds * RATE)) / RATE
    return Waveform((0.2 * np.sin(2 * np.pi * hz * time)).astype(np.float32), RATE)


def test_its_card_says_what_was_measured_and_nothing_else(report: dict[str, Any]) -> None:
    assert (DEMO / "README.md").read_text() == card("clap", report)
    assert not {*report["worlds"]["trained_on"]} & {*report["worlds"]["measured_on"], 0}


def test_it_is_small_and_in_a_format_that_runs_nothing() -> None:
    files = ["README.md", "config.json", "measures.json", "model.safetensors", "preprocessor_config.json"]
    assert sorted(path.name for path in DEMO.iterdir()) == [*files, "tokenizer.json", "tokenizer_config.json"]
    assert sum(path.stat().st_size for path in DEMO.iterdir()) <= 3_000_000


@pytest.mark.parametrize(
    "measure", ["text_to_audio_r1", "text_to_audio_r5", "audio_to_text_r1", "audio_to_text_r5", "same_labels_at_1"]
)
def test_on_a_world_that_it_never_saw_it_is_far_above_chance_and_as_good_as_its_card_says(
    measured: dict[str, Any], report: dict[str, Any], measure: str
) -> None:
    low, high = measured[measure]["ci95"]
    assert low > 5 * measured[measure]["chance"]
    told = report["measures"][measure]
    assert told["ci95"][0] > 5 * told["chance"]
    assert told["ci95"][0] <= high
    assert told["ci95"][1] >= low


def test_what_is_asked_for_stands_among_the_first(measured: dict[str, Any]) -> None:
    for direction in ("text_to_audio", "audio_to_text"):
        rank = measured[f"{direction}_mean_rank"]
        assert 5 * rank["ci95"][1] < rank["chance"]


def test_transformers_by_hand_gives_the_same_embeddings(model: DemoClap) -> None:
    from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

    waveform = sound(3.3, 700.0)
    features = ClapFeatureExtractor.from_pretrained(DEMO)(waveform.samples, sampling_rate=RATE, return_tensors="pt")
    words = AutoTokenizer.from_pretrained(DEMO)(["a siren wails", "rain falls"], padding=True, return_tensors="pt")
    network = ClapModel.from_pretrained(DEMO).eval()
    with torch.inference_mode():
        heard = network.get_audio_features(**features).pooler_output.numpy()
        read = network.get_text_features(**words).pooler_output.numpy()
    for by_hand, ours in (
        (heard, embed(model, [waveform])[0]),
        (read, model.embed_text(["a siren wails", "rain falls"])),
    ):
        np.testing.assert_allclose(by_hand / np.linalg.norm(by_hand, axis=1, keepdims=True), ours, atol=1e-5)


def test_it_hears_windows_of_ten_seconds_in_128_dimensions(model: DemoClap) -> None:
    assert (model.sample_rate, model.window_s, model.hop_s, model.dimension) == (RATE, 10.0, 1.0, 128)
    assert [len(rows) for rows in embed(model, [sound(0.2, 500.0), sound(10.0, 500.0), sound(12.0, 500.0)])] == [
        1,
        1,
        3,
    ]


def test_words_that_it_does_not_know_say_nothing(model: DemoClap) -> None:
    one, other = model.embed_text(["zebra xylophone", "quorum jazz"])
    np.testing.assert_array_equal(one, other)
    again = model.embed_text(["RAIN falls", "rain Falls"])
    np.testing.assert_array_equal(again[0], again[1])
