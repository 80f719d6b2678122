"""The numbers of an evaluation as people read them: cells, headings and notes of the table and of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.catalog.query import render
from trainers.evaluating.items import EXTRACTION
from trainers.evaluating.summary import SYSTEM

ARROWS = {"higher": "↑", "lower": "↓"}

WORDS = {
    SYSTEM: "the system",
    "mixture": "mixture",
    "half_mixture": "half the mixture",
    "silence": "silence",
    "ideal_ratio_mask": "ideal ratio mask",
}
"""System -> what tables call it."""

OTHERS = (("below", "at −∞"), ("above", "at +∞"), ("unknown", "unknown"))
"""What no mean holds, and what it is called."""


def heading(about: Mapping[str, Any]) -> str:
    """Return what stands over a measure's column: title, unit, and an arrow to where it is better."""
    unit = f" {about['unit']}" if about["unit"] else ""
    mark = " (circular)" if about.get("circular") else ""
    return f"{about['title']}{unit} {ARROWS[about['better']]}{mark}"


def cell(summary: Mapping[str, Any], unit: str) -> str:
    """Return a number with its interval, and how many mixtures it does not hold: ``7.31 [6.90, 7.72]; 3 unknown``."""
    digits = 2 if unit == "dB" else 3
    said = "–" if summary["value"] is None else _short(summary["value"], digits)
    if summary["ci95"] is not None:
        said += f" [{', '.join(_short(bound, digits) for bound in summary['ci95'])}]"
    rest = [f"{summary[key]:,} {words}" for key, words in OTHERS if summary.get(key)]
    return "; ".join([said, *rest]).replace("-", "−")


def notes(facts: Mapping[str, Any]) -> list[str]:
    """Return what a reader of the numbers must know, in lines: of what they are, and what is circular."""
    lines = []
    missing = facts["mixtures"] - facts["answered"]
    if missing:
        why = ", ".join(f"{count:,} {error}" for error, count in facts["rejects"].items())
        lines.append(
            f"No answer to {missing:,} of {facts['mixtures']:,} mixtures ({why}): the system's numbers are of the others, "
            "the baselines' of all"
        )
    if done := ", ".join(f"{count:,} {what}" for what, count in facts["made_to_fit"].items() if count):
        lines.append(f"Answers that were made to fit: {done}")
    for about in facts["measures"].values():
        if about.get("circular"):
            lines.append(
                f"{about['title']} is circular: the system's queries go through the embedder that scores, which flatters it"
            )
        elif "circular" in about and about["circular"] is None:
            lines.append(
                f"{about['title']}: whether it is circular is not known; --query-encoder names the system's own"
            )
    if any(row["n"] == 0 for row in facts["all"][SYSTEM].values()):
        lines.append("–: no mixture gives a finite number")
    return lines


def text_of(facts: Mapping[str, Any]) -> str:
    """Return the tables that the command prints: over all mixtures, and for each set where there are several."""
    what = "mixtures" if facts["task"] == EXTRACTION else f"mixtures, {facts['task']}"
    parts = [_text(facts, facts["all"], f"{facts['mixtures']:,} {what}")]
    if len(facts["by_set"]) > 1:
        parts += [_text(facts, own, f"{label}, {own['mixtures']:,} {what}") for label, own in facts["by_set"].items()]
    return "\n\n".join(["\n\n".join(parts), *(["\n".join(lines)] if (lines := notes(facts)) else [])])


def _short(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}"  # no minus before nothing


def _text(facts: Mapping[str, Any], own: Mapping[str, Any], title: str) -> str:
    measures = facts["measures"]
    names = [title, *(heading(about) for about in measures.values())]
    rows = [
        (WORDS[system], *(cell(own[system][name], about["unit"]) for name, about in measures.items()))
        for system in facts["systems"]
    ]
    return render(names, rows, "table")
