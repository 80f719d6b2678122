"""Names to classes: which class of the ontology a label means, and which classes a text mentions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Literal, get_args

from schemas.errors import UserError
from schemas.ids import fingerprint
from schemas.ontology import Ontology, configs_dir, default_ontology, read_table

Origin = Literal["mid", "curated", "name", "part", "alias"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)
Words = tuple[str, ...]
Near = Callable[[str], str | None]
"""Returns the class of a word, in lower case, that no phrase holds; None: it names none."""

CONFIDENCE: dict[Origin, float] = {"mid": 1.0, "curated": 0.98, "name": 0.98, "part": 0.9, "alias": 0.8}
"""Confidence in ``(0, 1]`` of a match, by how it was found: a declared prior, not a measured precision."""

_TOKEN = re.compile(r"[a-z0-9]+(?:['’][a-z]+)?|[,.;:!?]", re.IGNORECASE | re.ASCII)
_COMMA = re.compile(r",(?![^(]*\))")
_PLURALS = {
    "calf": "calves", "child": "children", "foot": "feet", "gentleman": "gentlemen", "goose": "geese",
    "knife": "knives", "leaf": "leaves", "man": "men", "mouse": "mice", "ox": "oxen", "person": "people",
    "sheep": "sheep", "tooth": "teeth", "wolf": "wolves", "woman": "women",
}  # fmt: skip
_SINGULARS = {plural: word for word, plural in _PLURALS.items()}
_NOT_PLURAL = frozenset({"blues", "christmas", "gas"})
_PASTS = {
    "beat": "beaten", "blow": "blew", "break": "broke", "drive": "drove", "fall": "fell", "give": "gave",
    "ring": "rang", "run": "ran", "shoot": "shot", "sing": "sang", "speak": "spoke", "sweep": "swept",
    "weep": "wept", "write": "wrote",
}  # fmt: skip

# Words that may stand inside a phrase and change nothing: "a dog is barking" holds "dog barking".
_FILLERS = frozenset(
    {"a", "an", "the", "is", "are", "was", "were", "be", "been", "being", "has", "have", "had"}
    | {"his", "her", "their", "its", "some"}
)
_NEGATORS = frozenset(
    {"no", "not", "without", "never", "neither", "nor", "cannot", "lack", "lacks", "lacking"} | {"absence", "devoid"}
)
_NEGATION_ENDS = frozenset(
    {"but", "except", "besides", "only", "just", "while", "as", "then", "before", "after", "with", "over"}
)
_NEGATION_REACH = 3
"""Words between a negator and what it negates: "no other audible speech" has two."""
_LINK = re.compile(r"\s*,?\s*(or|nor|and)\s+(?:any\s+|other\s+)*|\s*,\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Match:
    """The class that a name means."""

    class_id: str
    origin: Origin
    confidence: float
    also: tuple[str, ...] = ()
    """Further classes under the one name, as for DESED's ``Electric_shaver_toothbrush``."""


@dataclass(frozen=True)
class Mention:
    """A class that a text speaks of, where ``text[start:end] == phrase``."""

    class_id: str
    phrase: str
    start: int
    end: int
    nearly: bool = False
    """No phrase of ours says it; the word means nearly the same as one that does."""


def normalise(name: str) -> str:
    """Return the form in which names are compared: lower-case singular words, one space between them.

    Underscores, punctuation, "and", "etc" and the possessive "'s" are dropped, so ``Chirp_and_tweet`` equals
    "Chirp, tweet". Only the plural is undone: "Hum" and "Humming" are two classes.
    """
    words = re.findall(r"[^\W_]+", re.sub(r"'s\b", "", name.lower()))
    return " ".join(_singular(word) for word in words if word not in {"and", "etc"})


@dataclass(frozen=True)
class NameIndex:
    """Every way to name a class that Earloom knows, compiled for look-up."""

    ontology: Ontology
    curated: dict[str, dict[str, tuple[str, ...]]]
    """Per dataset, its label names (normalised) and the classes that we chose for them."""
    names: dict[str, str]
    parts: dict[str, str]
    phrases: dict[Words, str | None]
    """Phrases of running text, in every inflection; None for a phrase that names no sound."""
    longest: dict[str, int]
    """Words in the longest phrase that begins with this word."""

    def lookup(self, name_or_mid: str, dataset: str | None = None) -> Match | None:
        """Return the class of a label or keyword, or None where no rule knows it.

        The rules, in order: a class_id as it is (``mid``), the curated table of ``dataset`` (``curated``),
        the name of a class (``name``), one of the comma-separated parts of a name (``part``), a phrase of
        ours or an inflected name (``alias``). A name or part that two classes share matches neither.

        Measured on FSD50K's vocabulary with its MIDs hidden and no curated table: all 200 names match, all to
        the MID that FSD50K gives.
        """
        if name_or_mid in self.ontology:
            return Match(name_or_mid, "mid", CONFIDENCE["mid"])
        key = normalise(name_or_mid)
        if dataset in self.curated and key in self.curated[dataset]:
            first, *also = self.curated[dataset][key]
            return Match(first, "curated", CONFIDENCE["curated"], tuple(also))
        if class_id := self.names.get(key):
            return Match(class_id, "name", CONFIDENCE["name"])
        if class_id := self.parts.get(key):
            return Match(class_id, "part", CONFIDENCE["part"])
        if class_id := self.phrases.get(_phrase(name_or_mid)):
            return Match(class_id, "alias", CONFIDENCE["alias"])
        return None

    def tags_in_text(self, text: str, near: Near | None = None) -> list[Mention]:
        """Return the classes that an English text mentions, in text order, without overlap.

        The longest phrase wins ("police car siren" is no car), inflections count ("dogs", "ticking"), and
        what the text denies ("no speech", "without music or singing") is not mentioned. A word that no phrase holds is
        asked of ``near``.

        Measured on the 4,820 captions of AudioSep's AudioCaps list (964 clips, five captions each) against
        the clips' AudioSet labels, where two classes agree if they conflict in the ontology's sense: 52.7% of
        the mentions agree with a label, 71.6% of the labels with a mention. Both bound what is right from
        below: labels leave out much that is heard (none of 105 "footsteps" is labelled), captions leave out
        much that is labelled (rooms, the vehicle around an engine). 87.3% of the mentions agree with a label
        or with a mention in another caption of the clip.
        """
        tokens, words = _tokenise(text)
        found: list[tuple[Mention, bool]] = []
        i = free = 0
        while i < len(words):
            for n in range(min(self.longest.get(words[i], 0), len(words) - i), 0, -1):
                if words[i : i + n] in self.phrases:
                    class_id = self.phrases[words[i : i + n]]
                    if class_id is not None:
                        start, end = tokens[i].start(), tokens[i + n - 1].end()
                        denied = _denied(words[free:i])
                        found.append((Mention(class_id, text[start:end], start, end), denied))
                        free = i + n
                    i += n
                    break
            else:
                if near is not None and words[i][0].isalpha() and (close := near(words[i])) is not None:
                    start, end = tokens[i].span()
                    found.append((Mention(close, text[start:end], start, end, nearly=True), _denied(words[free:i])))
                    free = i + 1
                i += 1
        return list(_affirmed(text, found))


def load_name_index(ontology: Ontology, labels_dir: Path) -> NameIndex:
    """Compile the tables of ``labels_dir``.

    Raises KeyError where a table names a class that the ontology lacks, UserError where two rows give one
    phrase to two classes.
    """
    curated = {}
    for path in sorted(labels_dir.glob("*.csv")):
        rows = read_table(path)
        if rows and rows[0].keys() == {"name", "class_ids", "why"}:
            curated[path.stem] = {normalise(row["name"]): tuple(row["class_ids"].split()) for row in rows}
            ontology.bits(class_id for class_ids in curated[path.stem].values() for class_id in class_ids)

    concrete = [node for node in ontology.classes if not node.abstract]
    names = _owned_by_one((node.name, node.class_id) for node in ontology.classes if node.abstract)
    names |= _owned_by_one((node.name, node.class_id) for node in concrete)
    parts = _owned_by_one(
        (part, node.class_id) for node in concrete for part in _COMMA.split(node.name) if part != node.name
    )
    parts = {key: class_id for key, class_id in parts.items() if key not in names}

    phrases: dict[Words, str | None] = {}
    for row in read_table(labels_dir / "aliases.csv") + read_table(labels_dir / "not_in_text.csv"):
        class_id = row.get("class_id")
        if class_id is not None:
            ontology.index(class_id)
        for words in _inflections(row["phrase"], row["form"]):
            if phrases.setdefault(words, class_id) != class_id:
                raise UserError(f"aliases.csv, not_in_text.csv: {' '.join(words)!r} is given two meanings")
    for node in concrete:
        for name in [] if node.blacklist else {node.name, *_COMMA.split(node.name)}:
            key = normalise(name)
            if names.get(key, parts.get(key)) == node.class_id:
                for words in _inflections(name, "noun"):
                    phrases.setdefault(words, node.class_id)

    longest: dict[str, int] = defaultdict(int)
    for words in phrases:
        longest[words[0]] = max(longest[words[0]], len(words))
    return NameIndex(ontology, curated, names, parts, phrases, dict(longest))


@cache
def default_index() -> NameIndex:
    """Return the index of ``configs/labels``, compiled once per process."""
    return load_name_index(default_ontology(), configs_dir() / "labels")


def tags_in_text(text: str) -> list[Mention]:
    """Return what `NameIndex.tags_in_text` of the default index finds."""
    return default_index().tags_in_text(text)


@cache
def class_names() -> dict[str, str]:
    """Return what classes are called, in lower case -> class_id: names, their parts, and our phrases, each as it is written."""
    index = default_index()
    usable = [node for node in index.ontology.classes if not (node.abstract or node.blacklist)]
    aliases = read_table(configs_dir() / "labels" / "aliases.csv")
    found = {row["phrase"].lower(): row["class_id"] for row in aliases}
    return found | {
        name.strip().lower(): node.class_id for node in usable for name in (*_COMMA.split(node.name), node.name)
    }


@cache
def labels_revision() -> str:
    """Return the hash of all tables of ``configs/labels``."""
    tables = {path.name: path.read_text(encoding="utf-8") for path in sorted((configs_dir() / "labels").glob("*.csv"))}
    return fingerprint(tables)


def _owned_by_one(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return normalised name -> class_id, without the names that several classes claim."""
    owners: dict[str, set[str]] = defaultdict(set)
    for name, class_id in names:
        owners[normalise(name)].add(class_id)
    return {name: min(ids) for name, ids in owners.items() if name and len(ids) == 1}


def _tokenise(text: str) -> tuple[list[re.Match[str]], Words]:
    """Return the tokens of a text without its fillers, and the same in lower case without possessives."""
    tokens = [token for token in _TOKEN.finditer(text) if token[0].lower() not in _FILLERS]
    return tokens, tuple(re.sub("['’]s$", "", token[0].lower()) for token in tokens)


def _phrase(text: str) -> Words:
    return _tokenise(text.replace("_", " "))[1]


def _inflections(phrase: str, form: str) -> Iterator[Words]:
    """Yield a phrase in every number (form ``noun``), also tense (``verb``), or as it is (``fixed``)."""
    inflect = {"noun": _numbers, "verb": _tenses, "fixed": lambda word: {word}}[form]
    return product(*(inflect(word) for word in _phrase(phrase)))


def _singular(word: str) -> str:
    if word in _SINGULARS:
        return _SINGULARS[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")) or word in _NOT_PLURAL:
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("ches", "shes", "sses", "xes", "zzes")) else word[:-1]


def _plural(word: str) -> str:
    if word in _PLURALS:
        return _PLURALS[word]
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")


def _numbers(word: str) -> set[str]:
    return {word, _singular(word), _plural(word)}


def _tenses(word: str) -> set[str]:
    """Return the forms of a word that may be a noun or a verb: bark, barks, barking, barked."""
    if re.fullmatch("[^aeiou]*[aeiou][^aeiouwxy]", word):
        stem = word + word[-1]
    else:
        stem = word[:-1] if word.endswith("e") and not word.endswith("ee") else word
    past = re.sub("[^aeiou]y$", lambda m: m[0][0] + "i", stem) + "ed"
    return _numbers(word) | {stem + "ing", past, _PASTS.get(word, word)}


def _denied(before: Words) -> bool:
    """Say whether a negator among the words since the last mention reaches the next."""
    for word in before[: -_NEGATION_REACH - 2 : -1]:
        if word in _NEGATION_ENDS or not word[0].isalnum():
            return False
        if word in _NEGATORS or word.endswith(("n't", "n’t")):
            return True
    return False


def _affirmed(text: str, found: list[tuple[Mention, bool]]) -> Iterator[Mention]:
    """Yield the mentions that are not denied; a denied one takes its list along ("no a, b or c")."""
    denied_to = -1
    for k, (mention, denied) in enumerate(found):
        if denied:
            denied_to = max(denied_to, _end_of_list(text, found, k))
        if k > denied_to:
            yield mention


def _end_of_list(text: str, found: list[tuple[Mention, bool]], first: int) -> int:
    """Return the last item of the list that begins with the mention ``first``."""
    last = first
    for k in range(first + 1, len(found)):
        link = _LINK.fullmatch(text, found[k - 1][0].end, found[k][0].start)
        if link is None:
            break
        # A comma alone proves no list, and after a comma "and" may begin something new.
        if link[1] and (link[1].lower() != "and" or k == first + 1):
            last = k
    return last
