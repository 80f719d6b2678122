"""The stage that finds out what the confidences of each listener are worth, against what the publishers label."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.listen.columns import classes_in, listeners_in
from pipelines.listen.heard import FOLDS
from pipelines.listen.isotonic import (
    Counts,
    Curve,
    Floats,
    average_precision,
    brier,
    calibration_error,
    fit,
    reliability,
)
from schemas.ontology import default_ontology

LEAST = 20
"""Positives, and negatives, that every fit must rest on, those of the folds included."""

EVERY = -1
"""In place of a class: all classes together."""


@dataclass(frozen=True)
class Tally:
    """What was said of how many clips, the fold that these are of, and of how many it is so: each of shape (n,)."""

    confidence: Floats
    fold: Counts
    positives: Counts
    clips: Counts

    def where(self, rows: Any) -> Tally:
        """Return some of the rows."""
        return Tally(self.confidence[rows], self.fold[rows], self.positives[rows], self.clips[rows])


@dataclass(frozen=True)
class Calibrate(Stage):
    """Stage ``calibrate``: listeners and what was heard -> a row per listener and class, and one for all its classes.

    A class is calibrated of its own where each fit, also those that leave a fold out, rests on at least ``LEAST`` clips
    with the class and as many without; else all classes of the listener lend it theirs, where these are enough; else its
    confidences stay uncalibrated, and the row says so. Errors are measured out of fold: what a clip is told comes from
    the fit on the other recordings alone.

    A listener is dropped with one of these reasons: ``names_no_class``, ``states_no_confidence``.
    """

    name = "calibrate"
    reads = ("listeners", "heard")
    writes = "calibrations"
    key = out_key = "listener"
    waits = True

    def process(self, batch: Batch, context: Context) -> Result:
        """Calibrate all listeners of the run."""
        heard = batch.sides["heard"]
        names, of_row = listeners_in(heard, batch.rows)
        classes = classes_in(heard)
        sure = heard.column("confidence").is_valid().to_numpy()
        tallies = tally(heard, of_row, classes)
        result = Result()
        for who in batch.rows.sort_by("listener").to_pylist():
            own = of_row == names.index(who["listener"]) if who["listener"] in names else np.zeros(len(of_row), bool)
            named = np.unique(classes[own & (classes >= 0) & sure]).tolist()
            if not named:
                some = bool((own & (classes >= 0)).any())
                result.drops.append((who["listener"], "states_no_confidence" if some else "names_no_class"))
                continue
            code = names.index(who["listener"])
            found = {place: tallies.get((code, place), NOTHING) for place in named}
            head = {"listener": who["listener"], "revisions": who["revisions"]}
            result.rows += [head | row for row in calibrated(found)]
        return result


def tally(heard: pa.Table, of_row: Counts, classes: Counts) -> dict[tuple[int, int], Tally]:
    """Return the tally of each listener and class of which a labelled clip calibrates.

    Args:
        heard: rows of ``heard``, in any order.
        of_row: the listener of each row, as a number, shape (n,).
        classes: the class of each row, as a number or -1, shape (n,).
    """
    columns = [heard.column(name) for name in ("confidence", "labelled", "fold")]
    usable = np.logical_and.reduce([column.is_valid().to_numpy() for column in columns]) & (classes >= 0)
    kept = heard.select(["confidence", "labelled", "fold"]).filter(pa.array(usable))
    levels, level = np.unique(kept.column("confidence").to_numpy(), return_inverse=True)
    depth, size = max(len(levels), 1), len(default_ontology())
    # One number per combination, so that a single sort of integers counts all of them.
    of_clip = ((of_row[usable] * size + classes[usable]) * depth + level) * FOLDS + kept.column("fold").to_numpy()
    keys, counts = np.unique(of_clip * 2 + kept.column("labelled").to_numpy(), return_counts=True)
    cells, place = np.unique(keys // 2, return_inverse=True)
    clips = np.bincount(place, counts, len(cells)).astype(np.int64)
    positives = np.bincount(place, counts * (keys % 2), len(cells)).astype(np.int64)
    above, fold = np.divmod(cells, FOLDS)
    pair, level = np.divmod(above, depth)
    whole = Tally(levels[level], fold, positives, clips)
    pairs, begins, lengths = np.unique(pair, return_index=True, return_counts=True)
    return {
        divmod(int(each), size): whole.where(slice(begin, begin + length))
        for each, begin, length in zip(pairs, begins, lengths, strict=True)
    }


NOTHING = Tally(np.zeros(0), *(np.zeros(0, np.int64) for _ in range(3)))


def calibrated(found: dict[int, Tally]) -> list[dict[str, Any]]:
    """Return the rows of ``calibrations`` for one listener, without its name: all classes first, then each in order.

    Args:
        found: the tally of each class that the listener names, at least one, by its place in the ontology, in order.
    """
    everything = joined(list(found.values()))
    if not enough(everything):
        return [_row(place, each, "none") for place, each in ((EVERY, everything), *found.items())]
    pool, pool_folds = curve(everything), folds(everything)
    rows, told = [], []
    for place, each in found.items():
        own = enough(each)
        told.append(out_of_fold(each, folds(each) if own else pool_folds))
        rows.append(_row(place, each, *(("isotonic", curve(each)) if own else ("pooled", pool)), told[-1]))
    return [_row(EVERY, everything, "pooled", pool, np.concatenate(told)), *rows]


def joined(tallies: list[Tally]) -> Tally:
    """Return several tallies as one, row after row."""
    parts = [[getattr(each, name) for each in tallies] for name in ("confidence", "fold", "positives", "clips")]
    return Tally(*(np.concatenate(each) for each in parts))


def enough(tally: Tally) -> bool:
    """Say whether every fit rests on ``LEAST`` positives and negatives, whichever fold is left out."""
    positives, clips = (np.bincount(tally.fold, counts, FOLDS) for counts in (tally.positives, tally.clips))
    negatives = clips - positives
    return bool(min((each.sum() - each).min() for each in (positives, negatives)) >= LEAST)


def curve(tally: Tally) -> Curve:
    """Return the calibration that a tally, not an empty one, gives."""
    levels, place = np.unique(tally.confidence, return_inverse=True)
    sums = [np.bincount(place, each, len(levels)).astype(np.int64) for each in (tally.positives, tally.clips)]
    return fit(levels, *sums)


def folds(tally: Tally) -> list[Curve]:
    """Return, for each fold, the calibration that all others give; the tally must not lie in one of them alone."""
    return [curve(tally.where(tally.fold != fold)) for fold in range(FOLDS)]


def out_of_fold(tally: Tally, curves: list[Curve]) -> Floats:
    """Return what each row's confidence is told to be worth by the curve of its fold, which knows none of it: shape (n,)."""
    told = np.zeros(len(tally.confidence))
    for fold, each in enumerate(curves):
        inside = tally.fold == fold
        told[inside] = each.at(tally.confidence[inside])
    return told


def _row(
    place: int, tally: Tally, method: str, made: Curve | None = None, told: Floats | None = None
) -> dict[str, Any]:
    """Return a row of ``calibrations``: what is measured stays null below ``LEAST`` clips, which would measure chance."""
    positives, clips = int(tally.positives.sum()), int(tally.clips.sum())
    raw = reliability(tally.confidence, tally.positives, tally.clips) if clips >= LEAST else []
    after = [] if not raw or told is None else reliability(told, tally.positives, tally.clips)
    return {
        "class_id": None if place == EVERY else default_ontology().classes[place].class_id,
        "positives": positives,
        "negatives": clips - positives,
        "method": method,
        "confidences": made.x.tolist() if made else [],
        "probabilities": made.y.tolist() if made else [],
        "average_precision": average_precision(tally.confidence, tally.positives, tally.clips) if raw else None,
        "ece": calibration_error(raw) if raw else None,
        "ece_calibrated": calibration_error(after) if after else None,
        "brier": brier(tally.confidence, tally.positives, tally.clips) if raw else None,
        "brier_calibrated": brier(told, tally.positives, tally.clips) if after and told is not None else None,
        "reliability": [
            asdict(each) | {"calibrated": done} for done, bins in ((False, raw), (True, after)) for each in bins
        ],
    }
