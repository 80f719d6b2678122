"""What an evaluation leaves behind for programs: `results.json`, `results.csv` and `rejects.csv`, the same bytes for the same inputs."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.core.workspace import Workspace
from schemas.errors import Reject
from trainers.evaluating.summary import SYSTEM, Judged, groups, summaries
from trainers.measures.registry import MEASURES

JSON, ROWS, REJECTS = "results.json", "results.csv", "rejects.csv"

INTERVALS = (
    "95%, bootstrap over mixtures, which are taken as independent of one another; of fewer than ten it is too narrow"
)


@dataclass(frozen=True)
class Evaluation:
    """All that was found.

    Attributes:
        about: what was evaluated, on what, by what: facts that are no measurements, as JSON has them.
        measures: name -> what its number is.
        systems: name -> what it is, in words; the evaluated one first.
        judged: mixtures, in order.
        rejects: set, key and reason of each mixture without an answer, in order.
        notes: what was done to how many answers.
    """

    about: Mapping[str, Any]
    measures: Mapping[str, Mapping[str, Any]]
    systems: Mapping[str, str]
    judged: Sequence[Judged]
    rejects: Sequence[tuple[str, str, Reject]]
    notes: Mapping[str, int]

    def facts(self) -> dict[str, Any]:
        """Return the contents of ``results.json``."""
        names, systems = list(self.measures), list(self.systems)
        answered = sum(SYSTEM in each.rows for each in self.judged)
        whole = summaries(self.judged, systems, names)
        return {
            **self.about,
            "systems": dict(self.systems),
            "measures": {name: dict(about) for name, about in self.measures.items()},
            "intervals": INTERVALS,
            "mixtures": len(self.judged),
            "answered": answered,
            "rejects": dict(sorted(Counter(reject.error for _, _, reject in self.rejects).items())),
            "made_to_fit": dict(self.notes),
            "all": whole,
            **{
                f"by_{kind}": {
                    name: {"mixtures": len(own)}
                    | (whole if len(own) == len(self.judged) else summaries(own, systems, names))
                    for name, own in by.items()
                }
                for kind, by in groups(self.judged).items()
            },
        }


def write_results(workspace: Workspace, evaluation: Evaluation) -> dict[str, Any]:
    """Write the three files; return what ``results.json`` holds."""
    facts = evaluation.facts()
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    workspace.write(JSON, text.encode("utf-8", "backslashreplace"))
    per_item = [name for name in evaluation.measures if MEASURES[name].pool is None]
    workspace.write(ROWS, _table(_header(per_item), _rows(evaluation, per_item)))
    refused = ([label, key, reject.error, reject.message] for label, key, reject in evaluation.rejects)
    workspace.write(REJECTS, _table(("set", "key", "error", "message"), refused))
    return facts


def digest_of(parts: Iterable[tuple[tuple[str, int, str], str]]) -> str:
    """Return one sha256 of many, each with its place, whatever their order."""
    lines = "".join(f"{place[2]} {sha256}\n" for place, sha256 in sorted(parts))
    return hashlib.sha256(lines.encode("utf-8", "backslashreplace")).hexdigest()


def _header(names: Sequence[str]) -> tuple[str, ...]:
    return ("set", "key", "system", "query", "policy", "classes", "rate", "seconds", *names)


def _rows(evaluation: Evaluation, names: Sequence[str]) -> Iterable[list[Any]]:
    for each in evaluation.judged:
        for system in evaluation.systems:
            if system in each.rows:
                own = [_number(float(each.rows[system][name])) for name in names]
                classes, policy = "; ".join(each.classes), each.policy or ""
                yield [each.set, each.key, system, each.query, policy, classes, each.rate, each.seconds, *own]


def _number(value: float) -> str:
    """Return a number as short as it can be read back; empty: unknown."""
    return "" if value != value else repr(value)


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")
