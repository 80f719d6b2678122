"""Agreement: how many of a caption's checkable claims the evidence supports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipelines.describe.grounds import Facts, Ground, same_words
from pipelines.describe.order import Span, overlap
from pipelines.refine.claims import Order, orders, sources
from pipelines.refine.qualities import judge
from pipelines.unify.names import NameIndex
from schemas.ontology import Ontology

SILENCE = "/m/028v0c"
SILENT_S = 0.5
"""Seconds of measured silence that make a caption's "silence" true: declared, not calibrated."""
TOGETHER_S = 0.05
"""Sounds that share less than this, and less than half of the shorter, are not heard at the same time."""


@dataclass(frozen=True)
class Claim:
    """One claim in the caption's own words; ``supported`` is None where nothing can check it."""

    text: str
    supported: bool | None
    evidence_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """All claims of a caption, with what became of each."""

    claims: tuple[Claim, ...]

    @property
    def supported(self) -> int:
        """Claims that evidence supports."""
        return sum(claim.supported is True for claim in self.claims)

    @property
    def unsupported(self) -> list[str]:
        """Claims that could be checked and have no support."""
        return [claim.text for claim in self.claims if claim.supported is False]

    @property
    def score(self) -> float | None:
        """Supported claims over checkable claims, in [0, 1]; None where no claim can be checked."""
        checkable = self.supported + len(self.unsupported)
        return self.supported / checkable if checkable else None

    @property
    def evidence_ids(self) -> list[str]:
        """The evidence that supports a claim, each once."""
        return list(dict.fromkeys(i for claim in self.claims if claim.supported for i in claim.evidence_ids))


def agreement(
    text: str, grounds: Sequence[Ground], facts: Facts, index: NameIndex, own: Collection[str] = ()
) -> Agreement:
    """Return what the evidence says of each claim of a caption.

    A sound is supported by evidence of its class, of a descendant, or of an ancestor on a path without
    headings. It is unsupported only where the publisher labelled the clip, and with none of these: keywords,
    other captions and a tagger name some of what is heard, so that what they leave out is unknown. An order is
    checked only between sounds whose events are timed. No caption supports itself, nor its own repetition.

    Args:
        text: the caption.
        grounds: evidence of the clip that names classes.
        facts: measured facts of the clip.
        index: names to classes.
        own: evidence ids of which the caption is itself a copy.

    """
    words = same_words(text)
    others = [g for g in grounds if g.caption is None or (g.evidence_id not in own and same_words(g.caption) != words)]
    mentions = sources(text, index)
    first = {mention.class_id: mention for mention in reversed(mentions)}
    sounds = dict.fromkeys(mention.class_id for mention in mentions)
    claims = [_sound(class_id, first[class_id].phrase, others, facts, index.ontology) for class_id in sounds]
    claims += [_order(order, others, index.ontology) for order in orders(text, mentions)]
    named = sum(class_id != SILENCE for class_id in sounds)
    for found in judge(_without_names(text, index), facts.values, named):
        claims.append(Claim(found.text, found.supported, facts.evidence_ids.get(found.fact, ())))
    return Agreement(tuple(claims))


def _without_names(text: str, index: NameIndex) -> str:
    """Return a text with blanks for the names of sounds, whose words are no adjectives: "a brief tone"."""
    for mention in index.tags_in_text(text):
        text = text[: mention.start] + " " * (mention.end - mention.start) + text[mention.end :]
    return text


def _sound(class_id: str, phrase: str, grounds: Sequence[Ground], facts: Facts, ontology: Ontology) -> Claim:
    support = [ground.evidence_id for ground in grounds if _related(ground.class_id, class_id, ontology)]
    checkable = bool(support) or any(ground.is_label for ground in grounds)
    if class_id == SILENCE and "silent_s" in facts.values:
        checkable = True
        if facts.values["silent_s"] >= SILENT_S:
            support += facts.evidence_ids["silent_s"]
    return Claim(phrase, bool(support) if checkable else None, tuple(dict.fromkeys(support)))


def _related(evidence: str, claimed: str, ontology: Ontology) -> bool:
    """Say whether evidence of one class supports the claim of another.

    What is heard of a kind is heard of all that it is a kind of, also across a heading: pop music is music.
    """
    below = ontology.descendants(claimed) >> ontology.index(evidence) & 1
    return bool(below) or ontology.conflict(evidence, claimed) is not None


def _order(order: Order, grounds: Sequence[Ground], ontology: Ontology) -> Claim:
    firsts, seconds = (_events(c, grounds, ontology) for c in (order.first, order.second))
    if not firsts or not seconds or _related(order.first, order.second, ontology):
        return Claim(order.text, None)
    holds = _before if order.relation == "then" else _with
    pairs = [(a, b) for a in firsts for b in seconds if holds(firsts[a], seconds[b])]
    return Claim(order.text, bool(pairs), tuple(dict.fromkeys(i for pair in pairs for i in pair)))


def _events(class_id: str, grounds: Sequence[Ground], ontology: Ontology) -> dict[str, Span]:
    return {
        ground.evidence_id: (ground.onset_s, ground.offset_s)
        for ground in grounds
        if ground.onset_s is not None and ground.offset_s is not None and _related(ground.class_id, class_id, ontology)
    }


def _before(a: Span, b: Span) -> bool:
    """Say whether ``a`` begins and ends before ``b`` does and they share less than half of the shorter."""
    shorter = min(a[1] - a[0], b[1] - b[0])
    return a[0] < b[0] and a[1] < b[1] and overlap([a], [b]) <= 0.5 * shorter


def _with(a: Span, b: Span) -> bool:
    return overlap([a], [b]) >= min(TOGETHER_S, 0.5 * min(a[1] - a[0], b[1] - b[0])) > 0.0
