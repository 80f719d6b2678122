"""The grammar captioner: English sentences from classes, timed events and facts, and from nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from pipelines.describe.order import Event, arrange, merge
from pipelines.describe.phrases import Expression, Phrases, Rule, with_article
from schemas.ontology import Ontology

STYLES = ("short", "detailed", "temporal")
SHORT = 10
"""Most words of the style ``short``."""
MOST = 3
"""Most sounds that one sentence names."""

_NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_HEARD = ("is heard", "are heard")

Option = tuple[str, tuple[Rule, ...]]
"""A text without capital and full stop, and the rules that make it true."""


@dataclass(frozen=True)
class Sentence:
    """A sentence and what it rests on."""

    text: str
    classes: tuple[str, ...]
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Sound:
    """What a sentence says of one source: a noun, verbs to choose from, and the classes that say so."""

    noun: str
    verbs: tuple[str, ...]
    classes: tuple[str, ...]

    def clause(self, verb: str, adverb: str = "") -> str:
        """Return ``a siren wails``; a single verb goes before its adverb, a longer one after it."""
        words = [adverb, verb] if " " in verb else [verb, adverb]
        return " ".join(filter(None, [self.noun, *words]))

    def nominal(self, verb: str) -> str:
        """Return ``a siren wailing``; what is merely heard is the noun alone."""
        return self.noun if verb in _HEARD else f"{self.noun} {gerund(verb)}"


def captions_for(
    classes: Sequence[str],
    events: Sequence[Event],
    facts: dict[str, float],
    style: str,
    rng: np.random.Generator,
    phrases: Phrases,
    ontology: Ontology,
) -> Sentence | None:
    """Return a sentence in one of :data:`STYLES`, or None where what is known does not carry one.

    Only the most specific classes are said. The style ``short`` names up to three in at most ten words,
    ``detailed`` adds facts, ``temporal`` says the order that the events' intervals support and needs two
    sounds with times. Without a class, facts alone are described. No pair of words stands twice.

    Args:
        classes: class_ids, those to be said first in front; repetitions do no harm.
        events: intervals of classes, in seconds.
        facts: known values by name, as in ``taggers.descriptors.FACTS`` and ``grounds.DERIVED``.
        style: one of :data:`STYLES`.
        rng: draws among the sentences that are equally true.
        phrases: the words.
        ontology: what is an ancestor of what.

    """
    if style == "temporal":
        return _temporal(events, rng, phrases, ontology)
    sounds = _sounds(most_specific(classes, ontology), phrases)
    if not sounds:
        return _nameless(facts, style, rng, phrases)
    return _short(sounds, rng, phrases) if style == "short" else _detailed(sounds, facts, rng, phrases)


def most_specific(classes: Iterable[str], ontology: Ontology) -> list[str]:
    """Return the classes that are no ancestor of another one, each once, in order."""
    unique = list(dict.fromkeys(classes))
    above = 0
    for class_id in unique:
        above |= ontology.ancestors(class_id)
    return [class_id for class_id in unique if not above >> ontology.index(class_id) & 1]


def gerund(verb: str) -> str:
    """Return a finite verb phrase as a participle: "hums" -> "humming", "is struck" -> "being struck"."""
    return " ".join(_gerund(part) for part in re.split(r" (and|or) ", verb))


def _gerund(part: str) -> str:
    first, _, rest = part.partition(" ")
    if part in ("and", "or"):
        return part
    if first in ("is", "are"):
        return rest if rest.endswith("ing") else f"being {rest}"
    stem = first
    if re.search(r"(?:ch|sh|ss|x|zz|o)es$", stem):
        stem = stem[:-2]
    elif stem.endswith("ies"):
        stem = stem[:-3] + "y"
    elif stem.endswith("s") and not stem.endswith("ss"):
        stem = stem[:-1]
    if re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", stem):
        stem += stem[-1]
    elif stem.endswith("e") and not stem.endswith("ee"):
        stem = stem[:-1]
    return f"{stem}ing {rest}".strip()


def reads_well(text: str) -> bool:
    """Say whether no pair of words occurs twice, and no word directly after itself."""
    words = re.findall(r"[\w'-]+", text.lower())
    pairs = list(pairwise(words))
    return len(set(pairs)) == len(pairs) and all(a != b for a, b in pairs)


def _sounds(classes: Iterable[str], phrases: Phrases) -> list[Sound]:
    """Return the classes as sounds; those with the same noun are one: "a dog barks and whimpers"."""
    nouns: dict[str, list[str]] = {}
    for class_id in classes:
        nouns.setdefault(phrases.words[class_id].noun, []).append(class_id)
    sounds = []
    for noun, ids in nouns.items():
        choices = list(dict.fromkeys(phrases.words[class_id].verbs for class_id in ids))
        firsts = dict.fromkeys(verbs[0] for verbs in choices if verbs[0] not in _HEARD) or {choices[0][0]: None}
        verbs = choices[0] if len(choices) == 1 else (" and ".join(firsts),)
        sounds.append(Sound(noun, verbs, tuple(ids)))
    return sounds


def _fill(patterns: Iterable[str], sounds: Sequence[Sound]) -> list[str]:
    """Return every pattern with every choice of verbs."""
    texts = []
    for pattern, verbs in product(patterns, product(*(sound.verbs for sound in sounds))):
        said: dict[str, str] = {}
        for letter, sound, verb in zip("abc", sounds, verbs, strict=False):
            said |= {letter: sound.clause(verb), letter.upper(): sound.nominal(verb)}
        texts.append(pattern.format(**said))
    return texts


def _draw(
    options: Iterable[Option],
    sounds: Sequence[Sound],
    rng: np.random.Generator,
    most_words: int | None = None,
) -> Sentence | None:
    """Return one of the texts that read well, as a sentence that rests on its rules; None where none does."""
    good = {text: rules for text, rules in options if reads_well(text)}
    texts = [text for text in good if most_words is None or len(text.split()) <= most_words]
    if not texts:
        return None
    text = texts[int(rng.integers(len(texts)))]
    classes = tuple(class_id for sound in sounds for class_id in sound.classes)
    facts = tuple(dict.fromkeys(name for rule in good[text] for name in rule.when))
    return Sentence(f"{text[0].upper()}{text[1:]}.", classes, facts)


def _short(sounds: list[Sound], rng: np.random.Generator, phrases: Phrases) -> Sentence | None:
    for n in range(min(len(sounds), MOST), 0, -1):
        options = [(text, ()) for text in _fill(phrases.file.short[n - 1], sounds[:n])]
        if sentence := _draw(options, sounds[:n], rng, SHORT):
            return sentence
    return None


def _detailed(
    sounds: list[Sound], facts: dict[str, float], rng: np.random.Generator, phrases: Phrases
) -> Sentence | None:
    """One sound needs a fact beside it; several share what is true of the whole clip."""
    acoustics = phrases.file.acoustics
    if len(sounds) == 1:
        options = _qualified(sounds[0], acoustics.fitting(facts), facts, phrases)
        most = max(len(rules) for _, rules in options)
        return _draw([option for option in options if len(option[1]) == most > 0], sounds, rng)
    loudness, silence = (acoustics.first(group, facts) for group in ("loudness", "silence"))
    settings: list[Option] = [("", ())]
    if loudness and loudness.adjectives:
        where = [phrases.file.setting.format(adjectives=with_article(word)) for word in loudness.adjectives]
        settings = [(f" {words}", (loudness,)) for words in where]
    if silence and silence.ends:
        settings = [(f"{text}, {end}", (*rules, silence)) for text, rules in settings for end in silence.ends]
    for n in range(min(len(sounds), MOST), 1, -1):
        filled = _fill(phrases.file.detailed[n - 1], sounds[:n])
        options = [(text + tail, rules) for text in filled for tail, rules in settings]
        if sentence := _draw(options, sounds[:n], rng):
            return sentence
    return None


def _qualified(sound: Sound, rules: Sequence[Expression], facts: dict[str, float], phrases: Phrases) -> list[Option]:
    """Return what can be said of one sound by any choice of its expressions, with at most one adverb.

    Adverbs stand beside full verbs alone ("is faintly heard" is no English), spans only where something lasts.
    """
    seconds = number_word(round(facts.get("active_s", 0.0)))
    ways: list[list[tuple[str, str]]] = []
    for rule in rules:
        said = [("adverb", word) for word in rule.adverbs]
        said += [("tail", tail.format(seconds=seconds)) for tail in rule.tails]
        ways.append([*said, *(("end", end) for end in rule.ends), ("", "")])
    options: list[Option] = []
    for verb, chosen in product(sound.verbs, product(*ways)):
        punctual = not phrases.file.punctual.isdisjoint((sound.noun, verb))
        used = tuple(rule for rule, (kind, _) in zip(rules, chosen, strict=True) if kind)
        if punctual and any(rule in phrases.file.acoustics.span for rule in used):
            continue
        adverbs, tails, ends = ([text for kind, text in chosen if kind == k] for k in ("adverb", "tail", "end"))
        if len(adverbs) <= (not verb.startswith(("is ", "are "))):
            text = " ".join([sound.clause(verb, *adverbs), *tails])
            options.append((", ".join([text, *ends]), used))
    return options


def _nameless(facts: dict[str, float], style: str, rng: np.random.Generator, phrases: Phrases) -> Sentence | None:
    """Describe a sound without a name; the last shape, which fits anything, needs an adjective.

    Silence, of which there is no more to say, is left to the style ``short``.
    """
    shape = next((shape for shape in phrases.file.shapes if shape.fits(facts)), None)
    if shape is None:
        return None
    if shape.bare:
        return _draw([(noun, (shape,)) for noun in shape.nouns], (), rng) if style == "short" else None
    rules = [rule for rule in phrases.file.acoustics.fitting(facts) if rule.adjectives]
    rules = rules[:2] if style == "short" else rules
    if not rules and shape is phrases.file.shapes[-1]:
        return None
    options = []
    for noun, *adjectives in product(shape.nouns, *(rule.adjectives for rule in rules)):
        described = ", ".join([*adjectives, *shape.adjectives])
        text = with_article(f"{described} {noun}".strip())
        options.append((text if style == "short" else f"{text} is heard", (*rules, shape)))
    return _draw(options, (), rng)


def _temporal(
    events: Sequence[Event], rng: np.random.Generator, phrases: Phrases, ontology: Ontology
) -> Sentence | None:
    sounds = _sounds(most_specific((event.class_id for event in events), ontology), phrases)
    timed = [[(e.onset_s, e.offset_s) for e in events if e.class_id in sound.classes] for sound in sounds]
    arranged = arrange([merge(spans) for spans in timed])
    if arranged is None:
        return None
    pattern, places = arranged
    chosen = [sounds[i] for i in places]
    return _draw([(text, ()) for text in _fill(phrases.file.temporal[pattern], chosen)], chosen, rng)


def number_word(value: int) -> str:
    """Return a number in words up to twenty, else in digits."""
    return _NUMBERS[value] if value < len(_NUMBERS) else str(value)
