"""Captions made wrong in one place, and the grammar kept: a sound replaced, an order turned round, a sound added.

Whether the result is wrong depends on what the clip holds, and is the caller's to know; that it says what it is meant to say
is checked here, by reading it again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pipelines.describe.grammar import gerund
from pipelines.describe.phrases import Words
from pipelines.refine.claims import orders, sources
from pipelines.unify.names import Mention, NameIndex
from schemas.ontology import Ontology

Form = Literal["clause", "nominal", "noun"]
"""How a caption says a sound: "a dog barks", "a dog barking", "a dog"."""

ADDED = (
    "{text} and {sound}",
    "{text} along with {sound}",
    "{text}, followed by {sound}",
    "{text} with {sound} in the background",
)

_ARTICLE = re.compile(r"^(?:an?|the) ")
_HEARD = ("is heard", "are heard")
_TURNED = {"before": "after", "after": "before", "followed by": "preceded by", "preceded by": "followed by"}
_TURNS = re.compile(r"\b(followed by|preceded by|before|after(?!wards?| that| this| which))\b", re.IGNORECASE)
_LEADING = re.compile(r"(?:^|[.!?;,]\s*)(?P<word>after|before)\b[^.!?;,]*$", re.IGNORECASE)
_DETERMINERS = frozenset(
    {"a", "an", "the", "some", "several", "many", "multiple", "various", "few", "another", "one", "two", "three",
     "four", "five", "his", "her", "its", "their"}
)  # fmt: skip
_FUNCTION = frozenset(
    {"and", "or", "but", "while", "whilst", "as", "then", "when", "where", "with", "by", "of", "from", "after",
     "before", "over", "under", "in", "on", "at", "to", "into", "during", "near", "for", "amid", "against",
     "through", "across", "followed", "preceded", "first", "next", "later", "finally", "along", "like", "including"}
)  # fmt: skip
_COPULAS = frozenset({"is", "are", "was", "were", "be", "been", "being"})
_AGREEING = {word: pair for pair in (("is", "are"), ("was", "were"), ("has", "have")) for word in pair}
_WORD = re.compile(r"[\w'’-]+")
_STOP = re.compile(r"[.!?;,:]")


@dataclass(frozen=True)
class Wording:
    """What it takes to read sounds in captions, and to say others: names, the words of each class, and all finite verbs."""

    index: NameIndex
    words: Mapping[str, Words]
    verbs: frozenset[str]

    @classmethod
    def of(cls, index: NameIndex, words: Mapping[str, Words]) -> Wording:
        """Return the wording of the grammar's words; a verb is the first word of a verb phrase: ``barks``, ``wails``."""
        return cls(index, words, frozenset(verb.split()[0] for each in words.values() for verb in each.verbs))

    def form(self, mention: Mention) -> Form:
        """Return how a caption says its sound."""
        said = _WORD.findall(mention.phrase.lower())
        if _WORD.findall(_ARTICLE.sub("", self.words[mention.class_id].noun)) == said:
            return "noun"  # "reversing beeps", where "beeps" is no verb
        if not {"is", "are"}.isdisjoint(said) or any(self._finite(*pair) for pair in pairwise(said)):
            return "clause"
        return "nominal" if said[-1].endswith("ing") else "noun"

    def say(self, class_id: str, form: Form) -> str:
        """Return a class in words, its noun with its own article."""
        words = self.words[class_id]
        verb = words.verbs[0]
        if form == "noun" or (form == "nominal" and verb in _HEARD):
            return words.noun
        return f"{words.noun} {verb if form == 'clause' else gerund(verb)}"

    def plural(self, class_id: str) -> bool:
        """Say whether a class's noun is a plural."""
        return not self.words[class_id].verbs[0].split()[0].endswith("s")

    def mentions(self, found: Sequence[Mention], class_id: str) -> bool:
        """Say whether one of the mentions is of a class or of one that conflicts with it."""
        return any(self.index.ontology.conflict(each.class_id, class_id) is not None for each in found)

    def _finite(self, before: str, word: str) -> bool:
        """Say whether a word is a finite verb after another: "dog barks", "dogs bark", but not "kettle whistle"."""
        return word in self.verbs or (before.endswith("s") and (f"{word}s" in self.verbs or f"{word}es" in self.verbs))


def swapped(text: str, mention: Mention, class_id: str, wording: Wording) -> str | None:
    """Return a caption with one sound's words replaced by those of another class, None where that gives no such sentence.

    The noun goes with its article and at most one adjective, so that "a loud dog barks" becomes "a violin plays".

    Args:
        text: the caption.
        mention: the sound that goes, one of ``claims.sources``.
        class_id: the class that comes.
        wording: how to read and to say sounds.
    """
    start, form = _noun_phrase(text, mention), wording.form(mention)
    following = _WORD.match(text, mention.end + 1)
    if start is None or (form == "noun" and following and _kind(following[0]) == "determiner"):
        return None  # "metal objects rattle", "he slams his fist": what goes is no noun, but a verb
    rest = text[mention.end :]
    if form == "noun" and following and following[0] in _AGREEING:
        rest = f" {_AGREEING[following[0]][wording.plural(class_id)]}{text[following.end() :]}"
    made = _set(text[: mention.end] + rest, start, mention.end, wording.say(class_id, form))
    found = sources(made, wording.index)
    before, kept = (
        sum(each.class_id == mention.class_id for each in read) for read in (sources(text, wording.index), found)
    )
    return made if kept < before and wording.mentions(found, class_id) else None


def reversed_order(text: str, first: Mention, second: Mention, wording: Wording) -> str | None:
    """Return a caption that says of two sounds the other order in time, None where it says none or cannot be turned.

    "before" and "after", "followed by" and "preceded by" stand for one another; about "then" the two sounds change places
    if both are said in the same form.

    Args:
        text: the caption.
        first: one of two mentions that stand next to each other in the text.
        second: the other, later in the text.
        wording: how to read and to say sounds.
    """
    said = [order for order in orders(text, [first, second]) if order.relation == "then"]
    if not said:
        return None
    between = list(_TURNS.finditer(text, first.end, second.start))
    opening = _LEADING.search(text, 0, first.start)
    if len(between) == 1:
        made = _turn(text, between[0].start(), between[0].end())
    elif not between and opening and "," in text[first.end : second.start]:
        made = _turn(text, opening.start("word"), opening.end("word"))
    elif wording.form(first) == wording.form(second):
        made = _exchanged(text, first, second)
    else:
        made = text
    wanted, read = (said[0].second, said[0].first), orders(made, sources(made, wording.index))
    found = {(order.first, order.second) for order in read if order.relation == "then"}
    return made if wanted in found and wanted[::-1] not in found else None


def added(text: str, class_id: str, pattern: str, wording: Wording) -> str | None:
    """Return a caption with a sound appended, None where the result does not mention it.

    Args:
        text: the caption.
        class_id: the sound's class.
        pattern: one of :data:`ADDED`.
        wording: how to read and to say sounds.
    """
    bare = text.rstrip().rstrip(".!?").rstrip()
    end = text.rstrip()[len(bare) :].strip() or "."
    made = pattern.format(text=bare, sound=wording.say(class_id, "nominal")) + end
    return made if wording.mentions(sources(made, wording.index), class_id) else None


def absent(class_id: str, known: Collection[str], ontology: Ontology) -> bool:
    """Say whether a class is none of those that are known, above none and below none, also across headings."""
    own = ontology.bits([class_id])
    bits = ontology.bits(known)
    return not bits & (own | ontology.ancestors(class_id) | ontology.descendants(class_id))


def _noun_phrase(text: str, mention: Mention) -> int | None:
    """Return where the noun phrase that a mention ends begins, article included; None where that cannot be told."""
    begins = max((found.end() for found in _STOP.finditer(text, 0, mention.start)), default=0)
    before = list(_WORD.finditer(text, begins, mention.start))[::-1]
    kinds = [_kind(found[0]) for found in before]
    adjectives = int(kinds[:1] == ["content"])
    determiners = 0
    while kinds[adjectives + determiners : adjectives + determiners + 1] == ["determiner"]:
        determiners += 1
    taken = adjectives + determiners
    if not determiners and kinds[taken : taken + 1] not in ([], ["function"]):
        return None
    return before[taken - 1].start() if taken else mention.start


def _kind(word: str) -> str:
    lower = word.lower()
    kinds = (("determiner", _DETERMINERS), ("function", _FUNCTION), ("copula", _COPULAS))
    return next((kind for kind, words in kinds if lower in words), "content")


def _set(text: str, start: int, end: int, new: str) -> str:
    """Return a text with a stretch replaced, in capitals where a sentence begins."""
    if not text[:start].strip() or re.search(r"[.!?]\s*$", text[:start]):
        new = new[:1].upper() + new[1:]
    return text[:start] + new + text[end:]


def _turn(text: str, start: int, end: int) -> str:
    return _set(text, start, end, _TURNED[text[start:end].lower()])


def _exchanged(text: str, first: Mention, second: Mention) -> str:
    places = _noun_phrase(text, first), _noun_phrase(text, second)
    if places[0] is None or places[1] is None:
        return text
    one, other = text[places[0] : first.end], text[places[1] : second.end]
    return _set(_set(text, places[1], second.end, _lowered(one)), places[0], first.end, _lowered(other))


def _lowered(words: str) -> str:
    """Return words without the capital of a sentence's beginning; "MP3" and "UK" keep theirs."""
    return words if re.match(r"[A-Z][A-Z0-9]", words) else words[:1].lower() + words[1:]
