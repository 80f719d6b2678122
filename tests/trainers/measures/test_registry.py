"""Every measure names itself, and does on silence, on what is perfect and on what is broken as this table says."""

from __future__ import annotations

import inspect
import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from toy_models import Pitch

from taggers.demo_tagger import DemoTagger
from trainers.measures import registry
from trainers.measures.clap_scores import at_rate_of, windows_of
from trainers.measures.measure import Measure, joined
from trainers.measures.posteriors import posteriors
from trainers.measures.registry import MEASURES, NEEDS, rows_of, variant_of

NAN, INF = np.nan, np.inf
RATE = 16000
TIME = np.arange(RATE) / RATE
TARGET = np.where(TIME < 0.5, 0.3 * np.sin(2 * np.pi * 440 * TIME), 0.0)
TARGET += np.where(TIME < 0.5, 0.1 * np.random.default_rng(1).standard_normal(RATE), 0.0)
OTHER = 0.1 * np.random.default_rng(0).standard_normal(RATE)
MIXTURE = TARGET + OTHER
FAULTY = np.where(TIME == 0, NAN, TARGET)
ENDLESS = np.where(TIME == 0, INF, TARGET)
WAVES = {"estimate", "reference", "mixture", "rate"}
SOUND = [name for name, measure in MEASURES.items() if set(measure.needs) <= WAVES]

CASES: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {
    "identical": (TARGET, TARGET, MIXTURE),
    "silent estimate": (0 * TARGET, TARGET, MIXTURE),
    "half as loud": (TARGET / 2, TARGET, MIXTURE),
    "turned over": (-TARGET, TARGET, MIXTURE),
    "ten ms late": (np.roll(TARGET, 160), TARGET, MIXTURE),
    "clipped": (np.clip(TARGET, -0.2, 0.2), TARGET, MIXTURE),
    "with an offset": (TARGET + 0.2, TARGET, MIXTURE),
    "constant estimate": (0 * TARGET + 0.2, TARGET, MIXTURE),
    "constant target": (MIXTURE / 2, 0 * TARGET + 0.2, 0.2 + OTHER),
    "far over full scale": (40 * TARGET, 40 * TARGET, 40 * MIXTURE),
    "mixture": (MIXTURE, TARGET, MIXTURE),
    "silent target": (MIXTURE / 2, 0 * TARGET, MIXTURE),
    "target alone": (TARGET / 2, TARGET, TARGET),
    "NaN": (FAULTY, TARGET, MIXTURE),
    "infinity": (ENDLESS, TARGET, MIXTURE),
    "NaN in the target": (TARGET, FAULTY, MIXTURE),
}

TABLE: dict[str, dict[str, float | tuple[float, float]]] = {
    # A pair of numbers: the value lies between them.
    "identical": {
        "sdr": INF, "sdri": INF, "si_sdr": INF, "si_sdri": INF, "bss_sdr": (200, INF), "bss_sir": (200, INF), "bss_sar": (200, INF),
        "suppression": INF, "lsd": 0, "lsd_ssr_eval": (4, 7), "lsd_audioldm_eval": (4, 9), "psnr_audioldm_eval": INF,
    },
    "silent estimate": {
        "sdr": 0, "sdri": (-5, -1), "si_sdr": -INF, "si_sdri": -INF, "bss_sdr": -INF, "bss_sir": NAN, "bss_sar": NAN,
        "suppression": INF, "lsd": (20, 40), "lsd_ssr_eval": NAN, "lsd_audioldm_eval": NAN, "psnr_audioldm_eval": (0, 15),
    },
    "half as loud": {
        "sdr": 20 * np.log10(2), "sdri": (1, 5), "si_sdr": INF, "si_sdri": INF, "bss_sdr": (200, INF), "bss_sir": (200, INF),
        "bss_sar": (200, INF), "suppression": INF, "lsd": (2.9, 3.3), "lsd_ssr_eval": (4, 7), "lsd_audioldm_eval": (4, 9),
        "psnr_audioldm_eval": (20, 35),
    },
    "turned over": {
        "sdr": -20 * np.log10(2), "sdri": (-12, -7), "si_sdr": INF, "si_sdri": INF, "bss_sdr": (200, INF), "bss_sir": (200, INF),
        "bss_sar": (200, INF), "suppression": INF, "lsd": 0, "lsd_ssr_eval": (4, 7), "lsd_audioldm_eval": (4, 9), "psnr_audioldm_eval": INF,
    },
    "ten ms late": {
        "sdr": (-6, 0), "sdri": (-10, -3), "si_sdr": (-20, 0), "si_sdri": (-25, -3), "bss_sdr": (100, INF), "bss_sir": (100, INF),
        "bss_sar": (100, INF), "suppression": (5, 15), "lsd": (1, 10), "lsd_ssr_eval": (4, 7), "lsd_audioldm_eval": (4, 9),
        "psnr_audioldm_eval": (15, 35),
    },
    "clipped": {
        "sdr": (4, 10), "sdri": (0, 8), "si_sdr": (5, 12), "si_sdri": (0, 10), "bss_sdr": (5, 15), "bss_sir": (15, 60), "bss_sar": (5, 15),
        "suppression": INF, "lsd": (1, 6), "lsd_ssr_eval": (4, 7), "lsd_audioldm_eval": (4, 9), "psnr_audioldm_eval": (20, 40),
    },
    "with an offset": {
        "sdr": (-3, 0), "sdri": (-8, -4), "si_sdr": INF, "si_sdri": INF, "bss_sdr": (-3, 0), "bss_sir": (10, 30), "bss_sar": (-3, 0),
        "suppression": (-8, -4), "lsd": (2, 8), "lsd_ssr_eval": (4, 7), "lsd_audioldm_eval": (4, 9), "psnr_audioldm_eval": INF,
    },
    "constant estimate": {
        "sdr": (-6, -2), "sdri": (-11, -6), "si_sdr": -INF, "si_sdri": -INF, "bss_sdr": (-20, -10), "bss_sir": (0, 6),
        "bss_sar": (-20, -10), "suppression": (-8, -4), "lsd": (20, 40), "lsd_ssr_eval": (12, 24), "lsd_audioldm_eval": (12, 24),
        "psnr_audioldm_eval": (5, 12),
    },
    "constant target": {
        "sdr": (-3, 1), "sdri": (-9, -5), "si_sdr": NAN, "si_sdri": NAN, "bss_sdr": (-20, -10), "bss_sir": (-15, -5), "bss_sar": (-8, 0),
        "suppression": NAN, "lsd": (30, 50), "lsd_ssr_eval": (8, 14), "lsd_audioldm_eval": (8, 14), "psnr_audioldm_eval": (3, 10),
    },
    "far over full scale": {
        "sdr": INF, "sdri": INF, "si_sdr": INF, "si_sdri": INF, "bss_sdr": (200, INF), "bss_sir": (200, INF), "bss_sar": (200, INF),
        "suppression": INF, "lsd": 0, "lsd_ssr_eval": (4, 7), "lsd_audioldm_eval": (4, 9), "psnr_audioldm_eval": INF,
    },
    "mixture": {
        "sdr": (1, 8), "sdri": 0, "si_sdr": (1, 8), "si_sdri": 0, "bss_sdr": (1, 8), "bss_sir": (1, 8), "bss_sar": (100, INF),
        "suppression": 0, "lsd": (15, 45), "lsd_ssr_eval": (3, 8), "lsd_audioldm_eval": (3, 9), "psnr_audioldm_eval": (3, 15),
    },
    "silent target": dict.fromkeys(SOUND, NAN) | {"suppression": 20 * np.log10(2), "psnr_audioldm_eval": (0, 15)},
    "target alone": {
        "sdr": 20 * np.log10(2), "sdri": NAN, "si_sdr": INF, "si_sdri": NAN, "bss_sdr": (200, INF), "bss_sir": INF, "bss_sar": (200, INF),
        "suppression": NAN, "lsd": (2.9, 3.3), "lsd_ssr_eval": (4, 7), "lsd_audioldm_eval": (4, 9), "psnr_audioldm_eval": (20, 35),
    },
    "NaN": dict.fromkeys(SOUND, NAN),
    "infinity": dict.fromkeys(SOUND, NAN),
    "NaN in the target": dict.fromkeys(SOUND, NAN),
}  # fmt: skip


def given(names: list[str]) -> dict[str, Any]:
    estimate, reference, mixture = (np.stack(each) for each in zip(*(CASES[name] for name in names), strict=True))
    return {"estimate": estimate, "reference": reference, "mixture": mixture, "rate": RATE}


def fits(value: float, expected: float | tuple[float, float]) -> bool:
    if isinstance(expected, tuple):
        return expected[0] <= value <= expected[1]
    return bool(np.isclose(value, expected, rtol=0, atol=1e-6, equal_nan=True))


@pytest.fixture(scope="module")
def measured() -> dict[str, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {name: np.asarray(rows) for name, rows in rows_of(SOUND, given(list(CASES))).items()}


@pytest.mark.parametrize("case", CASES)
def test_every_measure_of_sounds_does_what_the_table_says(case: str, measured: dict[str, np.ndarray]) -> None:
    place = list(CASES).index(case)
    assert TABLE[case].keys() == set(SOUND)
    found = {name: float(measured[name][place]) for name in SOUND}
    wrong = {name: found[name] for name in SOUND if not fits(found[name], TABLE[case][name])}
    assert not wrong


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_of_one_sample_or_of_none_is_measured_or_unknown(name: str) -> None:
    for length in (0, 1):
        sounds = {kind: np.full((2, length), 0.1) for kind in ("estimate", "reference")}
        found = np.asarray(rows_of([name], {**sounds, "mixture": np.full((2, length), 0.3), "rate": RATE})[name])
        assert found.shape == (2,)
        if length == 0 or name not in ("sdr", "sdri", "lsd", *(each for each in SOUND if each.startswith("bss"))):
            assert np.isnan(found).all()
        else:
            assert (found == (0 if name == "lsd" else INF)).all() or (found > 200).all()


@pytest.mark.parametrize("name", SOUND)
def test_integers_are_their_numbers_or_are_refused_where_full_scale_counts(name: str) -> None:
    whole = {
        kind: np.rint(16384 * each).astype(np.int16) for kind, each in given(["mixture"]).items() if kind != "rate"
    }
    if name == "psnr_audioldm_eval":
        with pytest.raises(ValueError, match="floats of full scale 1, not int16"):
            rows_of([name], {**whole, "rate": RATE})
    else:
        floats = {kind: each / 32768 for kind, each in whole.items()}
        found, wanted = (np.asarray(rows_of([name], {**each, "rate": RATE})[name]) for each in (whole, floats))
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", SOUND)
def test_sounds_of_two_shapes_are_refused(name: str) -> None:
    sounds = given(["identical"])
    with pytest.raises(ValueError, match="one shape"):
        rows_of([name], {**sounds, "reference": sounds["reference"][:, 1:]})


def test_what_is_heard_in_sounds_follows_them() -> None:
    """The same cases through models: a toy that embeds by pitch, and the demo tagger."""
    ears, tagger = Pitch(), DemoTagger()
    tagger.load("cpu")
    names = ["identical", "half as loud", "turned over", "mixture", "NaN"]
    sounds = given(names)
    windows = {f"{kind}_windows": windows_of(ears, sounds[kind], RATE) for kind in ("estimate", "reference")}
    rows = rows_of(["clap_score_audio", "fad"], windows)
    same, quieter, turned, mixed, faulty = np.asarray(rows["clap_score_audio"])
    np.testing.assert_allclose([same, quieter, turned], 1, atol=1e-6)
    assert mixed < 0.999
    assert np.isnan(faulty)
    fad = MEASURES["fad"]
    assert fad.value(rows["fad"][:3]) == pytest.approx(0, abs=1e-6)
    assert fad.value(rows["fad"][:4]) > 0.001
    assert np.isnan(fad.value(rows["fad"]))

    heard = {
        f"{kind}_posteriors": posteriors(tagger, [at_rate_of(tagger, each, RATE) for each in sounds[kind][:4]])
        for kind in ("estimate", "reference")
    }
    softmax = np.asarray(rows_of(["kl_softmax", "kl_sigmoid"], heard)["kl_softmax"])
    assert abs(softmax[0]) < 1e-3
    assert softmax[3] > softmax[0]


@pytest.mark.parametrize("name", MEASURES)
def test_each_names_itself_and_needs_what_there_is(name: str) -> None:
    measure = MEASURES[name]
    assert measure.title
    assert measure.variant
    assert measure.source
    assert measure.unit in ("", "dB", "nats", "log10")
    assert set(measure.needs) <= set(NEEDS)
    function = measure.function.func if isinstance(measure.function, partial) else measure.function
    bound = len(measure.function.args) if isinstance(measure.function, partial) else 0
    assert tuple(inspect.signature(function).parameters)[bound:] == measure.needs


def test_no_two_look_alike_in_a_table() -> None:
    assert len({(measure.title, measure.variant) for measure in MEASURES.values()}) == len(MEASURES)


def test_what_is_needed_and_missing_is_named() -> None:
    with pytest.raises(KeyError, match="mixture"):
        rows_of(["sdri"], {"estimate": TARGET, "reference": TARGET})


def test_a_function_that_serves_three_measures_is_called_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def three(estimate: np.ndarray) -> np.ndarray:
        calls.append(1)
        return np.array([[1.0, 2.0, 3.0]] * len(estimate))

    made = {str(n): Measure("x", "x", "dB", True, three, ("estimate",), "x", column=n) for n in range(3)}
    monkeypatch.setattr(registry, "MEASURES", made)
    rows = rows_of(["0", "2"], {"estimate": np.zeros(4)})
    np.testing.assert_array_equal(rows["2"], [3.0] * 4)
    assert len(calls) == 1


@pytest.mark.parametrize("code", ["01", "03", "05"])
def test_bss_eval_of_one_source_is_the_published_value(code: str, shared: Path) -> None:
    """Of several interferers their sum alone is known here: SDR does not depend on that, SIR and SAR do."""
    folder = shared / "oracles" / "mir_eval"
    published = json.loads((folder / f"output{code}.json").read_text())["Sources"]
    count = len(published["Source to Distortion"])
    refs, ests = (
        np.stack([soundfile.read(folder / f"{kind}{code}" / f"{n}.wav")[0] for n in range(count)])
        for kind in ("ref", "est")
    )
    mixtures = np.stack([refs.sum(axis=0)] * count)
    names = {"bss_sdr": "Distortion", "bss_sir": "Interference", "bss_sar": "Artifact"}
    rows = rows_of(list(names), {"estimate": ests, "reference": refs, "mixture": mixtures})
    for name, title in names.items():
        if count == 2 or name == "bss_sdr":
            np.testing.assert_allclose(rows[name], published[f"Source to {title}"], atol=1e-4)


def test_plain_measures_are_torchmetrics() -> None:
    audio = pytest.importorskip("torchmetrics.functional.audio")
    import torch

    est, ref = torch.from_numpy(MIXTURE), torch.from_numpy(TARGET)
    rows = rows_of(["sdr", "si_sdr"], given(["mixture"]))
    np.testing.assert_allclose(rows["sdr"], [audio.signal_noise_ratio(est, ref)], atol=1e-6)
    expected = audio.scale_invariant_signal_distortion_ratio(est, ref, zero_mean=True)
    np.testing.assert_allclose(rows["si_sdr"], [expected], atol=1e-6)


def test_a_summary_counts_what_no_mean_holds() -> None:
    found = MEASURES["si_sdr"].summary(np.array([1.0, 3.0, NAN, -INF, -INF, INF, 5.0]))
    low, high = found.pop("ci95")
    assert found == {"value": 3.0, "n": 3, "unknown": 1, "below": 2, "above": 1, "median": 2.0}
    assert 1 <= low < 3 < high <= 5
    nothing = MEASURES["si_sdr"].summary(np.array([-INF, -INF, NAN]))
    assert nothing == {"value": None, "ci95": None, "n": 0, "unknown": 1, "below": 2, "above": 0, "median": None}
    json.dumps([found, nothing], allow_nan=False)
    assert MEASURES["sdr"].summary(np.zeros(0))["value"] is None


def test_a_pooled_measure_is_of_rows_that_are_drawn_whole() -> None:
    scores, truth = np.random.default_rng(0).random((2, 40, 3))
    rows = rows_of(["map"], {"scores": scores, "truth": truth > 0.5})["map"]
    found = MEASURES["map"].summary(rows)
    assert found["n"] == 40
    assert found["ci95"][0] < found["value"] < found["ci95"][1]
    assert found == MEASURES["map"].summary(rows)
    ragged = [np.full((n, 2), float(n)) for n in (1, 3, 2)]
    assert joined(ragged, np.array([2, 2, 0])).tolist() == [[2, 2]] * 4 + [[1, 1]]


def test_the_distance_of_endless_sets_lies_below_that_of_few_and_in_its_interval() -> None:
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((150, 1, 4))
    windows = {
        "reference_windows": list(reference),
        "estimate_windows": list(0.8 * reference + 0.6 * rng.standard_normal((150, 1, 4)) + 0.3),
    }
    rows = rows_of(["fad", "fad_endless"], windows)
    plain, limit = (MEASURES[name].summary(rows[name]) for name in ("fad", "fad_endless"))
    assert limit["value"] < plain["value"]
    assert limit["ci95"] == plain["ci95"]
    assert limit["ci95"][0] < 4 * 0.3**2 < limit["ci95"][1]
    assert (limit["n"], limit["embeddings"], limit["dimension"]) == (150, 150, 4)
    assert 3 < limit["dimensions_used"] <= 4
    few = MEASURES["fad"].summary(rows["fad"][:8]) | {"value": 0}
    assert few["ci95"] is None
    json.dumps([plain, limit], allow_nan=False)
    assert MEASURES["fad"].summary([]) == {"value": None, "ci95": None, "n": 0}


def test_a_number_that_is_heard_through_a_model_is_not_told_without_it() -> None:
    assert variant_of("sdr", {}) == "plain SNR"
    assert variant_of("fad", {"embedder": "pitch 1"}) == "of embeddings of unit length, at this N; embedder pitch 1"
    for name, kind in (("fad", "embedder"), ("kl_softmax", "listener"), ("answer_similarity", "model")):
        with pytest.raises(KeyError, match=kind):
            variant_of(name, {})


def test_retrieval_and_its_ranks() -> None:
    near = np.array([[0.9, 0.1, 0.2], [0.9, 0.8, 0.7], [0.5, 0.5, 0.5]])
    rows = rows_of(
        ["recall_at_1", "recall_at_5", "mean_rank"], {"similarities": near, "relevant": np.eye(3, dtype=bool)}
    )
    assert [MEASURES[name].value(rows[name]) for name in rows] == [1 / 3, 1.0, 2.0]
