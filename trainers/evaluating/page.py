"""The page of an evaluation: one file without scripts, that shows every number with its name, and lets one hear examples."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import pipelines.report
from pipelines.report.charts import Bin, histogram, nice_step
from trainers.evaluating.summary import SYSTEM, Judged
from trainers.evaluating.tables import WORDS, cell, heading, notes
from trainers.measures.registry import MEASURES

PAGE = "index.html"

MANY = 60
"""Groups of a kind that the page shows; all are in ``results.json``."""

PIECES = 16
"""Most bars of a histogram."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def page(facts: Mapping[str, Any], judged: Sequence[Judged], examples: Sequence[Mapping[str, Any]]) -> str:
    """Return an evaluation as HTML, a function of its arguments.

    Args:
        facts: what ``results.json`` holds.
        judged: the mixtures, for the charts.
        examples: as `trainers.evaluating.examples.shown` gives them.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"thousands": "{:,}".format}
    looks = Path(pipelines.report.__file__).with_name("page.css")
    return environment.get_template("page.html.j2").render(
        facts=facts,
        css=Markup(looks.read_text(encoding="utf-8")),
        charts={name: chart for name in facts["measures"] if (chart := _chart(name, judged)) is not None},
        examples=examples,
        notes=notes(facts),
        heading=heading,
        cell=cell,
        words=WORDS,
        system=SYSTEM,
        many=MANY,
    )


def _chart(name: str, judged: Sequence[Judged]) -> Markup | None:
    """Return how the system's values of a measure are spread; None where it has none."""
    measure = MEASURES[name]
    if measure.pool is not None:
        return None
    rows = np.array([each.rows[SYSTEM][name] for each in judged if SYSTEM in each.rows], dtype=np.float64)
    values = rows[np.isfinite(rows)]
    if not len(values):
        return None
    step = nice_step(float(values.max() - values.min()), PIECES)
    first = math.floor(values.min() / step)
    places = np.floor(values / step).astype(int) - first
    counts = np.bincount(places)
    bins = [Bin((first + at) * step, (first + at + 1) * step, (("", int(n)),)) for at, n in enumerate(counts)]
    return histogram(measure.title, measure.unit, bins)


def _printable(value: Any) -> Any:
    """Put U+FFFD in the place of characters that HTML forbids; our own markup is left as it is."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _CONTROL.sub("\ufffd", value)
    return value
