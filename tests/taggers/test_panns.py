"""The adapters of PANNs give what the package gives, whatever is in a batch, and the package does nothing behind our back."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import random_models
from hypothesis import given, settings
from hypothesis import strategies as st

import taggers.panns
from schemas.errors import UserError
from schemas.ontology import default_ontology
from taggers import BadSettings, Listener, MissingWeights, Waveform, create, hear, hysteresis
from taggers.audioset import classes
from taggers.panns import (
    HOP,
    LEAST,
    LONGEST,
    RATE,
    STEP,
    EventSettings,
    PannsEvents,
    PannsTags,
    TagSettings,
    framewise,
    library,
    pieces,
)

REPO = Path(__file__).resolve().parents[2]
CLOSE = 1e-5
"""Largest difference from the package that float32 may make."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with both checkpoints, with random weights."""
    made = tmp_path_factory.mktemp("panns")
    random_models.cnn14(made)
    random_models.cnn14_framewise(made)
    return made


@pytest.fixture(scope="module")
def tags(folder: Path) -> PannsTags:
    model = create("panns_tags", Listener, {"weights": str(folder), "threshold": 0.6, "top": 7})
    assert isinstance(model, PannsTags)
    model.load("cpu")
    return model


@pytest.fixture(scope="module")
def events(folder: Path) -> PannsEvents:
    model = create("panns_events", Listener, {"weights": str(folder), "high": 0.7, "low": 0.55})
    assert isinstance(model, PannsEvents)
    model.load("cpu")
    return model


def sound(seconds: float, seed: int = 0) -> Waveform:
    draw = np.random.default_rng(seed)
    count = round(seconds * RATE)
    tone = np.sin(np.arange(count) * draw.uniform(0.01, 1.0)) * np.sin(np.arange(count) * 2e-4 * (1 + seed))
    return Waveform((tone * draw.uniform(0.0, 0.9, count)).astype(np.float32), RATE)


def test_the_outputs_are_numbered_as_audioset_numbers_its_classes(shared: Path) -> None:
    with (shared / "audioset" / "class_labels_indices.csv").open(encoding="utf-8", newline="") as file:
        published = list(csv.DictReader(file))
    assert [(node.class_id, node.name) for node in classes()] == [
        (row["mid"], row["display_name"]) for row in published
    ]


def test_every_output_is_a_class_of_the_ontology() -> None:
    assert len({node.class_id for node in classes()}) == 527
    assert all(node.class_id in default_ontology() for node in classes())


def test_scores_are_those_of_the_package_called_by_hand(tags: PannsTags, folder: Path) -> None:
    library()
    from panns_inference import AudioTagging

    by_hand = AudioTagging(checkpoint_path=str(folder / PannsTags.weights.files[0]), device="cpu")
    for waveform in (sound(3.0, 1), sound(0.5, 2)):
        expected, _ = by_hand.inference(waveform.samples[None].copy())
        assert np.abs(tags.scores([waveform])[0] - expected[0]).max() <= CLOSE
        assert np.ptp(expected) > 0.3  # or there would be nothing to compare


def test_scores_over_time_are_those_of_the_package_called_by_hand(events: PannsEvents, folder: Path) -> None:
    library()
    from panns_inference import SoundEventDetection

    path = folder / PannsEvents.weights.files[0]
    by_hand = SoundEventDetection(checkpoint_path=str(path), device="cpu", interpolate_mode="nearest")
    waveform = sound(2.35, 3)
    expected = by_hand.inference(waveform.samples[None].copy())[0]
    found = events.scores([waveform])[0]
    assert found.shape == (235, 527)
    assert np.abs(found - expected[:235]).max() <= CLOSE
    assert np.ptp(expected, axis=0).max() > 0.02


def test_a_batch_hears_what_each_hears_alone_and_twice_the_same(tags: PannsTags, events: PannsEvents) -> None:
    batch = [sound(1.0, 1), sound(0.4, 2), sound(1.0, 3), sound(0.1, 4)]
    for model in (tags, events):
        together, again = model.scores(batch), model.scores(batch)
        alone = [model.scores([waveform])[0] for waveform in batch]
        for first, second, third in zip(together, again, alone, strict=True):
            assert np.array_equal(first, second)
            assert np.array_equal(first, third)
        assert hear(model, batch) == [hear(model, [waveform])[0] for waveform in batch]


def test_tags_are_the_best_classes_over_the_threshold(tags: PannsTags) -> None:
    waveform = sound(1.0, 5)
    scores, found = tags.scores([waveform])[0], hear(tags, [waveform])[0]
    best = sorted(range(527), key=lambda index: -scores[index])[:7]
    assert [finding.class_id for finding in found] == [classes()[i].class_id for i in best if scores[i] >= 0.6]
    assert found
    assert found[0].kind == "tag"
    assert found[0].confidence == round(float(scores[best[0]]), 4)


def test_events_lie_within_the_sound_and_say_how_sure_they_are(events: PannsEvents) -> None:
    for waveform in (sound(2.345, 6), sound(0.05, 7)):
        found = hear(events, [waveform])[0]
        assert found
        for event in found:
            assert event.onset_s is not None
            assert event.offset_s is not None
            assert event.confidence is not None
            assert 0 <= event.onset_s < event.offset_s <= waveform.duration_s
            assert event.confidence >= 0.55
        assert [event.onset_s for event in found] == sorted(event.onset_s or 0.0 for event in found)


@settings(deadline=None)
@given(st.one_of(st.integers(1, 3 * LEAST), st.integers(1, 3).map(lambda n: n * LONGEST), st.integers(1, 4 * LONGEST)))
def test_a_sound_is_heard_whole_in_pieces_that_the_network_can_take(count: int) -> None:
    samples = np.arange(count, dtype=np.float32)
    parts = pieces(samples)
    assert all(LEAST <= len(part) < LONGEST + LEAST + 1 for part in parts)
    assert np.array_equal(np.concatenate(parts)[:count], samples)
    assert not np.concatenate(parts)[count:].any()
    # As the package spreads its scores: each step's over 32 frames, the last one's over what is left.
    frames = [len(part) // HOP + 1 for part in parts]
    spread = [np.minimum(np.arange(n) // 32, n // 32 - 1)[:, None] + [0.0, 1000.0 * at] for at, n in enumerate(frames)]
    whole = np.concatenate([*(part[: LONGEST // HOP] for part in spread[:-1]), spread[-1]])[: -(-count // HOP)]
    joined = framewise([part[::32] for part in spread], count)
    assert len(joined) == -(-count // HOP)
    np.testing.assert_array_equal(joined, whole)


def test_events_are_those_of_all_scores_though_few_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taggers.panns, "LONGEST", 2 * STEP)
    chosen = EventSettings(weights=str(folder), high=0.55, low=0.5)
    model = PannsEvents(chosen)
    model.load("cpu")
    for seconds in (0.2, 1.5):
        waveform = sound(seconds, 8)
        (scores,), (kept,), (found,) = (made([waveform]) for made in (model.scores, model._heard, model.listen))
        wanted = hysteresis.events(scores, HOP / RATE, 0.55, 0.5, chosen.median_s, chosen.least_s, chosen.gap_s)
        assert [(each.class_id, each.onset_s) for each in found] == [
            (classes()[index].class_id, round(onset_s, 3)) for index, onset_s, _, _ in wanted
        ]
        assert [each.confidence for each in found] == [round(score, 4) for *_, score in wanted]
        # What is kept of a long sound holds no frame twice, and nothing of what the network gave.
        assert sum(part.nbytes for part in kept) < scores.nbytes / 16 or seconds < 1
        assert all(part.base is None or part.base.nbytes == part.nbytes for part in kept)


def test_a_sound_that_is_longer_than_what_is_heard_at_once_has_the_best_score_of_its_pieces(
    tags: PannsTags, events: PannsEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taggers.panns, "LONGEST", 2 * STEP)  # a minute would take seconds
    waveform = sound(1.5, 8)
    parts = [Waveform(part, RATE) for part in (waveform.samples[: 2 * STEP], waveform.samples[2 * STEP :])]
    assert np.array_equal(tags.scores([waveform])[0], np.maximum(*tags.scores(parts)))
    assert np.array_equal(events.scores([waveform])[0], np.concatenate(events.scores(parts)))


def test_settings_that_make_no_sense_are_refused_and_each_counts_in_the_revision(folder: Path) -> None:
    with pytest.raises(BadSettings, match="low must not be above high"):
        create("panns_events", Listener, {"weights": str(folder), "high": 0.2, "low": 0.4})
    with pytest.raises(BadSettings, match="threshold"):
        create("panns_tags", Listener, {"weights": str(folder), "threshold": 1.5})
    path = folder / PannsTags.weights.files[0]
    made = [
        create("panns_tags", Listener, {"weights": str(folder), "threshold": 0.1}).revision,
        create("panns_tags", Listener, {"weights": str(path), "threshold": 0.1}).revision,
        create("panns_tags", Listener, {"weights": str(path), "threshold": 0.2}).revision,
    ]
    assert made[0] == made[1] != made[2]
    assert made[0].startswith("panns_tags-1-")


def test_missing_weights_say_where_they_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARLOOM_MODELS", str(tmp_path))
    with pytest.raises(MissingWeights, match=r"panns.*Cnn14_mAP=0.431.pth.*earloom models pull panns_tags"):
        create("panns_tags", Listener)


def test_weights_of_the_other_network_are_refused(folder: Path, tmp_path: Path) -> None:
    import torch

    small = tmp_path / "other.pth"
    torch.save({"model": {"fc1.weight": torch.zeros(2, 2)}}, small)
    model = PannsTags(TagSettings(weights=str(small)))
    with pytest.raises(UserError, match="does not fit Cnn14"):
        model.load("cpu")


def test_importing_downloads_prints_and_leaves_nothing(tmp_path: Path) -> None:
    home, tools = tmp_path / "home", tmp_path / "tools"
    home.mkdir()
    tools.mkdir()
    for tool in ("wget", "curl"):
        (tools / tool).write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
        (tools / tool).chmod(0o755)
    code = (
        "import os, sys\n"
        "from taggers.panns import library\n"
        "assert 'torch' not in sys.modules\n"
        "models = library()\n"
        "import panns_inference\n"
        "assert panns_inference.models is models\n"
        "assert len(panns_inference.labels) == 527, panns_inference.labels\n"
        "assert 'panns_inference.config' not in sys.modules\n"
        "assert 'matplotlib' not in sys.modules\n"
        "assert os.listdir(os.environ['HOME']) == []\n"
        "import matplotlib\n"
        "assert matplotlib.__version__\n"
    )
    environment = {**os.environ, "HOME": str(home), "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("XDG_CACHE_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "called").exists()
