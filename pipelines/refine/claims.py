"""What a caption claims of its clip, in the caption's own words: sounds, what they do, their order, and more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pipelines.refine.lexicon import ENVIRONMENTS, GENDER_CLASSES, SOUNDING, VERBS
from pipelines.refine.manners import Manner, counts, places, speakers
from pipelines.unify.names import Mention, NameIndex
from schemas.ontology import Ontology

Kind = Literal["source", "action", "attribute", "order", "count", "place", "speech"]
Relation = Literal["then", "while"]
Near = Callable[[str, Sequence[Mention]], Sequence[Mention]]
"""Finds sounds in a text whose names are not in the index, given those that are."""

AMBIGUOUS = "/t/dd00098"
"""AudioSet's heading of names such as "Hum" or "Rattle": how a thing sounds, not which thing it is."""
VOICE = "/m/09l8g"
SPEECH = "/m/09x0r"

_THEN = re.compile(r"\b(?:then|followed by|before|after(?:wards?| that| which| this)|later|next(?! to)|finally)\b")
_AFTER = re.compile(r"\b(?:after(?!wards?| that| which| this)|following|preceded by)\b")
_WHILE = re.compile(r"\b(?:while|whilst|as|along with|during|simultaneously|at the same time)\b")
_NOT_TIME = re.compile(r"\b(?:as \w+ as|as (?:well|if|though|part)|(?:such|just|same) as)\b")
_LEADING = re.compile(r"(?:^|[.!?;,]\s*)(?P<word>after|before|while|whilst|as|along with|during)\b[^.!?;,]*$")
_TOGETHER = re.compile(r"\b(?:simultaneously|at the same time|in unison)\b")
_END = re.compile(r"[.!?;]")
# What may stand between a source and a word for its sound: "a printer loudly whirs", "the rumble of thunder".
_OWN_SOUND = re.compile(r"\s+(?:(?:is|are|was|were|being|keeps?|\w+ly)\s+)*")
_SOUND_OF = re.compile(r"\s+(?:(?:of|from)\s+(?:an?\s+|the\s+|some\s+)?)?")
_ALSO = re.compile(r"(?:\s+(?:down|up|out|away))?\s*,?\s+and\s+(?:\w+ly\s+)?")
_DEED = re.compile(r"\s+(?:(?:is|are|was|were|being|can|be|keeps?|\w+ly)\s+)*(go(?:es|ing)? off|went off|[\w'-]+)")


@dataclass(frozen=True)
class Order:
    """The claim that one class is heard ``then`` another, or ``while`` another is."""

    first: str
    relation: Relation
    second: str
    text: str
    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class Claim:
    """One thing that a caption claims.

    Attributes:
        kind: what is claimed.
        text: the caption's own words, ``caption[start:end]``.
        start: first character.
        end: first character after it.
        class_id: the class that is claimed; None: none.
        value: of an action the verb, of an attribute the word, of a count the number, of a place its name, of what is said of a
            speaker ``gender:male``, ``emotion:sad`` or ``language:french``; else empty.
        of: class of the sound that does it or is like it; None: none is known.
        order: of an order, what it says.
    """

    kind: Kind
    text: str
    start: int
    end: int
    class_id: str | None = None
    value: str = ""
    of: str | None = None
    order: Order | None = None


@dataclass(frozen=True)
class Sound:
    """A sound that a caption speaks of: all its words with the class that they mean together, the thing, and what it does."""

    whole: Mention
    source: Mention
    actions: tuple[Mention, ...] = ()


def claims(text: str, index: NameIndex, near: Near | None = None) -> list[Claim]:
    """Return what a caption claims, but for its adjectives of measure (see ``qualities``), in the order of kinds.

    A sound is a source, and an action where the caption says what the source does: "dog" and "dog barks". A
    class is claimed once, by its first mention. Who speaks is claimed apart from that somebody does.
    """
    found = sounds(text, index, near)
    mentions = [sound.whole for sound in found]
    out = [*_sources(found, index.ontology), *_actions(text, found, index.ontology)]
    for order in orders(text, mentions):
        out.append(Claim("order", order.text, order.start, order.end, order=order))
    out += [_said(text, "count", manner) for manner in counts(text, mentions)]

    def named(name: str | None) -> str | None:
        match = index.lookup(name) if name else None
        return match.class_id if match else None

    for manner in places(text):
        out.append(_said(text, "place", manner, named(manner.class_name)))
    voices = [m for m in mentions if _under(VOICE, m.class_id, index.ontology)]
    for manner in speakers(text, voices):
        classes = GENDER_CLASSES.get(manner.value.removeprefix("gender:"))
        out.append(_said(text, "speech", manner, named(classes[0]) if classes else None))
    return out


def _said(text: str, kind: Kind, manner: Manner, class_id: str | None = None) -> Claim:
    return Claim(kind, text[manner.start : manner.end], manner.start, manner.end, class_id, manner.value, manner.of)


def _sources(found: Sequence[Sound], ontology: Ontology) -> Iterator[Claim]:
    seen = set()
    for sound in found:
        class_id = _anybody(sound.source.class_id, ontology)
        if class_id not in seen:
            seen.add(class_id)
            yield Claim("source", sound.source.phrase, sound.source.start, sound.source.end, class_id)


def _anybody(class_id: str, ontology: Ontology) -> str:
    """Return the class without who it is: a man's speech is speech."""
    node = ontology[class_id]
    gendered = any(node.name in names for names in GENDER_CLASSES.values())
    return node.parents[0] if gendered and node.name != "Children playing" else class_id


def _actions(text: str, found: Sequence[Sound], ontology: Ontology) -> Iterator[Claim]:
    seen = set()
    for number, sound in enumerate(found):
        thing = sound.source
        verbs = list(sound.actions)
        deed = _DEED.match(text, sound.whole.end)
        taken = number + 1 < len(found) and deed is not None and found[number + 1].whole.start < deed.end(1)
        if deed and deed[1].lower() in VERBS and not taken:
            verbs.append(Mention(thing.class_id, deed[1], deed.start(1), deed.end(1)))
        for said in verbs:
            # "Birds sing" claims no singer, and "a siren wails" no more than a siren.
            own = said.class_id != thing.class_id and ontology.conflict(said.class_id, thing.class_id)
            last = said.phrase.lower().split()[-1]
            verb = VERBS.get(said.phrase.lower()) or VERBS.get(last, last)
            if (verb, thing.class_id) not in seen:
                seen.add((verb, thing.class_id))
                start, end = min(thing.start, said.start), max(thing.end, said.end)
                class_id = said.class_id if own else None
                yield Claim("action", text[start:end], start, end, class_id, verb, _anybody(thing.class_id, ontology))


def sources(text: str, index: NameIndex, near: Near | None = None) -> list[Mention]:
    """Return the sounds that a caption speaks of, in text order, each with all its words and the class that they mean together."""
    return [sound.whole for sound in sounds(text, index, near)]


def sounds(text: str, index: NameIndex, near: Near | None = None) -> list[Sound]:
    """Return the sounds that a caption speaks of, in text order.

    Two names that stand together are one sound where one is a kind of the other ("a cat meows", "the reversing
    beeps of a truck"), or where one merely says how the other sounds ("a fan whirs", "a humming fan", "thunder
    booms"). Alone, such a name is a sound like any other ("a hum"). A class that says where is a place, not a sound.
    """
    mentions: Iterable[Mention] = index.tags_in_text(text)
    if near is not None:
        mentions = sorted([*mentions, *near(text, list(mentions))], key=lambda m: m.start)
    out: list[Sound] = []
    for mention in mentions:
        if index.ontology[mention.class_id].name in ENVIRONMENTS:
            continue
        sound = _parted(mention, index)
        joint = _joint(out[-1], sound, text, index.ontology) if out else None
        if joint is not None:
            out.pop()
        out.append(joint or sound)
    return out


def _parted(mention: Mention, index: NameIndex) -> Sound:
    """Return a name that holds a source and its verb, such as "dog barks", in its two parts."""
    words = list(re.finditer(r"\S+", mention.phrase))
    if len(words) < 2 or words[-1][0].lower() not in VERBS:
        return Sound(mention, mention)
    head = mention.phrase[: words[-2].end()]
    known = index.tags_in_text(head)
    if not known or not _is_kind(mention.class_id, known[0].class_id, index.ontology):
        return Sound(mention, mention)
    source = Mention(known[0].class_id, head[: known[0].end], mention.start, mention.start + known[0].end)
    start = mention.start + words[-1].start()
    return Sound(mention, source, (Mention(mention.class_id, words[-1][0], start, mention.end),))


def _is_kind(class_id: str, of: str, ontology: Ontology) -> bool:
    return class_id == of or _under(of, class_id, ontology)


def _under(heading: str, class_id: str, ontology: Ontology) -> bool:
    return bool(ontology.descendants(heading) >> ontology.index(class_id) & 1)


def _joint(a: Sound, b: Sound, text: str, ontology: Ontology) -> Sound | None:
    """Return two names as the one sound that they mean together, else None."""
    first, second = a.whole, b.whole
    between = text[first.end : second.start]
    own, of = _OWN_SOUND.fullmatch(between), _SOUND_OF.fullmatch(between)
    related = _related(first.class_id, second.class_id, ontology)
    how_a, how_b = (_is_manner(m, ontology) for m in (first, second))
    if _ALSO.fullmatch(between) and second.phrase.lower() in SOUNDING and _same_form(first.phrase, second.phrase):
        if ontology.conflict(a.source.class_id, second.class_id):
            return None  # "a dog howls and barks": two sounds of one dog
        whole = Mention(first.class_id, text[first.start : second.end], first.start, second.end)
        return Sound(whole, a.source, (*a.actions, second))
    if not (own or of):
        return None
    if related:
        a_is_source = related == "ancestor" or (related == "equal" and bool(own))
        class_id = second.class_id if related == "ancestor" else first.class_id
    elif own and how_b and not how_a:
        a_is_source, class_id = True, first.class_id
    elif of and how_a and not how_b:
        a_is_source, class_id = False, second.class_id
    else:
        return None
    whole = Mention(class_id, text[first.start : second.end], first.start, second.end)
    source, rest = (a, b) if a_is_source else (b, a)
    if not (_is_manner(rest.source, ontology) or rest.source.phrase.lower().split()[-1] in VERBS):
        return Sound(whole, whole, (*a.actions, *b.actions))  # "jazz music", "the horn of a car": two nouns
    actions = sorted([*a.actions, *b.actions, rest.source], key=lambda m: m.start)
    return Sound(whole, source.source, tuple(actions))


def _related(a: str, b: str, ontology: Ontology) -> str | None:
    """Return what class ``a`` is to class ``b`` where one is a kind of the other, also across a heading: jazz music is music."""
    if related := ontology.conflict(a, b):
        return related
    return "ancestor" if _under(a, b, ontology) else "descendant" if _under(b, a, ontology) else None


def _same_form(one: str, other: str) -> bool:
    """Say whether two phrases end in verbs of one form: "chirping and singing", "barks and whines"."""
    last = [words.lower().split()[-1] for words in (one, other)]
    endings = [next((end for end in ("ing", "ed", "s") if word.endswith(end)), "") for word in last]
    return last[0] in VERBS and endings[0] == endings[1]


def _is_manner(mention: Mention, ontology: Ontology) -> bool:
    """Say whether a name tells how a thing sounds: a source-ambiguous class, or a verb of sounding."""
    return _under(AMBIGUOUS, mention.class_id, ontology) or mention.phrase.lower() in SOUNDING


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
            out.append(Order(first.class_id, relation, second.class_id, text[a.start : b.end], a.start, b.end))
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
