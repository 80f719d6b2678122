"""Many rows into few numbers: each measure of each system over all mixtures, and by set, policy and class, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainers.measures.registry import MEASURES

SYSTEM = "system"
"""What the evaluated system is called beside the baselines."""

Summaries = dict[str, dict[str, dict[str, Any]]]
"""System -> measure -> summary, as `trainers.measures.measure.Measure.summary` gives it."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What is measured of a mixture.

    Attributes:
        place: order of its row.
        set, key, query, rate, seconds: of the mixture.
        classes: of its target; none: not known.
        policy: how it was mixed; None: not known.
        rows: system -> measure -> row; a system without an answer is not in it.
    """

    place: tuple[str, int, str]
    set: str
    key: str
    query: str
    rate: int
    seconds: float
    classes: tuple[str, ...]
    policy: str | None
    rows: Mapping[str, Mapping[str, Any]]


def summaries(judged: Sequence[Judged], systems: Sequence[str], names: Sequence[str]) -> Summaries:
    """Return the numbers of mixtures: of each system over those that it answered.

    Args:
        judged: in an order that is a function of the mixtures: intervals depend on it.
        systems: in the order of tables.
        names: of measures.
    """
    return {
        system: {
            name: MEASURES[name].summary(
                _rows([each.rows[system][name] for each in judged if system in each.rows], name)
            )
            for name in names
        }
        for system in systems
    }


def groups(judged: Sequence[Judged]) -> dict[str, dict[str, list[Judged]]]:
    """Return the mixtures by ``set``, ``policy`` and ``class``; a mixture is in each of its classes, and where one is not known in none."""
    found: dict[str, dict[str, list[Judged]]] = {"set": {}, "policy": {}, "class": {}}
    for each in judged:
        for kind, names in (("set", (each.set,)), ("policy", (each.policy,)), ("class", each.classes)):
            for name in names:
                if name is not None:
                    found[kind].setdefault(name, []).append(each)
    return {kind: dict(sorted(by.items())) for kind, by in found.items()}


def _rows(rows: list[Any], name: str) -> Any:
    pools = MEASURES[name].pool is not None
    return rows if pools else np.array(rows, dtype=np.float64)
