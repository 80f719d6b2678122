"""An answer becomes an estimate by what is said and counted, and by nothing else; what cannot become one says why."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import soxr

pytest.importorskip("lightning", reason="the extra `train` is not installed")
import torch
from evaluation_sets import RATE, Asked, dataset_of

from schemas.errors import Reject
from trainers.evaluating.fitting import Given, fitted
from trainers.evaluating.items import Item
from trainers.evaluating.sets import open_sets


@pytest.fixture(scope="module")
def item(tmp_path_factory: pytest.TempPathFactory) -> Item:
    (items,) = open_sets([str(dataset_of(tmp_path_factory.mktemp("one"), Asked(1)))], "test")
    return next(iter(items))


def refused(item: Item, samples: Any, rate: int = RATE) -> tuple[str, str]:
    with pytest.raises(Reject) as caught:
        fitted(Given(samples, rate), item)
    return caught.value.error, caught.value.message


def test_what_fits_is_left_as_it_is_even_beyond_full_scale(item: Item) -> None:
    for samples in (item.mixture * 3, torch.from_numpy(item.mixture * 3), (item.mixture * 3).astype(float).tolist()):
        estimate = fitted(Given(samples, RATE), item)
        np.testing.assert_array_equal(estimate.samples, item.mixture * 3)
        assert (estimate.samples.dtype, estimate.notes) == (np.float32, ())


def test_channels_are_averaged_rates_resampled_and_ends_cut_or_padded(item: Item) -> None:
    stereo = fitted(Given(np.stack([item.mixture, 3 * item.mixture], axis=1), RATE), item)
    np.testing.assert_allclose(stereo.samples, 2 * item.mixture, atol=1e-6)
    assert stereo.notes == ("averaged",)
    assert fitted(Given(item.mixture[:, None], RATE), item).notes == ()
    double = fitted(Given(soxr.resample(item.mixture, RATE, 2 * RATE, "HQ"), 2 * RATE), item)
    assert double.notes == ("resampled",)
    np.testing.assert_allclose(double.samples[400:-400], item.mixture[400:-400], atol=1e-2)
    short, long = (
        fitted(Given(samples, RATE), item)
        for samples in (item.mixture[:-800], np.concatenate([item.mixture, np.ones(800)]))
    )
    assert (short.notes, long.notes) == (("padded",), ("cut",))
    np.testing.assert_array_equal(short.samples[-800:], 0)
    np.testing.assert_array_equal(short.samples[:-800], item.mixture[:-800])
    np.testing.assert_array_equal(long.samples, item.mixture)


def test_what_cannot_be_compared_is_refused_with_its_reason(item: Item) -> None:
    assert refused(item, item.mixture[:-801]) == (
        "wrong_length",
        "is 0.900 s, the mixture 1.000 s long; they may differ by 0.1 s",
    )
    assert refused(item, np.where(np.arange(RATE) < 3, np.nan, item.mixture)) == (
        "not_finite",
        "3 of 8000 samples are NaN or infinite",
    )
    assert refused(item, np.zeros(0))[0] == "wrong_shape"
    assert refused(item, np.zeros((2, 3, 4))) == ("wrong_shape", "has shape (2, 3, 4), not (samples,)")
    assert refused(item, np.zeros(RATE), 2 * RATE)[0] == "wrong_length"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("sound", "holds <U5, not floats of full scale 1"),
        (None, "holds object, not floats"),
        ([[1.0], [1.0, 2.0]], r"is no array of numbers \(ValueError\)"),
        (np.full(RATE, 3, np.int16), "holds int16, not floats of full scale 1"),
        (torch.full((RATE,), 3), "holds int64, not floats"),
        (np.full(RATE, 0.1 + 0.1j), "holds complex128, not floats"),
    ],
)
def test_what_is_no_float_is_not_taken_for_one(item: Item, made: Any, words: str) -> None:
    error, message = refused(item, made)
    assert error == "wrong_type"
    assert re.match(words, message)


def test_a_tensor_with_gradients_or_of_half_precision_is_an_answer(item: Item) -> None:
    answer = torch.from_numpy(item.mixture.copy()).requires_grad_()
    np.testing.assert_array_equal(fitted(Given(answer, RATE), item).samples, item.mixture)
    np.testing.assert_allclose(fitted(Given(answer.bfloat16(), RATE), item).samples, item.mixture, atol=4e-3)


def test_what_32_bits_cannot_hold_is_not_finite(item: Item) -> None:
    assert refused(item, np.full(RATE, 1e300))[0] == "not_finite"
