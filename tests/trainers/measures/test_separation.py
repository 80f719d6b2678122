"""The separation measures agree with published values, independent implementations and arithmetic."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from trainers.measures import separation
from trainers.measures.separation import TAPS, bss_eval_sources, sdr, si_sdr
from trainers.measures.suppression import suppression

ORACLES = Path(__file__).resolve().parents[4] / "shared/data/oracles/mir_eval"
NAN, INF = np.nan, np.inf


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


TIME = np.arange(4000) / 8000
TONE = np.sin(2 * np.pi * 440 * TIME)
SILENCE = np.zeros_like(TONE)
OTHER = noise(4000)
BROKEN = np.where(TIME == 0, NAN, TONE)
ENDLESS = np.where(TIME == 0, INF, TONE)

EDGES: dict[str, tuple[np.ndarray, np.ndarray, float, float]] = {
    # name: (estimate, reference, SDR, SI-SDR)
    "identical": (TONE, TONE, INF, INF),
    "silent reference": (OTHER, SILENCE, NAN, NAN),
    "both silent": (SILENCE, SILENCE, NAN, NAN),
    "silent estimate": (SILENCE, TONE, 0.0, -INF),
    "constant reference": (TONE, SILENCE + 0.3, 10 * np.log10(0.09 / (0.5 + 0.09)), NAN),
    "constant estimate": (SILENCE + 0.5, TONE, 10 * np.log10(0.5 / 0.75), -INF),
    "half as loud": (TONE / 2, TONE, 20 * np.log10(2), INF),
    "scaled by a third": (TONE / 3, TONE, -20 * np.log10(2 / 3), INF),
    "twice as loud": (TONE * 2, TONE, 0.0, INF),
    "turned over": (-TONE, TONE, -20 * np.log10(2), INF),
    "with an offset": (TONE + 0.5, TONE, 10 * np.log10(0.5 / 0.25), INF),
    "a quarter period late": (
        np.sin(2 * np.pi * 1000 * TIME - np.pi / 2),
        np.sin(2 * np.pi * 1000 * TIME),
        -10 * np.log10(2),
        -INF,
    ),
    "NaN in the estimate": (BROKEN, TONE, NAN, NAN),
    "NaN in the reference": (TONE, BROKEN, NAN, NAN),
    "infinity in the estimate": (ENDLESS, TONE, NAN, NAN),
    "infinity in the reference": (TONE, ENDLESS, NAN, NAN),
    "no samples": (TONE[:0], TONE[:0], NAN, NAN),
}


@pytest.mark.parametrize("case", EDGES)
def test_edge_cases_have_the_values_that_the_docstrings_promise(case: str) -> None:
    estimate, reference, plain, invariant = EDGES[case]
    np.testing.assert_allclose(sdr(estimate, reference), plain, atol=1e-6)
    # Rounding leaves a quarter period's orthogonality at some -300 dB, which is as good as -inf.
    measured = si_sdr(estimate, reference)
    if invariant == -INF:
        assert measured < -250
    else:
        np.testing.assert_allclose(measured, invariant, atol=1e-6)


def test_harder_clipping_scores_lower_and_si_sdr_is_that_of_the_best_gain() -> None:
    clipped = np.stack([np.clip(TONE, -peak, peak) for peak in (0.9, 0.5, 0.1)])
    reference = np.stack([TONE] * 3)
    scores, invariant = sdr(clipped, reference), si_sdr(clipped, reference)
    assert (np.diff(scores) < 0).all()
    assert (np.diff(invariant) < 0).all()
    for estimate, value in zip(clipped, invariant, strict=True):
        cosine = (estimate @ TONE) / np.sqrt((estimate @ estimate) * (TONE @ TONE))
        np.testing.assert_allclose(value, 10 * np.log10(cosine**2 / (1 - cosine**2)), atol=1e-6)


@pytest.mark.parametrize("code", ["01", "03", "05"])
def test_bss_eval_gives_the_published_values(code: str) -> None:
    if not ORACLES.is_dir():
        pytest.skip("shared/data/oracles/mir_eval is not beside the repository")
    published = json.loads((ORACLES / f"output{code}.json").read_text())["Sources"]
    count = len(published["Source to Distortion"])
    references, estimates = (
        np.stack([sf.read(ORACLES / f"{kind}{code}" / f"{i}.wav")[0] for i in range(count)]) for kind in ("ref", "est")
    )
    assert published["Source permutation"] == list(range(count))
    measured = bss_eval_sources(estimates, references)
    for values, name in zip(measured, ("Distortion", "Interference", "Artifact"), strict=True):
        np.testing.assert_allclose(values, published[f"Source to {name}"], atol=1e-6)


def test_bss_eval_agrees_with_least_squares_on_written_out_delays() -> None:
    references, disturbance = noise(2, 700), noise(2, 700, seed=1)
    estimates = np.array([[1.0, 0.4], [-0.2, 0.7]]) @ references + 0.3 * disturbance
    delays = np.zeros((2, TAPS, 700 + TAPS - 1))
    for tap in range(TAPS):
        delays[:, tap, tap : tap + 700] = references

    def projected(signal: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.asarray(rows.T @ np.linalg.lstsq(rows.T, signal, rcond=None)[0])

    def decibels(wanted: np.ndarray, unwanted: np.ndarray) -> float:
        return float(10 * np.log10(np.sum(wanted**2) / np.sum(unwanted**2)))

    for i, values in enumerate(zip(*bss_eval_sources(estimates, references), strict=True)):
        estimate = np.pad(estimates[i], (0, TAPS - 1))
        target = projected(estimate, delays[i])
        whole = projected(estimate, delays.reshape(2 * TAPS, -1))
        expected = (
            decibels(target, estimate - target),
            decibels(target, whole - target),
            decibels(whole, estimate - whole),
        )
        np.testing.assert_allclose(values, expected, atol=1e-6)


def test_bss_eval_forgives_a_filter_and_a_delay_that_the_plain_measures_do_not() -> None:
    references = noise(2, 8000)
    late = np.pad(references, ((0, 0), (300, 0)))[:, :8000]
    coloured = lfilter([1.0, 0.5, -0.3], [1.0], references)
    assert (sdr(late, references) < 0).all()
    assert (si_sdr(late, references) < -20).all()
    assert (bss_eval_sources(late, references)[0] > 12).all()
    assert (bss_eval_sources(coloured, references)[0] > sdr(coloured, references) + 20).all()
    too_late = np.pad(references, ((0, 0), (2000, 0)))[:, :8000]
    assert (bss_eval_sources(too_late, references)[0] < -5).all()


def test_bss_eval_keeps_silence_and_faults_where_they_are() -> None:
    references = noise(3, 2000)
    estimates = references + 0.1 * noise(3, 2000, seed=1)
    pair = bss_eval_sources(estimates[:2], references[:2])
    silenced = references * np.array([[1.0], [1.0], [0.0]])
    for values, expected in zip(bss_eval_sources(estimates, silenced), pair, strict=True):
        np.testing.assert_allclose(values, [*expected, NAN], atol=1e-9)

    faulty = estimates[:2].copy()
    faulty[1, 7] = NAN
    for values, expected in zip(bss_eval_sources(faulty, references[:2]), pair, strict=True):
        np.testing.assert_allclose(values, [expected[0], NAN], atol=1e-9)
    assert np.isnan(bss_eval_sources(references[:2], faulty)).all()

    nothing = np.stack([np.zeros(2000), estimates[1]])
    ratios = bss_eval_sources(nothing, references[:2])
    np.testing.assert_array_equal([values[0] for values in ratios], [-INF, NAN, NAN])
    assert np.isnan(bss_eval_sources(references, np.zeros((3, 2000)))).all()


def test_bss_eval_of_perfect_estimates_is_above_100_db_for_noise_tones_and_a_lone_source() -> None:
    tones = np.stack([TONE, np.sin(2 * np.pi * 1000 * TIME)])
    for perfect in (noise(2, 4000), tones, noise(1, 4000)):
        assert min(values.min() for values in bss_eval_sources(perfect, perfect)) > 100
    assert bss_eval_sources(noise(1, 4000, seed=1), noise(1, 4000))[1] == INF


def test_bss_eval_of_equal_references_sees_no_interference() -> None:
    twice = np.stack([OTHER, OTHER])
    plain, interference, _ = bss_eval_sources(twice + 0.1 * noise(2, 4000, seed=1), twice)
    assert (interference > 100).all()
    assert (plain > 15).all()


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(-10, 10), st.floats(-40, 40), st.integers(0, 999))
def test_si_sdr_is_blind_to_gain_and_offset_and_improvements_are_differences(
    gain: float, offset: float, level: float, seed: int
) -> None:
    reference, error = noise(2, 300, seed=seed)
    mixture = reference + error
    estimate = reference + 10 ** (-level / 20) * error
    moved = gain * estimate + offset
    np.testing.assert_allclose(si_sdr(moved, reference), si_sdr(estimate, reference), atol=1e-4)
    np.testing.assert_allclose(sdr(gain * estimate, gain * reference), sdr(estimate, reference), atol=1e-6)
    assert separation.sdr_improvement(estimate, reference, mixture) == pytest.approx(level, abs=1e-6)
    assert separation.si_sdr_improvement(mixture, reference, mixture) == 0


def test_batches_give_what_their_rows_give_one_by_one() -> None:
    references, errors = noise(2, 3, 500)
    for measure in (sdr, si_sdr):
        whole = measure(references + errors, references)
        assert whole.shape == (3,)
        rows = [measure(r + e, r) for r, e in zip(references, errors, strict=True)]
        np.testing.assert_array_equal(whole, rows)


def test_tensors_of_another_device_are_summed_there_to_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without such a device: tensors of the CPU are kept as they are, where else they would become arrays."""
    import torch

    cases = [case for case in EDGES if case != "no samples"]
    estimate, reference = (np.stack([EDGES[case][at] for case in cases]) for at in (0, 1))
    given = (estimate, reference, reference + OTHER)
    measures = (separation.sdr_improvement, separation.si_sdr_improvement, partial(suppression, rate=8000))
    wanted = [measure(*given) for measure in measures]
    kept: list[torch.Tensor] = []

    def keep(signal: torch.Tensor) -> torch.Tensor:
        kept.append(signal)
        return signal.double()

    monkeypatch.setattr(separation, "_float64", keep)
    for measure, values in zip(measures, wanted, strict=True):
        np.testing.assert_allclose(measure(*(torch.from_numpy(each) for each in given)), values, rtol=1e-4)
    assert len(kept) == 2 * 4 + 3


def test_16_bit_integers_do_not_overflow() -> None:
    reference = np.array([30000, -30000] * 50, dtype=np.int16)
    assert sdr(-reference, reference) == pytest.approx(-20 * np.log10(2))


def test_where_the_mixture_is_the_reference_there_is_no_improvement_to_know() -> None:
    assert np.isnan(separation.sdr_improvement(OTHER, TONE, TONE))
    assert np.isnan(separation.si_sdr_improvement(OTHER, TONE, TONE / 2))
    assert separation.sdr_improvement(TONE, TONE, TONE + OTHER) == INF


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3999,\) and \(4000,\)"):
        sdr(TONE, TONE[:-1])
    with pytest.raises(ValueError, match="samples"):
        si_sdr(1.0, 1.0)
    with pytest.raises(ValueError, match="sources"):
        bss_eval_sources(TONE, TONE)


def test_torchmetrics_agrees_where_it_is_installed() -> None:
    audio = pytest.importorskip("torchmetrics.functional.audio")
    torch = pytest.importorskip("torch")
    reference, error = noise(2, 3, 4000)
    estimate = 0.7 * reference + 0.3 * error + 0.1
    est, ref = torch.from_numpy(estimate), torch.from_numpy(reference)
    np.testing.assert_allclose(sdr(est, ref), audio.signal_noise_ratio(est, ref), atol=1e-6)
    peer = audio.scale_invariant_signal_distortion_ratio(est, ref, zero_mean=True)
    np.testing.assert_allclose(si_sdr(est, ref), peer, atol=1e-6)
    alone = [bss_eval_sources(e[None], r[None])[0][0] for e, r in zip(estimate, reference, strict=True)]
    np.testing.assert_allclose(alone, audio.signal_distortion_ratio(est, ref, filter_length=TAPS), atol=1e-3)
