"""Agreement: what the evidence says of each claim of a caption, and how many of those that can be checked it supports."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pipelines.describe.grounds import Facts, Ground, Told, same_words
from pipelines.refine.claims import Claim, Near, claims
from pipelines.refine.lexicon import ATTRIBUTES, any_of
from pipelines.refine.qualities import judge, stated
from pipelines.refine.verdicts import Judged, Known, confirmed, judged
from pipelines.unify.names import NameIndex
from schemas.ontology import SILENCE

_NOTHING_TOLD = Told()


@dataclass(frozen=True)
class Agreement:
    """All claims of a caption, with what became of each."""

    claims: tuple[Judged, ...]

    @property
    def counted(self) -> list[Judged]:
        """The claims that the score counts: a source that does something of a class of its own is counted with what it does."""
        doers = {each.claim.of for each in self.claims if each.claim.kind == "action" and each.claim.class_id}
        return [each for each in self.claims if not (each.claim.kind == "source" and each.claim.class_id in doers)]

    @property
    def supported(self) -> int:
        """Counted claims that evidence supports."""
        return sum(claim.supported is True for claim in self.counted)

    @property
    def unsupported(self) -> list[str]:
        """Counted claims that could be checked and have no support."""
        return [claim.text for claim in self.counted if claim.supported is False]

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
    text: str,
    grounds: Sequence[Ground],
    facts: Facts,
    index: NameIndex,
    own: Collection[str] = (),
    told: Told = _NOTHING_TOLD,
    near: Near | None = None,
) -> Agreement:
    """Return what the evidence says of each claim of a caption.

    A sound is supported by evidence of its class, of a descendant, or of an ancestor on a path without
    headings. It is unsupported only where the publisher labelled the clip, and with none of these, or where somebody who
    listened was asked about it and denies it: keywords, other captions and a tagger name some of what is heard, so that
    what they leave out is unknown. An order is checked only between sounds whose events are timed. No caption supports
    itself, nor its own repetition.

    Args:
        text: the caption, in English.
        grounds: evidence of the clip that names classes.
        facts: measured facts of the clip.
        index: names to classes.
        own: evidence ids of which the caption is itself a copy.
        told: what answers, transcripts and other words say of the clip.
        near: finds sounds whose names the index does not know; None: rules alone.

    """
    words = same_words(text)

    def is_other(evidence_id: str, said: str | None) -> bool:
        return said is None or (evidence_id not in own and same_words(said) != words)

    claimed = claims(text, index, near)
    known = Known(
        [g for g in (*grounds, *told.heard) if is_other(g.evidence_id, g.caption)],
        told.seen,
        told.denied,
        [saying for saying in told.sayings if is_other(saying.evidence_id, saying.text)],
        facts,
        alone=sum(claim.kind == "source" and claim.class_id != SILENCE for claim in claimed) <= 1,
    )
    found = [judged(claim, known, index.ontology) for claim in claimed]
    return Agreement((*found, *_attributes(_without_names(text, index), known)))


def _without_names(text: str, index: NameIndex) -> str:
    """Return a text with blanks for the names of sounds, whose words are no adjectives: "a brief tone"."""
    for mention in index.tags_in_text(text):
        text = text[: mention.start] + " " * (mention.end - mention.start) + text[mention.end :]
    return text


def _attributes(text: str, known: Known) -> Iterator[Judged]:
    """Yield what is said of loudness, pitch and time, by facts and then by words, and of what only words can confirm."""
    taken: set[int] = set()
    for found in judge(text, known.facts.values, 1 if known.alone else 2):
        claim = Claim("attribute", found.text, found.start, found.start + len(found.text), value=found.text.lower())
        taken |= set(range(claim.start, claim.end))
        if found.supported is None:
            yield confirmed(claim, found.words, known)
            continue
        measured = f"{found.fact} is {known.facts.values[found.fact]:.4g}"
        ids = known.facts.evidence_ids.get(found.fact, ()) if found.supported else ()
        yield Judged(claim, "supported" if found.supported else "unsupported", measured, ids)
    for row in ATTRIBUTES:
        where = stated(any_of(row), text)
        if where is not None and where.start() not in taken:
            claim = Claim("attribute", where[0], where.start(), where.end(), value=where[0].lower())
            yield confirmed(claim, any_of(row), known)
