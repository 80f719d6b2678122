"""The query check: whether the words that ask for a source fit what sounds in it, and nothing that sounds in the others."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache, reduce
from operator import or_
from typing import Literal

from pipelines.unify.names import tags_in_text
from schemas.ontology import SILENCE, default_ontology

Verdict = Literal["matched", "unknown", "names_interferer", "names_other"]


def check_query(text: str, target_class_ids: Iterable[str], interferer_class_ids: Iterable[str]) -> Verdict:
    """Return whether an English query asks for a target, and for it alone.

    What a text names is found by the rules of `pipelines.unify.names`.

    Args:
        text: the query.
        target_class_ids: classes of the sources that are asked for; ids of the default ontology.
        interferer_class_ids: classes of everything else in the mixture.

    Returns:
        The first that applies. ``unknown``: the rules find no class in the text, and nothing can be said.
        ``names_interferer``: it names a class that conflicts with one of the interferers', as sources of a mixture may not
        (`schemas.ontology.Ontology.conflict`). ``names_other``: none of the classes that it names is a target's, above one
        or below one. ``matched``: one is.

    Raises:
        KeyError: a class that the ontology does not have.
    """
    ontology, said = default_ontology(), classes_in(text)
    if said and said & reduce(or_, map(ontology.related_mask, interferer_class_ids), 0):
        return "names_interferer"
    return fits(said, target_class_ids)


@lru_cache(maxsize=1 << 18)  # sets of mixtures that are made of the same clips ask for the same captions
def classes_in(text: str) -> int:
    """Return the classes that an English text names, silence left out, as bits of the default ontology; 0: the rules find none."""
    named = (mention.class_id for mention in tags_in_text(text))
    return default_ontology().bits(class_id for class_id in named if class_id != SILENCE)


def fits(said: int, class_ids: Iterable[str]) -> Literal["matched", "unknown", "names_other"]:
    """Return whether words that name the classes ``said`` (bits of the default ontology) speak of a clip with ``class_ids``."""
    if not said:
        return "unknown"
    return "matched" if said & reduce(or_, map(_kin, class_ids), 0) else "names_other"


@cache
def _kin(class_id: str) -> int:
    """Return a class with all above and below it.

    Here also those that it is joined to by an abstract heading alone: who says "music" of a clip of pop music speaks of it, though
    "Music" and "Pop music", which "Music genre" joins, do not conflict.
    """
    ontology = default_ontology()
    return ontology.bits([class_id]) | ontology.ancestors(class_id) | ontology.descendants(class_id)
