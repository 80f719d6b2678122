"""CLAPScore hears at the model's own rate, a fault costs its own sound alone, and a circular score is told."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from toy_models import Pitch

from taggers.base import Waveform
from trainers.measures.clap_scores import at_rate_of, circular, clap_score, clap_score_audio, same_space, windows_of

RATE = 16000
TIME = np.arange(2 * RATE) / RATE
LOW, HIGH = 0.5 * np.sin(2 * np.pi * 100 * TIME), 0.5 * np.sin(2 * np.pi * 3900 * TIME)


class Deaf(Pitch):
    """Puts every text where its hash says, whatever it says; turned by ``angle``."""

    def __init__(self, seed: int = 0, angle: float = 0.0) -> None:
        self.seed, self.angle = seed, angle

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        angles = [sum(text.encode()) * (1 + self.seed) + self.angle for text in texts]
        return np.array([(np.cos(each), np.sin(each)) for each in angles], np.float32)


def test_a_sound_is_near_the_words_that_fit_it() -> None:
    ears = Pitch()
    windows = windows_of(ears, np.stack([LOW, HIGH]), RATE)
    texts = ears.embed_text(["a low tone", "a high tone"])
    assert [own.shape for own in windows] == [(3, 2), (3, 2)]
    assert (clap_score(windows, texts) > 0.99).all()
    assert (clap_score(windows, texts[::-1]) < 0.2).all()
    np.testing.assert_allclose(clap_score_audio(windows, windows), 1)
    np.testing.assert_allclose(clap_score_audio(windows, windows[::-1]), clap_score_audio(windows[::-1], windows))


def test_what_is_embedded_is_at_the_models_rate_and_not_past_full_scale() -> None:
    sound = at_rate_of(Pitch(), 4 * LOW, RATE)
    assert (sound.rate, len(sound.samples), np.abs(sound.samples).max()) == (8000, 16000, 1.0)
    spectrum = np.abs(np.fft.rfft(sound.samples))
    assert spectrum.argmax() == 200  # 100 Hz of two seconds, which at a wrong rate would be 50 or 200
    assert at_rate_of(Pitch(), LOW[:1], RATE).duration_s > 0


def test_it_is_the_mean_of_windows_that_counts() -> None:
    both = windows_of(Pitch(), [np.concatenate([LOW, HIGH])], RATE)
    expected = both[0].mean(axis=0) / np.linalg.norm(both[0].mean(axis=0))
    np.testing.assert_allclose(clap_score(both, [[1.0, 0.0]]), expected[0])


def test_integers_are_refused_and_windows_that_cancel_out_are_unknown() -> None:
    whole = np.rint(32767 * np.stack([LOW])).astype(np.int16)
    for call in (lambda: windows_of(Pitch(), whole, RATE), lambda: at_rate_of(Pitch(), whole[0], RATE)):
        with pytest.raises(ValueError, match="floats of full scale 1, not int16"):
            call()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(clap_score([np.array([[1.0, 0.0], [-1.0, 0.0]])], [[1.0, 0.0]])).all()


def test_a_broken_sound_is_its_own_fault() -> None:
    windows = windows_of(Pitch(), np.stack([LOW, np.where(TIME == 0, np.nan, LOW)]), RATE)
    np.testing.assert_array_equal(np.isnan(clap_score(windows, [[1.0, 0.0]] * 2)), [False, True])
    with pytest.raises(ValueError, match=r"one shape \(sounds, dimension\), not \(2, 2\) and \(1, 2\)"):
        clap_score(windows, [[1.0, 0.0]])


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("clap_laion-1-0123456789ab-aaaaaaaa", True),
        ("clap_laion-2-0123456789ab-bbbbbbbb", True),  # another hop, another version of the adapter
        ("clap_laion-1-ba9876543210-aaaaaaaa", False),
        ("pitch-1", False),
        (None, None),
    ],
)
def test_one_set_of_weights_is_one_clap_whatever_its_settings(query: str | None, told: bool | None) -> None:
    assert circular("clap_laion-1-0123456789ab-aaaaaaaa", query) is told
    assert circular("pitch-1", "pitch-1") is True


def test_one_clap_is_known_by_where_it_puts_words_also_when_its_space_is_turned() -> None:
    assert same_space(Deaf(), Deaf(angle=0.7))
    assert not same_space(Deaf(), Deaf(seed=1))


def test_the_demo_clap_is_itself_and_no_toy() -> None:
    from taggers.clap_transformers import DemoClap

    clap = DemoClap()
    clap.load("cpu")
    assert same_space(clap, clap)
    assert circular(clap.revision, clap.revision)
    rate = clap.sample_rate or RATE
    sound = Waveform(np.zeros(rate, np.float32) + np.float32(0.1), rate)
    windows = windows_of(clap, [sound.samples], rate)
    np.testing.assert_allclose(windows[0], clap.embed_audio([sound])[0])
    assert -1 <= float(clap_score(windows, clap.embed_text(["rain"]))[0]) <= 1
