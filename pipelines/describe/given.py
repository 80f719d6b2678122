"""What a writer is given of a clip: its evidence, by the variables that a prompt may name, with the ids of what was used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.describe.grammar import number_word
from pipelines.describe.grounds import HEARD, facts_of
from pipelines.describe.known import Event, Known
from pipelines.describe.order import merge
from pipelines.describe.phrases import Acoustics, Expression
from pipelines.listen.publisher import LISTENER as PUBLISHER
from schemas.ontology import Ontology

Row = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """What is known of a clip, and the evidence of each variable.

    Attributes:
        known: the values.
        ids: variable -> evidence_ids; of an answer ``answers.<question>``.
    """

    known: Known
    ids: Mapping[str, tuple[str, ...]]

    def rests_on(self, variables: Sequence[str], answers: Sequence[str]) -> list[str]:
        """Return the evidence of what a prompt declares, each once."""
        used = [*variables, *(f"answers.{name}" for name in answers)]
        return list(dict.fromkeys(one for name in used for one in self.ids.get(name, ())))


def given_of(evidence: Sequence[Row], acoustics: Acoustics, ontology: Ontology) -> Given:
    """Return what a prompt may say of a clip.

    Everything comes from its evidence, also its length, which the listener ``facts`` tells, so that what a request holds of a
    clip does not depend on the rows that happen to be served with it.

    Args:
        evidence: the clip's rows of ``evidence``. Labels that raters called absent or unsure (a rating of 0 or less), findings
            below ``grounds.HEARD``, spans without a class, and answers that deny or are blank are left out.
        acoustics: which words a measured value deserves: those of the grammar's phrase file.
        ontology: names of classes that are given by their id.
    """
    found: dict[str, Any] = {}
    ids: dict[str, tuple[str, ...]] = {}

    def note(name: str, value: Any, rows: Iterable[Row]) -> None:
        if value:
            found[name], ids[name] = value, tuple(dict.fromkeys(row["evidence_id"] for row in rows))

    labels = [row for row in evidence if row["listener"] == PUBLISHER and _labels(row)]
    tags = [row for row in evidence if row["listener"] != PUBLISHER and row["kind"] == "tag" and _heard(row)]
    tags.sort(key=lambda row: -(row["confidence"] or 0.0))
    timed = [row for row in evidence if row["kind"] == "event" and _heard(row) and row["onset_s"] is not None]
    note("labels", _names(labels, ontology), labels)
    note("tags", _names(tags, ontology), tags)
    note("events", _events(timed, ontology), timed)
    for name, kind, each in (("captions", "caption", "text"), ("keywords", "keyword", "name")):
        rows = [row for row in evidence if row["kind"] == kind and (row[each] or "").strip()]
        note(name, [row[each] for row in rows], rows)
    for name, kind, called in (
        ("title", "text", "title"),
        ("description", "text", "description"),
        ("transcript", "transcript", "speech"),
        ("spoken_language", "transcript", "language"),
    ):
        rows = [row for row in evidence if (row["kind"], row["name"]) == (kind, called) and (row["text"] or "").strip()]
        note(name, rows[0]["text"] if rows else None, rows[:1])
    answered: dict[str, list[Row]] = {}
    for row in evidence:
        if row["kind"] == "answer" and (row["text"] or "").strip():
            answered.setdefault(row["name"], []).append(row)
    found["answers"] = {name: [row["text"] for row in rows] for name, rows in answered.items()}
    ids |= {f"answers.{name}": tuple(row["evidence_id"] for row in rows) for name, rows in answered.items()}
    facts = facts_of(list(evidence))
    if duration_s := facts.values.get("duration_s"):
        found["duration_s"], ids["duration_s"] = duration_s, facts.evidence_ids["duration_s"]
    fitting = acoustics.fitting(facts.values)
    if said := [_said(rule, facts.values) for rule in fitting]:
        found["facts"] = said
        ids["facts"] = tuple(
            dict.fromkeys(one for rule in fitting for name in rule.when for one in facts.evidence_ids[name])
        )
    return Given(Known.model_construct(**found), ids)


def may_tell(evidence: pa.Table, variables: Sequence[str], answers: Sequence[str]) -> list[str]:
    """Return the clips with evidence of the kinds that a prompt's naming variables come from, in order of their first such row.

    It is a quick look at a whole partition: a clip whose labels all turn out to be doubtful is among them.
    """
    kind, name, listener = (evidence.column(column) for column in ("kind", "name", "listener"))
    published, worded = pc.equal(listener, PUBLISHER), pc.is_valid(evidence.column("text"))
    heard = pc.and_(pc.invert(published), pc.is_valid(evidence.column("class_id")))
    texts = [each for each in ("title", "description") if each in variables]
    wanted = {
        "labels": pc.and_(published, pc.is_in(kind, pa.array(["tag", "event"]))),
        "tags": pc.and_(heard, pc.equal(kind, "tag")),
        "events": pc.and_(pc.or_(published, heard), pc.equal(kind, "event")),
        "captions": pc.equal(kind, "caption"),
        "keywords": pc.equal(kind, "keyword"),
        "transcript": pc.and_(worded, pc.equal(kind, "transcript")),
    }
    masks = [mask for variable, mask in wanted.items() if variable in variables]
    masks.append(pc.and_(pc.equal(kind, "text"), pc.is_in(name, pa.array(texts, pa.string()))))
    masks.append(
        pc.and_(pc.and_(worded, pc.equal(kind, "answer")), pc.is_in(name, pa.array(list(answers), pa.string())))
    )
    found: list[str] = pc.unique(evidence.column("clip_id").filter(reduce(pc.or_, masks))).to_pylist()
    return found


def _labels(row: Row) -> bool:
    return row["kind"] in ("tag", "event") and (row["value"] is None or row["value"] > 0)


def _heard(row: Row) -> bool:
    """Say whether a finding counts; of a listener only what has a class, since its other events are spans."""
    if row["listener"] == PUBLISHER:
        return _labels(row)
    return row["class_id"] is not None and (row["confidence"] is None or row["confidence"] >= HEARD)


def _name(row: Row, ontology: Ontology) -> str:
    """Return a class's name in words: the ontology's where the row has an id, else the publisher's own."""
    class_id = row["class_id"] or row["name"]
    return ontology[class_id].name if class_id in ontology else row["name"].replace("_", " ")


def _names(rows: Iterable[Row], ontology: Ontology) -> list[str]:
    return list(dict.fromkeys(_name(row, ontology) for row in rows))


def _events(rows: Iterable[Row], ontology: Ontology) -> list[Event]:
    """Return the intervals of each class, those of several listeners as one where they touch."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        spans.setdefault(_name(row, ontology), []).append((row["onset_s"], row["offset_s"]))
    events = [(onset, offset, name) for name, each in spans.items() for onset, offset in merge(each)]
    return [Event(name=name, onset_s=onset, offset_s=offset) for onset, offset, name in sorted(events)]


def _said(rule: Expression, facts: Mapping[str, float]) -> str:
    """Return the plainest words of a rule: an adjective, else what stands behind a verb or a sentence."""
    words = (*rule.adjectives, *rule.tails, *rule.ends, *rule.adverbs)[0]
    return words.format(seconds=number_word(round(facts.get("active_s", 0.0))))
