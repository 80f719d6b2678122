"""A caption without the clauses that evidence does not support: whole clauses and tails are left out, no word is put in but "and"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipelines.refine.lexicon import VERBS
from pipelines.refine.verdicts import Judged

Spans = Sequence[tuple[int, int]]

_JOINED = ("and then", "then", "and", "but")
_UNDER = ("while", "whilst", "as", "before", "after", "when")
"""Conjunctions whose clause can stand alone."""
_TAIL = ("with", "followed by", "along with")
_LINK = re.compile(rf"\s*,?\s+(?P<word>{'|'.join([*_JOINED, *_UNDER, *_TAIL])})\s+|\s*[,;]\s+", re.IGNORECASE)
_NO_LINK = re.compile(
    r"\bas (?:well(?: as)?|if|though|part|soon as|long as|\w+ as)\b|\b(?:such|just|same) as\b|\bover and over\b"
    r"|\b(?:again|on|up|back|in|on|more|louder|closer|faster|off) and (?:again|on|down|forth|out|off|more|louder|closer|faster)\b",
    re.IGNORECASE,
)
_OPENING = re.compile(rf"(?P<word>{'|'.join(_UNDER)})\s+(?=\w)", re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?]+[.!?]*\s*")
_AUXILIARY = re.compile(
    r"\b(?:is|are|was|were|can|could|has|have|had|does|do|keeps?|begins?|starts?|gets?|becomes?|makes?|goes|comes?)\b",
    re.IGNORECASE,
)
_BEFORE_NOUN = frozenset(
    {
        "a",
        "an",
        "the",
        "some",
        "of",
        "this",
        "that",
        "these",
        "those",
        "his",
        "her",
        "its",
        "their",
        "another",
        "one",
        "two",
    }
    | {
        "three",
        "four",
        "five",
        "several",
        "many",
        "in",
        "on",
        "at",
        "from",
        "by",
        "with",
        "no",
        "and",
        "or",
        "loud",
        "soft",
    }
    | {"faint", "distant", "high", "low", "deep", "short", "long", "first", "last", "single", "constant"}
)
_BACK = re.compile(r"\b(?:it|its|they|their|them|he|his|him|she|her|itself|themselves|which|who)\b", re.IGNORECASE)
_ASIDE = re.compile(
    r",\s*(?:at the same time|simultaneously|meanwhile|however|in the background|nearby)\s*,", re.IGNORECASE
)
_ADVERBIAL = re.compile(
    r"\w+ly|twice|once|thrice|(?:\w+ ){1,2}times|for about \w+ seconds|at a (?:high|low) pitch", re.IGNORECASE
)


@dataclass(frozen=True)
class _Part:
    """A stretch of a sentence and the word that links it to what stands before; ``finite``: it has a verb of its own."""

    link: str
    text: str
    start: int
    end: int
    finite: bool
    main: bool = False
    """Whether it is the main clause, after one that opens with its conjunction."""

    @property
    def word(self) -> str:
        """The link without comma, in lower case."""
        return self.link.strip(" ,;").lower()

    @property
    def leads(self) -> bool:
        """Whether it can begin a sentence: it does not begin with a verb whose subject stands before."""
        first = next((word for word in self.text.lower().split() if not word.endswith("ly")), "")
        return first not in VERBS and not first.endswith("ing") and not _AUXILIARY.match(self.text)


def without_unsupported(text: str, found: Iterable[Judged]) -> str | None:
    """Return a caption without its unsupported claims; see :func:`without`. The caption itself where it has none."""
    return without(
        text, [(each.claim.start, each.claim.end, each.claim.kind) for each in found if each.supported is False]
    )


def without(text: str, wrong: Iterable[tuple[int, int, str]]) -> str | None:
    """Return a caption without what is wrong in it, or None where nothing would be left or its grammar could not be kept.

    An adverb, a number of times and a place at the end of a clause go alone; of an order the later clause goes; of all else the
    clause, or the tail after "with" or "followed by", that holds it. What is linked by "and" goes only where it is a clause of its
    own, or a tail: of "a dog and a cat bark" nothing can go. Nothing goes to which a later pronoun points back.

    Args:
        text: the caption, in English.
        wrong: first character, first character after, and kind of each wrong claim.
    """
    small: list[tuple[int, int]] = []
    large: list[tuple[int, int]] = []
    for start, end, kind in wrong:
        alone = kind in ("attribute", "count", "place") and _can_go(text, start, end)
        where = (end - 1, end) if kind == "order" else (start, end)
        (small if alone else large).append(where)
    kept = []
    for sentence in _SENTENCE.finditer(text):
        shorter = _sentence(text, sentence.start(), sentence.end(), small, large)
        if shorter is None:
            return None
        kept.append(shorter)
    return " ".join(filter(None, kept)) or None


def _can_go(text: str, start: int, end: int) -> bool:
    """Say whether words can be left out of their clause: adverbials anywhere, a place where the clause ends."""
    if _ADVERBIAL.fullmatch(text, start, end):
        return True
    ends = re.match(r"\s*(?:[.,;!?]|$)", text[end:]) or _LINK.match(text, end)
    begins = re.match(
        r"(?:in|inside|into|at|on|near|along|through|throughout|down|across|outside|within|around|from)\b",
        text[start:end],
    )
    return bool(ends and begins and start > 0)


def _sentence(text: str, start: int, end: int, small: Spans, large: Spans) -> str | None:
    """Return a sentence without what is wrong in it: empty if nothing is left, None if it cannot be done."""
    body = text[start:end].strip()
    stop = body[len(body.rstrip(".!?")) :]
    first = start + len(text[start:end]) - len(text[start:end].lstrip())
    opening, parts = _parts(text, first, first + len(body) - len(stop))
    gone = [any(_meet(part, span) for span in large) for part in parts]
    if all(gone):
        return ""
    parts = [replace(part, text=_trimmed(part, small)) for part in parts]
    if not any(gone):
        return _joined(opening, parts) + stop
    if _ASIDE.search(body) or _hangs(parts, gone):
        return None
    kept = _linked(parts, gone)
    whole = not any(part.finite for part in parts)
    main = next((number for number, part in enumerate(parts) if part.main), None)
    head = kept[0]
    if gone[0]:
        opens = (
            opening
            if opening and main is not None and not gone[main] and head is not parts[main] and head.word == "and"
            else ""
        )
        if head.word in _TAIL or not head.leads or not (head.finite or whole):
            return None
        if any(_BACK.search(part.text) for part in kept):
            return None
        return _joined(opens, [replace(head, link=""), *kept[1:]]) + stop
    lost = gone.index(True)
    if any(_BACK.search(part.text) for part in parts[lost + 1 :] if part in kept):
        return None
    return _joined("" if opening and main is not None and gone[main] else opening, kept) + stop


def _stands(part: _Part) -> bool:
    """Say whether a part says the same without the clause before it: neither its verb nor its tail belongs there."""
    return part.finite or bool(re.search(r"\w{2,}ing\b", part.text)) if part.word in _TAIL else part.leads


def _hangs(parts: Sequence[_Part], gone: Sequence[bool]) -> bool:
    """Say whether something that stays needs the clause before it, which goes."""
    return any(
        lost and not next_lost and not _stands(part)
        for lost, next_lost, part in zip(gone, gone[1:], parts[1:], strict=False)
    )


def _meet(part: _Part, span: tuple[int, int]) -> bool:
    return part.start < span[1] and span[0] < part.end


def _parts(text: str, start: int, end: int) -> tuple[str, list[_Part]]:
    """Return the conjunction that opens a sentence, and its parts, those that cannot be parted put together."""
    masked = _NO_LINK.sub(lambda found: "x" * len(found[0]), text)
    opens = _OPENING.match(masked, start, end)
    opening, at = (text[opens.start() : opens.end()], opens.end()) if opens else ("", start)
    links = [found for found in _LINK.finditer(masked, at, end) if found.end() < end]
    bounds = [("", at), *((text[found.start() : found.end()], found.end()) for found in links)]
    stops = [*(found.start() for found in links), end]
    parts = [_Part(link, text[a:b], a, b, _finite(text[a:b])) for (link, a), b in zip(bounds, stops, strict=True)]
    commas = [number for number, part in enumerate(parts) if opening and number and not part.word]
    main = next((number for number in commas if parts[number].finite), commas[0] if commas else None)
    if main is not None:
        parts[main] = replace(parts[main], main=True)
    out: list[_Part] = []
    group: list[_Part] = []
    for part in [*parts, None]:
        if part is not None and (not group or (part.word in ("", "and") and not part.main)):
            group.append(part)
            continue
        out += _separable(group, text)
        group = [part] if part is not None else []
    return opening, out


def _separable(group: list[_Part], text: str) -> list[_Part]:
    """Return what commas and "and" link as it is, or as one where a verb serves several subjects: "a dog and a cat bark"."""
    if group[0].finite or not any(part.finite for part in group):
        return group
    first, last = group[0], group[-1]
    return [_Part(first.link, text[first.start : last.end], first.start, last.end, True, first.main)]


def _finite(clause: str) -> bool:
    """Say whether a clause seems to have a verb that is no participle: an auxiliary, or a verb that stands where nouns do not."""
    if _AUXILIARY.search(clause):
        return True
    words = re.findall(r"[\w'-]+", clause.lower())
    for before, word in zip(["", *words], words, strict=False):
        if word in VERBS and not word.endswith("ing") and before not in _BEFORE_NOUN:
            return True
    return False


def _trimmed(part: _Part, small: Spans) -> str:
    """Return the text of a part without the words that go alone."""
    text = part.text
    for start, end in sorted((span for span in small if _meet(part, span)), reverse=True):
        text = text[: start - part.start].rstrip() + text[end - part.start :]
    return text.strip()


def _linked(parts: Sequence[_Part], gone: Sequence[bool]) -> list[_Part]:
    """Return the parts that stay; one that "and" linked to what went takes over the link of that."""
    kept: list[_Part] = []
    link = None
    for part, lost in zip(parts, gone, strict=True):
        if lost:
            link = part.link if link is None or part.word not in ("", "and") else link
            continue
        inherits = link is not None and part.word in ("", "and") and link.strip(" ,;").lower() not in ("", *_JOINED)
        kept.append(replace(part, link=link) if inherits and link else part)
        link = None
    if len(kept) > 1 and kept[-1].link.strip() == "," and any(gone) and not any(part.word == "and" for part in kept):
        kept[-1] = replace(kept[-1], link=" and ")
    return kept


def _joined(opening: str, parts: Sequence[_Part]) -> str:
    text = opening + parts[0].text + "".join(part.link + part.text for part in parts[1:])
    return text[0].upper() + text[1:]
