"""The phrase file of the grammar captioner: read, checked, and compiled to words for every class."""

from __future__ import annotations

import hashlib
import re
import string
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipelines.describe.grounds import DERIVED
from schemas.errors import UserError
from schemas.ontology import Ontology, SoundClass, configs_dir, default_ontology
from taggers.descriptors import FACTS

PATTERNS = {
    "a>b": "ab",
    "a>b>c": "abc",
    "a+b": "ab",
    "a+b>c": "abc",
    "a>b+c": "abc",
    "a~b": "ab",
    "a>b~c": "abc",
}
"""Arrangements of the temporal style, each with the sounds that its sentences name."""

When = dict[str, tuple[float, float]]
Texts = Annotated[tuple[str, ...], Field(min_length=1)]
Counted = tuple[Texts, Texts, Texts]
"""Patterns for one, two and three sounds."""


class Part(BaseModel):
    """A part of the phrase file; what is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(Part):
    """A part that holds where each named fact is known and within its range, both ends included."""

    when: When

    @field_validator("when")
    @classmethod
    def _known(cls, value: When) -> When:
        for name, (low, high) in value.items():
            if name not in FACTS and name not in DERIVED:
                raise ValueError(f"no fact {name!r}; there are {', '.join([*FACTS, *DERIVED])}")
            if low > high:
                raise ValueError(f"{name}: the range [{low}, {high}] is empty")
        return value

    def fits(self, facts: dict[str, float]) -> bool:
        """Say whether the facts are known and in range."""
        return all(name in facts and low <= facts[name] <= high for name, (low, high) in self.when.items())


class Expression(Rule):
    """Words for one range of a fact."""

    adverbs: tuple[str, ...] = ()
    tails: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    adjectives: tuple[str, ...] = ()


class Acoustics(Part):
    """Groups of expressions; of each group the first that fits is said."""

    loudness: tuple[Expression, ...] = ()
    span: tuple[Expression, ...] = ()
    pitch: tuple[Expression, ...] = ()
    silence: tuple[Expression, ...] = ()

    def first(self, group: str, facts: dict[str, float]) -> Expression | None:
        """Return the first expression of a group that fits."""
        return next((rule for rule in getattr(self, group) if rule.fits(facts)), None)

    def fitting(self, facts: dict[str, float]) -> list[Expression]:
        """Return what fits, of each group in order."""
        found = (self.first(group, facts) for group in type(self).model_fields)
        return [rule for rule in found if rule is not None]


class Shape(Rule):
    """Nouns for a sound without a name; ``bare``: without article and adjectives."""

    nouns: Texts
    adjectives: tuple[str, ...] = ()
    bare: bool = False


class Family(Part):
    """Words that several classes share."""

    phrase: Texts
    classes: tuple[str, ...] = ()
    under: str | None = None


class PhraseFile(Part):
    """The file as written; its own comments say what each part means."""

    version: Literal[1]
    acoustics: Acoustics
    shapes: Annotated[tuple[Shape, ...], Field(min_length=1)]
    short: Counted
    detailed: Counted
    setting: str
    temporal: dict[str, Texts]
    proper_nouns: tuple[str, ...]
    punctual: frozenset[str]
    families: tuple[Family, ...]
    fallback: Texts
    classes: dict[str, Texts]


@dataclass(frozen=True)
class Words:
    """How a class is said: ``a siren`` and ``wails`` or ``blares``."""

    noun: str
    verbs: tuple[str, ...]


@dataclass(frozen=True)
class Phrases:
    """A phrase file with words for every class, and the sha256 of its bytes."""

    file: PhraseFile
    words: dict[str, Words]
    sha256: str


def phrase_path(name: str) -> Path:
    """Return the path of a file given relative to ``configs/``. Raises UserError where there is none."""
    path = configs_dir() / name
    if not path.is_file():
        raise UserError(f"describe.phrases: configs/ has no file {name!r}; the default is prompts/grammar.yaml")
    return path


def phrase_hash(name: str) -> str:
    """Return the sha256 of a phrase file."""
    return hashlib.sha256(phrase_path(name).read_bytes()).hexdigest()


@lru_cache(maxsize=4)
def load_phrases(name: str) -> Phrases:
    """Read a phrase file, given relative to ``configs/``, against the default ontology.

    Raises:
        UserError: in one line, the file, the key and what is wrong with it.

    """
    return parse_phrases(phrase_path(name).read_bytes(), name, default_ontology())


def parse_phrases(data: bytes, name: str, ontology: Ontology) -> Phrases:
    """Return the phrase file whose bytes are given; ``name`` is what errors call it."""
    try:
        raw = yaml.safe_load(data)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise UserError(f"phrase file {name}{line}: is not YAML ({getattr(error, 'problem', error)})") from None
    try:
        file = PhraseFile.model_validate(raw)
        words = _compile(file, ontology)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in problem["loc"])
        raise UserError(f"phrase file {name}: {key}: {problem['msg'].removeprefix('Value error, ')}") from None
    except ValueError as error:
        raise UserError(f"phrase file {name}: {error}") from None
    return Phrases(file, words, hashlib.sha256(data).hexdigest())


def article(words: str) -> str:
    """Return ``a`` or ``an``, by the sound of the first word: "an hour", "a ukulele", "an MP3"."""
    first = words.split()[0]
    if re.match(r"(?:[FHLMNRSX](?:[A-Z0-9]|$)|hour|honest|heir)", first):
        return "an"
    if re.match(r"(?:[Uu][kt][aeiou]|UK|[Uu]ni|[Uu]s[aeiu]|[Ee]u|[Oo]ne|[Oo]nce)", first):
        return "a"
    return "an" if first[0] in "aeiouAEIOU" else "a"


def with_article(words: str) -> str:
    """Return the words after ``a`` or ``an``."""
    return f"{article(words)} {words}"


def spoken_name(node: SoundClass, proper_nouns: tuple[str, ...]) -> str:
    """Return the first part of a class's name as running text: "Clapping, applause" -> "clapping"."""
    first = re.sub(r"\s*\(.*?\)", "", node.name).split(",")[0]
    return " ".join(word if word in proper_nouns else word.lower() for word in first.split())


def _compile(file: PhraseFile, ontology: Ontology) -> dict[str, Words]:
    _check_patterns(file)
    # Where an abstract and a concrete class share a name, the concrete one is meant.
    ids = {node.name: node.class_id for node in sorted(ontology.classes, key=lambda node: not node.abstract)}

    def named(key: str, name: str) -> str:
        if name not in ids:
            raise ValueError(f"{key}: no class of the ontology is named {name!r}")
        return ids[name]

    own = {named("classes", name): phrase for name, phrase in file.classes.items()}
    members = []
    for i, family in enumerate(file.families):
        bits = ontology.bits(named(f"families.{i}.classes", name) for name in family.classes)
        if family.under is not None:
            bits |= ontology.descendants(named(f"families.{i}.under", family.under))
        members.append((family.phrase, bits))
    words = {}
    for i, node in enumerate(ontology.classes):
        shared = next((phrase for phrase, bits in members if bits >> i & 1), file.fallback)
        words[node.class_id] = _words(own.get(node.class_id, shared), node, file.proper_nouns)
    said = {text for each in words.values() for text in (each.noun, *each.verbs)}
    if unsaid := sorted(file.punctual - said):
        raise ValueError(f"punctual: no class is said with {unsaid[0]!r}")
    return words


def _words(phrase: tuple[str, ...], node: SoundClass, proper_nouns: tuple[str, ...]) -> Words:
    name = spoken_name(node, proper_nouns)
    noun, *verbs = (text.format(name=name, genre=name.removesuffix(" music")) for text in phrase)
    if "{" in phrase[0]:
        noun = re.sub(r"\ba (\w.*)", lambda m: with_article(m[1]), noun)
    for indefinite, following in re.findall(r"\b(an?) (\S+)", noun):
        if indefinite != article(following):
            raise ValueError(f"classes.{node.name}: {noun!r}: {following!r} takes {article(following)!r}")
    return Words(noun, tuple(verbs) or ("is heard",))


def _check_patterns(file: PhraseFile) -> None:
    """Raise ValueError where a pattern has a placeholder that nothing fills, or lacks one of its sounds."""
    if wrong := sorted(file.temporal.keys() ^ PATTERNS.keys()):
        raise ValueError(f"temporal.{wrong[0]}: the keys must be {', '.join(PATTERNS)}")
    patterns = [(f"temporal.{key}", text, PATTERNS[key]) for key, texts in file.temporal.items() for text in texts]
    for style, counted in (("short", file.short), ("detailed", file.detailed)):
        patterns += [(style, text, "abc"[: n + 1]) for n, texts in enumerate(counted) for text in texts]
    for key, text, sounds in patterns:
        if sorted(field.lower() for field in _fields(key, text)) != list(sounds):
            raise ValueError(f"{key}: {text!r} must name each of {', '.join(sounds)} once, as {{a}} or {{A}}")
    rules = [(group, rule) for group, rules in file.acoustics for rule in rules]
    allowed = [(f"acoustics.{group}", tail, {"seconds"}) for group, rule in rules for tail in rule.tails]
    allowed += [(f"families.{i}", text, {"name", "genre"}) for i, f in enumerate(file.families) for text in f.phrase]
    allowed += [(f"classes.{key}", text, set()) for key, phrase in file.classes.items() for text in phrase]
    allowed += [("fallback", text, {"name", "genre"}) for text in file.fallback]
    for key, text, names in [("setting", file.setting, {"adjectives"}), *allowed]:
        if extra := set(_fields(key, text)) - names:
            raise ValueError(f"{key}: {text!r} has the placeholder {{{min(extra)}}}, which nothing fills here")


def _fields(key: str, text: str) -> list[str]:
    try:
        return [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(f"{key}: {text!r}: {error}") from None
