"""What a caption claims to be heard: sounds, and their order, in the caption's own words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pipelines.unify.names import Mention, NameIndex
from schemas.ontology import Ontology

Relation = Literal["then", "while"]

AMBIGUOUS = "/t/dd00098"
"""AudioSet's heading of names such as "Hum" or "Rattle": how a thing sounds, not which thing it is."""

_THEN = re.compile(r"\b(?:then|followed by|before|after(?:wards?| that| which| this)|later|next(?! to)|finally)\b")
_AFTER = re.compile(r"\b(?:after(?!wards?| that| which| this)|following|preceded by)\b")
_WHILE = re.compile(r"\b(?:while|whilst|as|along with|during|simultaneously|at the same time)\b")
_NOT_TIME = re.compile(r"\b(?:as \w+ as|as (?:well|if|though|part)|(?:such|just|same) as)\b")
_LEADING = re.compile(r"(?:^|[.!?;,]\s*)(?P<word>after|before|while|whilst|as|along with|during)\b[^.!?;,]*$")
_TOGETHER = re.compile(r"\b(?:simultaneously|at the same time)\b")
_END = re.compile(r"[.!?;]")
# What may stand between a source and a word for its sound: "a printer loudly whirs", "the rumble of thunder".
_OWN_SOUND = re.compile(r"\s+(?:(?:is|are|was|were|being|\w+ly)\s+)*")
_SOUND_OF = re.compile(r"\s+(?:(?:of|from)\s+(?:an?\s+|the\s+|some\s+)?)?")


@dataclass(frozen=True)
class Order:
    """The claim that one class is heard ``then`` another, or ``while`` another is."""

    first: str
    relation: Relation
    second: str
    text: str


def sources(text: str, index: NameIndex) -> list[Mention]:
    """Return the sounds that a caption speaks of, in text order.

    Two names that stand together are one sound where one is a kind of the other ("a cat meows", "the reversing
    beeps of a truck"), or where one is source-ambiguous and merely says how the other sounds ("a fan whirs", "a
    humming fan"). Alone, such a name is a sound like any other ("a hum").
    """
    out: list[Mention] = []
    for mention in index.tags_in_text(text):
        class_id = _joint(out[-1], mention, text, index.ontology) if out else None
        if class_id is None:
            out.append(mention)
        else:
            start = out.pop().start
            out.append(Mention(class_id, text[start : mention.end], start, mention.end))
    return out


def _joint(a: Mention, b: Mention, text: str, ontology: Ontology) -> str | None:
    """Return the class of two mentions that name one sound together, else None."""
    between = text[a.end : b.start]
    heading = ontology.index(AMBIGUOUS)
    vague_a, vague_b = (bool(ontology.ancestors(m.class_id) >> heading & 1) for m in (a, b))
    own, of = _OWN_SOUND.fullmatch(between), _SOUND_OF.fullmatch(between)
    if (own or of) and (related := ontology.conflict(a.class_id, b.class_id)):
        return b.class_id if related == "ancestor" else a.class_id
    if own and vague_b and not vague_a:
        return a.class_id
    return b.class_id if of and vague_a and not vague_b else None


def orders(text: str, mentions: Sequence[Mention]) -> list[Order]:
    """Return the claims about order between sounds that stand next to each other in the text."""
    lower = _NOT_TIME.sub(lambda found: " " * len(found[0]), text.lower())
    out = []
    for a, b in pairwise(mentions):
        if a.class_id == b.class_id:
            continue
        found = _between(lower[a.end : b.start]) or _leading(lower[: a.start], lower[a.end : b.start])
        found = found or _together(lower, a, b, mentions)
        if found:
            forward, relation = found
            first, second = (a, b) if forward else (b, a)
            out.append(Order(first.class_id, relation, second.class_id, text[a.start : b.end]))
    return out


def _between(words: str) -> tuple[bool, Relation] | None:
    """Return the direction and relation that the words between two sounds state, if they state one."""
    *closed, words = _END.split(words)
    found: set[tuple[bool, Relation]] = set()
    if _THEN.search(words):
        found.add((True, "then"))
    if not closed and _AFTER.search(words):
        found.add((False, "then"))
    if not closed and _WHILE.search(words):
        found.add((True, "while"))
    return found.pop() if len(found) == 1 else None


def _leading(before: str, between: str) -> tuple[bool, Relation] | None:
    """Return what a clause that opens with its conjunction states: "after the bell, a dog barks"."""
    opening = _LEADING.search(before)
    if opening is None or "," not in between or _END.search(between):
        return None
    if opening["word"] in ("after", "before"):
        return opening["word"] == "after", "then"
    return True, "while"


def _together(text: str, a: Mention, b: Mention, mentions: Sequence[Mention]) -> tuple[bool, Relation] | None:
    """Return ``while`` for the only two sounds of a sentence that says "simultaneously"."""
    start = max((found.end() for found in _END.finditer(text, 0, a.start)), default=0)
    stop = next((found.start() for found in _END.finditer(text, b.end)), len(text))
    alone = [m for m in mentions if start <= m.start < stop] == [a, b]
    return (True, "while") if alone and _TOGETHER.search(text, start, stop) else None
