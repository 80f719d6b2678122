"""Calibration: known distortions are undone, other implementations agree, and no clip is judged by a fit that knows it."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import average_precision_score, brier_score_loss

from pipelines.catalog.views import CALIBRATED
from pipelines.core.stage import Batch, Context, conserve
from pipelines.core.workspace import Workspace
from pipelines.listen import isotonic
from pipelines.listen.calibrate import FOLDS, LEAST, Calibrate, Tally, folds, out_of_fold
from pipelines.listen.evidence import evidence_row
from schemas import tables

DOG, RAIN, BELL = "/m/0bt9lr", "/m/06mb1", "/m/0395lw"
NAMES = ("ear", "facts", "mute", "publisher")

counted = st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=80)


def counts(pairs: list[tuple[int, bool]]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return what the functions of `isotonic` take, of clips with a confidence in hundredths each."""
    levels, place = np.unique([hundredths for hundredths, _ in pairs], return_inverse=True)
    positives = np.bincount(place, [so for _, so in pairs]).astype(np.int64)
    return levels / 100, positives, np.bincount(place).astype(np.int64)


@given(counted)
def test_the_fit_is_that_of_scikit_learn_with_one_clip_more_at_either_end(pairs):
    levels, positives, clips = counts(pairs)
    curve = isotonic.fit(levels, positives, clips)
    x = [hundredths / 100 for hundredths, _ in pairs] + [levels[0], levels[-1]]
    theirs = IsotonicRegression(out_of_bounds="clip").fit(x, [so for _, so in pairs] + [True, False])
    grid = np.linspace(0, 1, 301)
    np.testing.assert_allclose(curve.at(grid), theirs.predict(grid), atol=1e-9)
    assert (np.diff(curve.x) > 0).all()
    assert (np.diff(curve.y) >= 0).all()
    assert curve.y[0] > 0
    assert curve.y[-1] < 1


@given(counted)
def test_what_is_measured_is_what_scikit_learn_measures(pairs):
    levels, positives, clips = counts(pairs)
    said, so = np.array([hundredths for hundredths, _ in pairs]) / 100, np.array([so for _, so in pairs])
    assert isotonic.brier(levels, positives, clips) == pytest.approx(brier_score_loss(so, said, pos_label=True))
    precision = isotonic.average_precision(levels, positives, clips)
    assert precision is None if not so.any() else precision == pytest.approx(average_precision_score(so, said))
    bins = isotonic.reliability(levels, positives, clips)
    assert sum(each.clips for each in bins) == len(pairs)
    if so.any() and not so.all() and not any(hundredths % 10 == 0 for hundredths, _ in pairs):
        # Theirs puts what lies on the edge of a bin into the one below.
        share, mean = calibration_curve(so, said, n_bins=10)
        np.testing.assert_allclose([(each.said, each.labelled) for each in bins], np.transpose([mean, share]))
        error = sum(each.clips * abs(a - b) for each, a, b in zip(bins, mean, share, strict=True)) / len(pairs)
        assert isotonic.calibration_error(bins) == pytest.approx(error)


def test_the_clip_more_at_either_end_brings_the_curve_nearer_to_the_truth():
    rng, errors = np.random.default_rng(0), np.zeros(2)
    for _ in range(100):
        truth = rng.beta(0.7, 2, 100)
        pairs = list(
            zip(np.rint(100 * truth**0.4).astype(int).tolist(), (rng.random(100) < truth).tolist(), strict=True)
        )
        levels, positives, clips = counts(pairs)
        plain = isotonic_regression(positives / clips, weights=clips).x
        known = levels**2.5
        for n, found in enumerate((plain, isotonic.fit(levels, positives, clips).at(levels))):
            errors[n] += (clips * (found - known) ** 2).sum()
    assert errors[1] < 0.9 * errors[0]


def heard(
    confidence: NDArray[np.float64], labelled: NDArray[np.bool_], class_id: str = DOG, listener: str = "ear",
    fold: NDArray[np.int64] | None = None,
) -> pa.Table:  # fmt: skip
    """Return rows of `heard` of one listener and class, in folds by turns."""
    count = len(confidence)
    columns = {
        "clip_id": [f"c{n}" for n in range(count)],
        "listener": [listener] * count,
        "class_id": [class_id] * count,
        "confidence": confidence,
        "labelled": labelled,
        "fold": pa.array(np.arange(count) % FOLDS if fold is None else fold, pa.int64()),
    }
    return pa.table(columns, schema=tables.schema("heard"))


def drawn(truth: NDArray[np.float64], seed: int = 0, **more: Any) -> pa.Table:
    """Return rows whose confidence is the square root of how often they are so."""
    return heard(np.round(np.sqrt(truth), 4), np.random.default_rng(seed).random(len(truth)) < truth, **more)


def calibrated(*parts: pa.Table) -> tuple[dict[tuple[str, str | None], dict[str, Any]], list[tuple[str, str]]]:
    listed = [{"listener": name, "stage": name, "settings": "{}", "revisions": f'{{"m":"{name}"}}'} for name in NAMES]
    rows = pa.concat_tables([tables.schema("heard").empty_table(), *parts])
    batch = Batch(tables.from_rows("listeners", listed), {"heard": rows})
    result = Calibrate().process(batch, Context(Workspace("unused"), ".", 0, 1))
    conserve(Calibrate(), list(NAMES), result)
    tables.from_rows("calibrations", result.rows)
    return {(row["listener"], row["class_id"]): row for row in result.rows}, result.drops


def told(row: dict[str, Any], confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.interp(confidence, row["confidences"], row["probabilities"])


def test_a_known_distortion_is_undone_and_the_errors_fall():
    truth = np.random.default_rng(1).uniform(0, 1, 6000)
    row = calibrated(drawn(truth))[0]["ear", DOG]
    grid = np.linspace(0.05, 0.95, 91)
    # A pool of n clips errs by sqrt(p (1 - p) / n); three of these, for pools of 200 clips and more, are 0.1.
    assert np.abs(told(row, np.sqrt(grid)) - grid).max() < 0.1
    assert np.sqrt(np.mean((told(row, np.sqrt(grid)) - grid) ** 2)) < 0.03
    assert row["method"] == "isotonic"
    assert row["positives"] + row["negatives"] == 6000
    assert row["ece"] == pytest.approx(float(np.mean(np.sqrt(truth) - truth)), abs=0.02)
    assert row["ece_calibrated"] < 0.03 < 0.1 < row["ece"]
    assert row["brier_calibrated"] == pytest.approx(float(np.mean(truth * (1 - truth))), abs=0.01)
    assert row["brier_calibrated"] < row["brier"]
    after = [each for each in row["reliability"] if each["calibrated"]]
    assert sum(each["clips"] for each in after) == 6000
    error = sum(each["clips"] * abs(each["said"] - each["labelled"]) for each in after) / 6000
    assert error == pytest.approx(row["ece_calibrated"])


def test_a_confidence_that_tells_nothing_is_not_made_to_look_as_if_it_did():
    rng = np.random.default_rng(2)
    row = calibrated(heard(rng.random(300), rng.random(300) < 0.3))[0]["ear", DOG]
    assert row["brier_calibrated"] > 0.3 * 0.7 - 0.02, "measured on the clips that were fitted, it would be lower"


@given(st.integers(0, FOLDS - 1), st.randoms(use_true_random=False))
def test_what_a_clip_is_told_never_depends_on_its_own_fold(fold, random):
    rng = np.random.default_rng(random.randrange(2**32))
    size = 200
    parts = [np.round(rng.random(size), 2), rng.integers(0, FOLDS, size), rng.integers(0, 2, size), np.ones(size, int)]
    tally = Tally(*parts)
    turned = Tally(*parts[:2], np.where(parts[1] == fold, 1 - parts[2], parts[2]), parts[3])
    inside = parts[1] == fold
    before, after = (out_of_fold(each, folds(each)) for each in (tally, turned))
    assert np.array_equal(before[inside], after[inside])
    assert not np.array_equal(before[~inside], after[~inside])


def test_clips_without_a_fold_a_label_or_a_confidence_count_for_nothing():
    truth = np.random.default_rng(3).uniform(0, 1, 500)
    rows = drawn(truth).to_pylist()
    hidden = [dict(row) for row in rows]
    for n, row in enumerate(hidden):  # what test clips, unlabelled ones and mute listeners would add
        row |= ({"fold": None}, {"labelled": None}, {"confidence": None})[n % 3]
    assert calibrated(tables.from_rows("heard", rows)) == calibrated(tables.from_rows("heard", rows + hidden))


def test_the_order_and_the_pieces_of_the_table_change_nothing():
    rng = np.random.default_rng(4)
    whole = pa.concat_tables(
        [drawn(rng.random(150), 5, class_id=c, listener=who) for c in (DOG, RAIN) for who in ("ear", "mute")]
    )
    mixed = whole.take(pa.array(rng.permutation(whole.num_rows)))
    pieces = [mixed.slice(n, 37) for n in range(0, whole.num_rows, 37)]
    assert calibrated(whole) == calibrated(*pieces)


def test_a_class_with_few_clips_borrows_from_all_classes_and_says_so():
    truth = np.random.default_rng(6).uniform(0, 1, 2000)
    rows, _ = calibrated(drawn(truth), heard(np.array([0.5, 0.9]), np.array([False, True]), BELL))
    assert [rows["ear", c]["method"] for c in (DOG, BELL, None)] == ["isotonic", "pooled", "pooled"]
    assert rows["ear", BELL]["probabilities"] == rows["ear", None]["probabilities"] != rows["ear", DOG]["probabilities"]
    assert (rows["ear", BELL]["positives"], rows["ear", BELL]["negatives"]) == (1, 1)
    assert [rows["ear", BELL][key] for key in ("ece", "brier", "ece_calibrated", "average_precision")] == [None] * 4
    assert rows["ear", None]["positives"] == rows["ear", DOG]["positives"] + 1
    assert rows["ear", None]["ece_calibrated"] < rows["ear", None]["ece"]


def test_too_few_clips_of_all_leave_a_listener_uncalibrated_and_what_can_be_measured_is():
    rng = np.random.default_rng(7)
    rows, _ = calibrated(heard(rng.random(400), rng.random(400) < 0.01))
    for row in rows.values():
        assert (row["method"], row["confidences"], row["ece_calibrated"]) == ("none", [], None)
        assert row["ece"] > 0.3


@pytest.mark.parametrize(("positives", "method"), [(5 * LEAST // 4, "isotonic"), (5 * LEAST // 4 - 1, "none")])
def test_every_fit_rests_on_enough_positives_whichever_fold_is_left_out(positives, method):
    labelled = np.arange(500) < positives
    rows, _ = calibrated(heard(np.linspace(1, 0, 500), labelled))
    assert rows["ear", DOG]["method"] == method


def test_one_recording_cut_into_many_clips_calibrates_nothing():
    truth = np.random.default_rng(8).uniform(0, 1, 1000)
    rows, _ = calibrated(drawn(truth, fold=np.zeros(1000, np.int64)))
    assert {row["method"] for row in rows.values()} == {"none"}


def test_a_class_that_is_named_in_unlabelled_clips_alone_stands_there_uncalibrated():
    rows, drops = calibrated(
        heard(np.array([0.5]), np.array([True])).set_column(4, "labelled", pa.array([None], pa.bool_()))
    )
    assert {key: (row["positives"], row["negatives"], row["method"]) for key, row in rows.items()} == {
        ("ear", DOG): (0, 0, "none"), ("ear", None): (0, 0, "none")}  # fmt: skip
    assert [name for name, _ in drops] == ["facts", "mute", "publisher"]


def test_who_names_no_class_or_states_no_confidence_says_so_also_in_a_run_without_clips():
    mute = tables.from_rows(
        "heard",
        [
            {"clip_id": "c", "listener": name, "class_id": DOG, "confidence": None, "labelled": True, "fold": 0}
            for name in ("mute", "publisher")
        ],
    )
    rows, drops = calibrated(mute)
    assert not rows
    assert drops == [("ear", "names_no_class"), ("facts", "names_no_class"), ("mute", "states_no_confidence"),
                     ("publisher", "states_no_confidence")]  # fmt: skip
    assert calibrated() == ({}, [(name, "names_no_class") for name in NAMES])


def test_the_view_tells_what_the_curve_tells_and_says_where_there_is_none():
    rng = np.random.default_rng(9)
    truth = rng.uniform(0.1, 0.8, 600)
    rows, _ = calibrated(
        drawn(truth),
        heard(np.array([0.4]), np.array([True]), BELL),
        heard(rng.random(9), np.ones(9, bool), RAIN, "mute"),
    )
    asked = np.concatenate([[0.0, 1.0], np.round(rng.random(300), 4), rows["ear", DOG]["confidences"]])
    said = [
        (who, c, p)
        for who, c in (("ear", DOG), ("ear", BELL), ("ear", RAIN), ("mute", RAIN))
        for p in (*asked.tolist(), None)
    ]
    evidence = [
        evidence_row("c", who, "1", n, kind="tag", name="x", class_id=c, confidence=p)
        for n, (who, c, p) in enumerate(said)
    ]
    evidence += [evidence_row("c", "facts", "1", 0, kind="fact", name="x", value=1.0)]
    with duckdb.connect() as connection:
        connection.register("evidence", tables.from_rows("evidence", evidence))
        connection.register("calibrations", tables.from_rows("calibrations", list(rows.values())))
        connection.execute(CALIBRATED.replace("CREATE OR REPLACE VIEW", "CREATE TEMP VIEW"))
        found = connection.execute(
            "SELECT listener, class_id, confidence, probability, calibration FROM calibrated"
        ).fetchall()
    assert len(found) == len(said)
    for who, c, confidence, probability, calibration in found:
        row = rows.get((who, c), {"method": "none"})
        if confidence is None or row["method"] == "none":
            assert (probability, calibration) == (None, "none")
        else:
            assert calibration == row["method"] == ("isotonic" if c == DOG else "pooled")
            assert probability == pytest.approx(float(told(row, np.array([confidence]))[0]), abs=1e-12)
