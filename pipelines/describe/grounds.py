"""What a sentence about a clip may rest on: its evidence, as classes, intervals and facts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipelines.unify.names import NameIndex

HEARD = 0.4
"""Least confidence with which a finding counts: declared, not calibrated. One that states none counts."""

DERIVED = (
    "active_s", "active_count", "active_share", "silent_s", "silent_share", "silent_start_s", "silent_end_s",
)  # fmt: skip
"""Facts that follow from the spans of the listener ``facts``: seconds, a number, or a share of the clip."""


@dataclass(frozen=True)
class Ground:
    """One piece of evidence that names a class; its times are those of an event, in seconds, else None."""

    evidence_id: str
    kind: str
    class_id: str
    onset_s: float | None
    offset_s: float | None
    caption: str | None
    """The words, where the evidence is a published caption."""

    @property
    def is_label(self) -> bool:
        """Whether the publisher gave the clip this class as a tag or event, so that it chose among classes."""
        return self.kind in ("tag", "event") and self.evidence_id.rsplit(":", 2)[-2] == "publisher"


@dataclass
class Facts:
    """Values of what was measured and is known, and the evidence of each."""

    values: dict[str, float] = field(default_factory=dict)
    evidence_ids: dict[str, tuple[str, ...]] = field(default_factory=dict)


def grounds_of(
    evidence: list[dict[str, Any]], classes: list[dict[str, Any]], dataset: str, index: NameIndex
) -> list[Ground]:
    """Return the evidence of one clip that names one of its ``classes``, in order.

    Args:
        evidence: the clip's rows of ``evidence``.
        classes: the clip's rows of ``classes``, which say what may count as known.
        dataset: whose curated label table applies.
        index: names to classes.

    """
    known = {row["class_id"] for row in classes} - {None}
    out = []
    for item in evidence:
        if (item["confidence"] if item["confidence"] is not None else 1.0) < HEARD:
            continue
        for class_id in dict.fromkeys(_named(item, dataset, index)):
            if class_id in known:
                timed = item["kind"] == "event"
                out.append(
                    Ground(
                        item["evidence_id"],
                        item["kind"],
                        class_id,
                        item["onset_s"] if timed else None,
                        item["offset_s"] if timed else None,
                        item["text"] if item["kind"] == "caption" else None,
                    )
                )
    return out


def _named(item: dict[str, Any], dataset: str, index: NameIndex) -> list[str]:
    """Return the classes that one row of evidence names."""
    if item["kind"] == "caption":
        return [mention.class_id for mention in index.tags_in_text(item["text"] or "")]
    if item["kind"] == "keyword":
        words = item["name"].replace("_", " ").replace("-", " ")
        return [mention.class_id for mention in index.tags_in_text(words)]
    if item["kind"] not in ("tag", "event"):
        return []
    if item["listener"] != "publisher":  # a listener names its classes itself; its other events are spans
        return [item["class_id"]] if item["class_id"] else []
    match = index.lookup(item["class_id"] or item["name"], dataset) or index.lookup(item["name"], dataset)
    return [match.class_id, *match.also] if match else []


@dataclass(frozen=True)
class Saying:
    """Words that somebody says of a clip, as they are: ``name`` is that of the question, or of what else they are."""

    evidence_id: str
    kind: str
    name: str
    text: str
    seen: bool
    """Whether the one who says so looked at pictures."""


@dataclass(frozen=True)
class Told:
    """What is told of a clip beside classes and facts.

    Attributes:
        heard: classes that answers, transcripts and the uploader's words name.
        seen: classes that those name who looked at pictures.
        denied: classes that somebody who listened was asked about, and says are not there.
        sayings: all words about the clip; not those that are spoken in it.
    """

    heard: tuple[Ground, ...] = ()
    seen: tuple[Ground, ...] = ()
    denied: tuple[Ground, ...] = ()
    sayings: tuple[Saying, ...] = ()


SPEECH = "/m/09x0r"


def told_of(evidence: list[dict[str, Any]], index: NameIndex, eyes: Collection[str] = ()) -> Told:
    """Return what is told of one clip in words.

    An answer to a question that is named as a class, such as ``speech``, tells of that class; without words it denies it. What
    its fields say of speakers are words; other fields and answers name what they mention. A transcript with words is heard
    speech. An uploader's title and description count as its keywords do.

    Args:
        evidence: the clip's rows of ``evidence``.
        index: names to classes.
        eyes: listeners that were asked about pictures: what they say is seen, not heard.

    """
    heard: list[Ground] = []
    seen: list[Ground] = []
    denied: list[Ground] = []
    sayings: list[Saying] = []
    for item in evidence:
        kind, text, visual = item["kind"], item["text"], item["listener"] in eyes
        if kind not in ("answer", "transcript", "text", "caption", "keyword"):
            continue
        words = item["name"].replace("_", " ") if kind == "keyword" else text
        if words and (kind, item["name"]) != ("transcript", "speech"):
            sayings.append(Saying(item["evidence_id"], kind, item["name"], words, visual))
        if kind == "answer" and text is None:
            if not visual:
                denied += [_ground(item, class_id) for class_id in _asked(item["name"], index)]
        elif kind == "answer" or (kind == "text" and text):
            (seen if visual else heard).extend(_ground(item, class_id) for class_id in _answered(item, index))
        elif kind == "transcript" and item["name"] == "speech" and (item["value"] or text):
            heard.append(_ground(item, SPEECH))
    return Told(tuple(heard), tuple(seen), tuple(denied), tuple(sayings))


def _ground(item: dict[str, Any], class_id: str) -> Ground:
    return Ground(item["evidence_id"], item["kind"], class_id, None, None, item["text"])


def _asked(question: str, index: NameIndex) -> list[str]:
    """Return the class that a question is named as; a field's question is told of with the field."""
    match = None if "." in question else index.lookup(question.replace("_", " "))
    return [match.class_id] if match else []


def _answered(item: dict[str, Any], index: NameIndex) -> Iterator[str]:
    """Yield the classes that an answer, or an uploader's text, speaks of, each once."""
    text = item["text"] or ""
    found = {mention.class_id: None for mention in index.tags_in_text(text.replace("_", " "))}
    if item["kind"] == "answer":
        found |= dict.fromkeys(_asked(item["name"], index))
        if item["name"].endswith((".genre", ".instruments")):
            for part in re.split(r"\s*(?:[,;/]|\band\b|\bor\b)\s*", text):
                match = index.lookup(part) or index.lookup(f"{part} music")
                found |= {match.class_id: None} if match else {}
    yield from found


def facts_of(evidence: list[dict[str, Any]]) -> Facts:
    """Return the facts of one clip; those of :data:`DERIVED` too, where the listener ``facts`` was heard."""
    facts = Facts()
    spans: dict[str, list[tuple[float, float]]] = {"active": [], "silent": []}
    ids: dict[str, list[str]] = {"active": [], "silent": []}
    kinds = {"active_span": "active", "silence_span": "silent"}
    for item in evidence:
        if item["kind"] == "fact" and item["value"] is not None:
            facts.values.setdefault(item["name"], item["value"])
            facts.evidence_ids.setdefault(item["name"], (item["evidence_id"],))
        elif item["kind"] == "event" and item["listener"] == "facts" and item["name"] in kinds:
            spans[kinds[item["name"]]].append((item["onset_s"], item["offset_s"]))
            ids[kinds[item["name"]]].append(item["evidence_id"])
    duration = facts.values.get("duration_s")
    if not duration:
        return facts
    active, silent = spans["active"], spans["silent"]
    active_s, silent_s = (sum(offset - onset for onset, offset in span) for span in (active, silent))
    values = {
        "active_s": active_s,
        "active_count": float(len(active)),
        "active_share": active_s / duration,
        "silent_s": silent_s,
        "silent_share": silent_s / duration,
        "silent_start_s": sum(offset for onset, offset in silent if onset == 0.0),
        "silent_end_s": sum(offset - onset for onset, offset in silent if duration - offset < 1e-3),
    }
    for name, value in values.items():
        facts.values[name] = value
        facts.evidence_ids[name] = (*ids[name.split("_")[0]], *facts.evidence_ids["duration_s"])
    return facts


def same_words(text: str) -> str:
    """Return a text as its words alone, so that captions that differ in case and punctuation are one."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))
