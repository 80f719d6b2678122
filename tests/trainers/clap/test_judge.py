"""What a CLAP is said to find is what one counts by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
pytest.importorskip("transformers", reason="the extra `train` is not installed")
from caption_worlds import NOISE, POLICE, RATE, SINE, SIREN

import trainers.clap.judge
from schemas.errors import UserError
from taggers.base import Waveform
from taggers.clap import ClapSettings
from trainers.clap.judge import _found_by_chance, _mean_of_owned, _same_labels, embedded, judge
from trainers.clips.shards import Clip

SOUNDS = {"0": [1, 0, 0], "1": [0, 1, 0], "2": [0, 0, 1], "3": [0.6, 0.8, 0]}
WORDS = {"a": [1, 0, 0], "b": [0.6, 0.8, 0], "c": [0, 1, 0], "d": [0.8, 0.6, 0], "e": [0, 0, 1]}


def clip(key: str, captions: str, labels: Sequence[str] | None, recording: str | None = None) -> Clip:
    told = {"recording_id": recording or key}
    return Clip(key, RATE, tuple(captions), None if labels is None else tuple(labels), None, told)


class Keyed(list[NDArray[np.float32]]):
    """Clips of some seconds whose first sample tells their key."""

    def __init__(self, told: Sequence[Clip], seconds: int = 1) -> None:
        super().__init__(np.eye(1, seconds * RATE, dtype=np.float32)[0] * (ord(clip.key) / 256) for clip in told)
        self.told = tuple(told)


class Scripted:
    """A CLAP that puts sounds and words where it is told."""

    name, sample_rate, dimension, window_s, hop_s = "scripted", RATE, 3, 1.0, 1.0

    def __init__(self, settings: ClapSettings) -> None:
        assert settings.weights == "folder"

    def load(self, device: str) -> None:
        assert device == "cpu"

    def embed_audio(self, batch: Sequence[Waveform]) -> list[Any]:
        keys = [chr(round(float(wave.samples[0]) * 256)) for wave in batch]
        return [np.array([SOUNDS[key]], np.float32) for key in keys]

    def embed_text(self, texts: Sequence[str]) -> Any:
        return np.array([WORDS[text] for text in texts], np.float32)


CLIPS = [
    clip("0", "a", [SINE]),
    clip("9", "ab", [SINE], recording="0"),  # a copy: its sound is never asked for
    clip("1", "c", [SINE]),
    clip("2", "d", [NOISE]),
    clip("3", "e", None),
]


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function from clips to what is measured on them."""
    monkeypatch.setattr(trainers.clap.judge, "TransformersClap", Scripted)
    return lambda clips: judge(Path("folder"), Keyed(clips))


def test_every_measure_is_what_one_counts_by_hand(judged: Any) -> None:
    found = judged(CLIPS)
    value = {name: row["value"] for name, row in found.items()}
    chance = {name: row["chance"] for name, row in found.items()}
    # a and c find theirs first; b finds 3 and 1 before 0; d and e find theirs last: what is as near stands before it.
    assert value["text_to_audio_r1"] == pytest.approx(2 / 5)
    assert value["text_to_audio_r5"] == value["text_to_audio_r10"] == 1.0
    assert value["text_to_audio_mean_rank"] == pytest.approx((1 + 3 + 1 + 4 + 4) / 5)
    assert chance["text_to_audio_r1"] == pytest.approx(1 / 4)
    assert chance["text_to_audio_r5"] == 1.0
    assert chance["text_to_audio_mean_rank"] == pytest.approx(5 / 2)
    # 0 finds a first, 1 finds c; 2 and 3 find theirs last of five.
    assert value["audio_to_text_r1"] == pytest.approx(2 / 4)
    assert value["audio_to_text_mean_rank"] == pytest.approx((1 + 1 + 5 + 5) / 4)
    assert chance["audio_to_text_r1"] == pytest.approx((2 / 5 + 3 * 1 / 5) / 4)
    assert chance["audio_to_text_mean_rank"] == pytest.approx((6 / 3 + 3 * 6 / 2) / 4)
    # Among the labelled, a and c find a sine, b finds 1, which is one too, and d finds 0, which is no noise.
    assert value["same_labels_at_1"] == pytest.approx(3 / 4)
    assert chance["same_labels_at_1"] == pytest.approx((2 / 3 + 2 / 3 + 2 / 3 + 1 / 3) / 4)
    assert {row["n"] for row in found.values()} == {4}


def test_where_nothing_is_labelled_there_are_no_same_labels(judged: Any) -> None:
    found = judged([clip("0", "a", None), clip("3", "e", None)])["same_labels_at_1"]
    assert found == {"value": None, "ci95": None, "n": 0, "chance": None}


def test_one_recording_alone_is_nothing_to_look_for(judged: Any) -> None:
    with pytest.raises(UserError, match="fewer than two recordings"):
        judged(CLIPS[:2])


@pytest.mark.parametrize(
    ("wanted", "items", "most", "chance"),
    [(1, 4, 1, 1 / 4), (2, 4, 1, 1 / 2), (2, 4, 2, 5 / 6), (1, 20, 5, 1 / 4), (1, 4, 10, 1.0), (3, 4, 2, 1.0)],
)
def test_chance_is_that_of_a_random_order(wanted: int, items: int, most: int, chance: float) -> None:
    assert _found_by_chance(wanted, items, most) == pytest.approx(chance)


def test_a_recording_that_is_drawn_twice_counts_with_all_its_queries_twice() -> None:
    measure = _mean_of_owned(np.array([1.0, 0.0, 1.0]), np.array([0, 0, 2]), 3)
    assert measure(np.array([0, 1, 2])) == pytest.approx(2 / 3)
    assert measure(np.array([0, 0, 2])) == pytest.approx(3 / 5)
    assert measure(np.array([2])) == 1.0
    assert np.isnan(measure(np.array([1, 1])))  # none of its captions is asked for


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([SINE], [SINE], True),
        ([SINE], [NOISE], False),
        ([SIREN, POLICE], [POLICE], True),  # that it is a siren goes without saying
        ([SIREN], [POLICE], False),
        ([SINE], [SINE, NOISE], False),
        (None, None, False),
        (None, [SINE], False),
    ],
)
def test_labels_are_the_same_where_the_most_specific_are(
    one: list[str] | None, other: list[str] | None, same: bool
) -> None:
    assert _same_labels(clip("0", "a", one), clip("1", "b", other)) is same
    assert _same_labels(clip("1", "b", other), clip("0", "a", one)) is same


def test_a_long_sound_is_the_mean_of_its_windows_of_unit_length() -> None:
    class Two(Scripted):
        def embed_audio(self, batch: Sequence[Waveform]) -> list[Any]:
            return [np.array([[1, 0, 0], [0, 1, 0]], np.float32)]

    model: Any = Two(ClapSettings(weights="folder"))
    recording = embedded(model, Keyed([clip("0", "a", None), clip("1", "ab", None)], 2), [1, 0])
    np.testing.assert_allclose(recording.sound, [np.sqrt(0.5), np.sqrt(0.5), 0], rtol=1e-6)
    assert (recording.clip.key, recording.captions) == ("1", ("a", "b"))
    np.testing.assert_allclose(recording.words, [WORDS["a"], WORDS["b"]], rtol=1e-6)
