"""What classes are called in the words of a mixture: in a query, in an instruction, and where several sources share them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from pipelines.describe.grammar import gerund
from pipelines.describe.phrases import Phrases, load_phrases
from pipelines.unify.names import default_index
from schemas.ontology import Ontology, default_ontology


@cache
def word_of(class_name: str) -> str:
    """Return what a class is called in running text: ``Male speech, man speaking`` is ``male speech``, by its first name.

    It is in full where that means another class, or one of several: ``howl (wind)``, ``inside, small room``.
    """
    first = _first_name(class_name)
    if first in _ambiguous():
        meant = default_index().lookup(first)
        if meant is None or default_ontology()[meant.class_id].name != class_name:
            first = class_name
    return " ".join(_lower(word) for word in first.split())


def phrase(class_names: Iterable[str]) -> str:
    """Return class names as one phrase: ``dog and rain``, ``dog, rain and wind``."""
    return joined([word_of(name) for name in class_names])


def joined(words: Sequence[str]) -> str:
    """Return ``a``, ``a and b``, or ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def definite(class_id: str, phrases: Phrases, ontology: Ontology) -> str:
    """Return how an instruction calls a class: ``the siren``, ``the rain``, ``the dog barking``, ``the engine idling``.

    The words are those of the grammar captioner; what the source does is added where the noun alone holds none of the class's names
    whole: a baby that cries is not told from one that laughs by ``the baby``.
    """
    words, name = phrases.words[class_id], ontology[class_id].name
    noun = re.sub(r"^(the |some |an? )?(sounds? of )?(the |an? )?", "", words.noun)
    if _first_name(name).lower() in words.noun.lower() and _first_name(name).lower() not in noun.lower():
        noun = words.noun  # the article is the name's own: a capella
    told = any(_stems(each) <= _stems(noun) for each in re.sub(r"\s*\(.*?\)", "", name).split(","))
    acts = [verb for verb in words.verbs if not verb.endswith((" heard", "sounds"))]
    called = noun if noun in ("someone", "something") else f"the {noun}"
    return called if told or not acts else f"{called} {gerund(acts[0])}"


def _stems(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall("[a-z]+", text.lower())}


@cache
def keyword_of(class_ids: tuple[str, ...]) -> str:
    """Return the name of the narrowest of some classes: it is the name of none that is above another of them."""
    return word_of(default_ontology()[min(class_ids, key=_breadth)].name)


@cache
def noun_of(shared: int) -> str | None:
    """Return what sources are called that share these classes, without an article: ``dog``; None: there is no class.

    Args:
        shared: classes, as bits of the default ontology; the narrowest names the sources.
    """
    ontology = default_ontology()
    nodes = [node for node in map(ontology.__getitem__, ontology.class_ids(shared)) if not node.abstract]
    return word_of(min(nodes, key=lambda node: _breadth(node.class_id)).name) if nodes else None


@cache
def _breadth(class_id: str) -> tuple[int, int, str]:
    """Return a key by which the narrowest of several classes comes first: fewest below it, then most above it."""
    ontology = default_ontology()
    return ontology.descendants(class_id).bit_count(), -ontology.ancestors(class_id).bit_count(), class_id


@cache
def _ambiguous() -> frozenset[str]:
    """Return the first names that several classes have."""
    counts = Counter(_first_name(name) for name in {node.name for node in default_ontology().classes})
    return frozenset(name for name, count in counts.items() if count > 1)


def _first_name(class_name: str) -> str:
    return re.sub(r"\s*\(.*?\)", "", class_name).split(",")[0].strip()


def _lower(word: str) -> str:
    return word if word in _proper_nouns() or (word.isupper() and len(word) > 1) else word.lower()


@cache
def _proper_nouns() -> frozenset[str]:
    return frozenset(load_phrases("prompts/grammar.yaml").file.proper_nouns)
