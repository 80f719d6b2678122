"""Presence gates: whether what was heard so far makes a question worth asking."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from pipelines.unify.names import NameIndex, default_index
from schemas.endpoints import Gate
from schemas.errors import UserError
from schemas.ontology import Ontology, default_ontology

AnyGate = Literal["always"] | Gate


def opened(gate: AnyGate, evidence: Sequence[dict[str, Any]], dataset: str) -> bool:
    """Say whether a gate lets a clip through.

    It does where the publisher labelled the clip, by tag or timed label, with one of the gate's classes or one below it, or
    where a listener heard one with at least the gate's confidence. A label that raters called absent or unsure (a rating of 0
    or less) opens nothing, nor does a listener that states no confidence: unknown is not present.

    Args:
        gate: ``always``, or classes and a confidence.
        evidence: the clip's rows of ``evidence``.
        dataset: whose curated names apply to the publisher's labels.
    """
    if gate == "always":
        return True
    wanted, index = _wanted(tuple(gate.classes)), default_index()
    for item in evidence:
        if item["kind"] not in ("tag", "event"):
            continue
        if item["listener"] == "publisher":
            sure, classes = item["value"] is None or item["value"] > 0, _labelled(item, dataset, index)
        else:
            stated = item["confidence"]
            sure, classes = stated is not None and stated >= gate.at_least, (item["class_id"],)
        if sure and any(_holds(wanted, class_id, index.ontology) for class_id in classes):
            return True
    return False


def check_gate(gate: AnyGate, key: str) -> None:
    """Raise UserError for a class that the ontology lacks; ``key`` is where the gate stands."""
    if gate != "always":
        try:
            _wanted(tuple(gate.classes))
        except UserError as error:
            raise UserError(f"{key}: {error}") from None


def _labelled(item: dict[str, Any], dataset: str, index: NameIndex) -> tuple[str, ...]:
    match = index.lookup(item["class_id"] or item["name"], dataset) or index.lookup(item["name"], dataset)
    return (match.class_id, *match.also) if match else ()


def _holds(wanted: int, class_id: str | None, ontology: Ontology) -> bool:
    return class_id in ontology and bool(wanted >> ontology.index(str(class_id)) & 1)


@lru_cache(maxsize=64)
def _wanted(classes: tuple[str, ...]) -> int:
    """Return the bits of the classes and of all below them."""
    ontology = default_ontology()
    by_name = {node.name.lower(): node.class_id for node in ontology.classes}
    bits = 0
    for name in classes:
        class_id = name if name in ontology else by_name.get(name.lower())
        if class_id is None:
            raise UserError(f"{name!r} is no class of the ontology; use its name or its id")
        bits |= ontology.bits([class_id]) | ontology.descendants(class_id)
    return bits
