"""The verdict on one claim: what of a clip's evidence supports it, what contradicts it, and in which words that is said."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.describe.grounds import Facts, Ground, Saying
from pipelines.describe.order import Span, merge, overlap
from pipelines.refine.claims import SPEECH, VOICE, Claim
from pipelines.refine.lexicon import (
    EMOTION_OF,
    ENVIRONMENT_OF,
    ENVIRONMENTS,
    GENDER_CLASSES,
    GENDERS,
    OPPOSED,
    any_of,
    forms,
    language,
)
from pipelines.refine.qualities import stated
from schemas.ontology import SILENCE, Ontology

Verdict = Literal["supported", "unsupported", "visual_only", "unknown"]

SILENT_S = 0.5
"""Seconds of measured silence that make a caption's "silence" true: declared, not calibrated."""
TOGETHER_S = 0.05
"""Sounds that share less than this, and less than half of the shorter, are not heard at the same time."""
COUNT_WITHIN = 0.25
"""Share of a claimed number by which the counted onsets may differ and still support it: declared, not calibrated."""
COUNT_BEYOND = (0.5, 3.0)
"""Onsets below the first or above the second times the claimed number contradict it: declared; between, listeners differ."""


@dataclass(frozen=True)
class Known:
    """What is known of a clip, without the caption itself, as claims are held against it.

    Attributes:
        grounds: evidence that names classes and was heard or is the publisher's.
        seen: evidence that names classes and was seen.
        denied: classes that somebody who listened was asked about, and says are not there.
        sayings: words about the clip.
        facts: measured facts.
        alone: whether the caption speaks of no more than one sound, so that a fact of the clip is one of that sound.
    """

    grounds: Sequence[Ground]
    seen: Sequence[Ground]
    denied: Sequence[Ground]
    sayings: Sequence[Saying]
    facts: Facts
    alone: bool


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict, why, and the evidence that supports it."""

    claim: Claim
    verdict: Verdict
    reason: str
    evidence_ids: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The caption's own words."""
        return self.claim.text

    @property
    def supported(self) -> bool | None:
        """True or False where evidence decides; None where nothing that is heard can."""
        return {"supported": True, "unsupported": False}.get(self.verdict)


def judged(claim: Claim, known: Known, ontology: Ontology) -> Judged:
    """Return what the evidence says of a claim that is no attribute.

    ``supported`` where something that was heard, labelled or measured shows it, else ``visual_only`` where pictures do, else
    ``unsupported`` where evidence could have shown it and shows something else, else ``unknown``.
    """
    by_kind: dict[str, Callable[[Claim, Known, Ontology], Judged]] = {
        "source": _sound, "action": _action, "order": _order, "count": _count, "place": _place, "speech": _speech,
    }  # fmt: skip
    return by_kind[claim.kind](claim, known, ontology)


def related(evidence: str, claimed: str, ontology: Ontology) -> bool:
    """Say whether evidence of one class supports the claim of another.

    What is heard of a kind is heard of all that it is a kind of, also across a heading: pop music is music.
    """
    below = ontology.descendants(claimed) >> ontology.index(evidence) & 1
    return bool(below) or ontology.conflict(evidence, claimed) is not None


def _sound(claim: Claim, known: Known, ontology: Ontology) -> Judged:
    assert claim.class_id is not None
    class_id = claim.class_id
    if support := [g for g in known.grounds if related(g.class_id, class_id, ontology)]:
        return Judged(claim, "supported", _who(support, ontology), _ids(support))
    silent_s = known.facts.values.get("silent_s")
    if class_id == SILENCE and silent_s is not None:
        if silent_s >= SILENT_S:
            return Judged(claim, "supported", f"{silent_s:.1f} s are silent", known.facts.evidence_ids["silent_s"])
        return Judged(claim, "unsupported", f"{silent_s:.1f} s are silent")
    if seen := [g for g in known.seen if related(g.class_id, class_id, ontology)]:
        return Judged(claim, "visual_only", "only pictures show it", _ids(seen))
    if labels := [g for g in known.grounds if g.is_label]:
        return Judged(claim, "unsupported", f"the publisher labels other sounds: {_names(labels, ontology)}")
    if denied := [g for g in known.denied if _within(class_id, g.class_id, ontology)]:
        return Judged(claim, "unsupported", f"{_listener(denied[0])} was asked and hears no {_names(denied, ontology)}")
    return Judged(claim, "unknown", "nothing names it, and nothing lists all that is heard")


def _within(class_id: str, of: str, ontology: Ontology) -> bool:
    return class_id == of or bool(ontology.descendants(of) >> ontology.index(class_id) & 1)


def _action(claim: Claim, known: Known, ontology: Ontology) -> Judged:
    return _sound(claim, known, ontology) if claim.class_id else confirmed(claim, any_of(forms(claim.value)), known)


def confirmed(claim: Claim, words: str, known: Known) -> Judged:
    """Return the verdict on what words alone can confirm, and nobody tells all of: a deed, a quality that is not measured.

    ``supported`` where somebody who listened says one of the words of a pattern, of a deed ``visual_only`` where somebody who
    looked does, else ``unknown``.
    """
    said = [saying for saying in known.sayings if stated(words, saying.text)]
    if heard := [saying for saying in said if not saying.seen]:
        return Judged(claim, "supported", f"said in {_sayers(heard)}", _ids(heard))
    if said and claim.kind == "action":
        return Judged(claim, "visual_only", "only pictures show it", _ids(said))
    return Judged(claim, "unknown", "nothing here can check it")


def _order(claim: Claim, known: Known, ontology: Ontology) -> Judged:
    order = claim.order
    assert order is not None
    firsts, seconds = (_events(c, known.grounds, ontology) for c in (order.first, order.second))
    if related(order.first, order.second, ontology) or related(order.second, order.first, ontology):
        return Judged(claim, "unknown", "one sound is a kind of the other, so that their times are not told apart")
    if not firsts or not seconds:
        return Judged(claim, "unknown", "not both sounds are timed")
    holds = _before if order.relation == "then" else _with
    pairs = [(a, b) for a in firsts for b in seconds if holds(firsts[a], seconds[b])]
    words = "follow one another" if order.relation == "then" else "share a moment"
    if pairs:
        return Judged(
            claim, "supported", f"the times {words} so", tuple(dict.fromkeys(i for pair in pairs for i in pair))
        )
    return Judged(claim, "unsupported", f"by their times, the sounds do not {words} so")


def _events(class_id: str, grounds: Iterable[Ground], ontology: Ontology) -> dict[str, Span]:
    return {
        ground.evidence_id: (ground.onset_s, ground.offset_s)
        for ground in grounds
        if ground.onset_s is not None and ground.offset_s is not None and related(ground.class_id, class_id, ontology)
    }


def _before(a: Span, b: Span) -> bool:
    """Say whether ``a`` begins and ends before ``b`` does and they share less than half of the shorter."""
    shorter = min(a[1] - a[0], b[1] - b[0])
    return a[0] < b[0] and a[1] < b[1] and overlap([a], [b]) <= 0.5 * shorter


def _with(a: Span, b: Span) -> bool:
    return overlap([a], [b]) >= min(TOGETHER_S, 0.5 * min(a[1] - a[0], b[1] - b[0])) > 0.0


def _count(claim: Claim, known: Known, ontology: Ontology) -> Judged:
    """Return the verdict on a number, by events of that very sound, else by onsets where there is no other sound.

    Events that are not as many contradict nothing: annotators mark two barks in a row as one, and taggers break one in two.
    """
    number = int(claim.value)
    if claim.of is not None:
        spans = _events(claim.of, known.grounds, ontology)
        if len(merge(list(spans.values()))) == number:
            return Judged(claim, "supported", f"{number} events are timed", tuple(spans))
    onsets = known.facts.values.get("onset_count") if known.alone else None
    if onsets is None:
        return Judged(claim, "unknown", "nothing counts this sound alone")
    reason = f"{onsets:.0f} onsets are measured"
    if abs(onsets - number) <= COUNT_WITHIN * number:
        return Judged(claim, "supported", reason, known.facts.evidence_ids["onset_count"])
    low, high = (math.ceil(share * number) for share in COUNT_BEYOND)
    if onsets < low or onsets > high:
        return Judged(claim, "unsupported", reason)
    return Judged(claim, "unknown", f"{reason}, which is neither near enough nor far enough off")


def _place(claim: Claim, known: Known, ontology: Ontology) -> Judged:
    """Return the verdict on a place: by its name, by another of the same surroundings if it names only those, by labels."""
    where = ENVIRONMENT_OF.get(claim.value)
    same = [claim.value]
    if claim.value == where or claim.value in ("indoors", "outdoors"):
        same += [place for place, environment in ENVIRONMENT_OF.items() if environment == where]
    told = [saying for saying in known.sayings if stated(any_of(same), saying.text)]
    rooms = [(g, ENVIRONMENTS[name]) for g in known.grounds if (name := ontology[g.class_id].name) in ENVIRONMENTS]
    fitting = [g for g, environment in rooms if environment == where and claim.class_id in (None, g.class_id)]
    if heard := [saying for saying in told if not saying.seen]:
        return Judged(claim, "supported", f"said in {_sayers(heard)}", _ids(heard))
    if fitting and (claim.value == where or claim.class_id):
        return Judged(claim, "supported", _who(fitting, ontology), _ids(fitting))
    if told:
        return Judged(claim, "visual_only", "only pictures show it", _ids(told))
    others = [g for g, environment in rooms if g.is_label and where is not None and environment != where]
    if others and not any(environment == where for _, environment in rooms):
        return Judged(claim, "unsupported", f"the publisher labels it as {_names(others, ontology)}")
    return Judged(claim, "unknown", "nothing that is heard tells of the place")


def _speech(claim: Claim, known: Known, ontology: Ontology) -> Judged:
    aspect, value = claim.value.split(":", 1)
    read = {"gender": _genders, "emotion": _emotions, "language": _languages}[aspect]
    told = [(s, read(s.text)) for s in known.sayings if s.name.endswith(f".{aspect}") or s.name == aspect]
    if support := [saying for saying, values in told if value in values and not saying.seen]:
        return Judged(claim, "supported", f"said in {_sayers(support)}", _ids(support))
    if aspect == "gender":
        by_class = {g: _gender_of(g.class_id, ontology) for g in known.grounds}
        if fitting := [ground for ground, gender in by_class.items() if gender == value]:
            return Judged(claim, "supported", _who(fitting, ontology), _ids(fitting))
        if others := [g for g, gender in by_class.items() if gender is not None and g.is_label]:
            return Judged(claim, "unsupported", f"the publisher labels {_names(others, ontology)}")
    if seen := [saying for saying, values in told if value in values]:
        return Judged(claim, "visual_only", "only pictures show it", _ids(seen))
    heard = [(saying, values) for saying, values in told if values and not saying.seen]
    if heard and all(_excludes(aspect, value, values) for _, values in heard):
        said = ", ".join(dict.fromkeys(word for _, values in heard for word in values))
        return Judged(claim, "unsupported", f"{_listener(heard[0][0])} says {said}")
    voices = [g for g in known.denied if _within(SPEECH, g.class_id, ontology) or g.class_id == VOICE]
    if voices and not any(related(g.class_id, SPEECH, ontology) for g in known.grounds):
        return Judged(claim, "unsupported", f"{_listener(voices[0])} was asked and hears no speech")
    return Judged(claim, "unknown", "nothing tells it of the speaker")


def _excludes(aspect: str, value: str, values: Sequence[str]) -> bool:
    """Say whether stated values rule another out; of a child's gender nothing is said."""
    if aspect == "emotion":
        return all(value in OPPOSED[stated_] for stated_ in values)
    return value not in values and not (aspect == "gender" and "child" in (value, *values))


def _genders(text: str) -> list[str]:
    words = set(re.findall(r"[\w']+", text.lower()))
    if "both" in words:
        return ["male", "female"]
    return [gender for gender, names in GENDERS.items() if words & set(names)]


def _emotions(text: str) -> list[str]:
    return list(dict.fromkeys(EMOTION_OF[word] for word in re.findall(r"[\w-]+", text.lower()) if word in EMOTION_OF))


def _languages(text: str) -> list[str]:
    found = language(text)
    return [found] if found else []


def _gender_of(class_id: str, ontology: Ontology) -> str | None:
    name = ontology[class_id].name
    return next((gender for gender, names in GENDER_CLASSES.items() if name in names), None)


def _ids(items: Iterable[Ground | Saying]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.evidence_id for item in items))


def _listener(item: Ground | Saying) -> str:
    return item.evidence_id.rsplit(":", 2)[-2]


def _names(grounds: Iterable[Ground], ontology: Ontology) -> str:
    return ", ".join(list(dict.fromkeys(ontology[g.class_id].name for g in grounds))[:4])


def _who(grounds: Sequence[Ground], ontology: Ontology) -> str:
    first = grounds[0]
    return f"{ontology[first.class_id].name}, {first.kind} of {_listener(first)}"


def _sayers(sayings: Iterable[Saying]) -> str:
    return ", ".join(list(dict.fromkeys(f"{s.kind} of {_listener(s)}" for s in sayings))[:3])
