"""What a label means: by a person's review, by the tables, by nearly the same meaning, in this order; or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.unify.names import NameIndex
from pipelines.unify.near import Close, nearest

UNKNOWN, NO_SOUND, REVIEW, EMBEDDING = "none", "no_sound", "review", "embedding"
"""Origins of a meaning beside those of :class:`pipelines.unify.names.Match` and the stage that asks a model."""

Review = Mapping[tuple[str, str], tuple[str, ...]]
"""Dataset and name -> classes that a person chose, the main one first; none of them: it names no sound."""


@dataclass(frozen=True)
class Meaning:
    """What a label means.

    Attributes:
        class_ids: the main class first; empty: unknown, or no sound.
        origin: how it is known.
        confidence: in [0, 1], a declared prior, of an embedding the cosine; None: unknown.
        near: classes that lie nearest, of a name that no table knows, where embeddings are wanted.
    """

    class_ids: tuple[str, ...]
    origin: str
    confidence: float | None
    near: tuple[Close, ...] = ()


def meaning_of(name: Mapping[str, Any], index: NameIndex, review: Review, least: float | None) -> Meaning:
    """Return what a row of ``vocabulary`` means.

    A dataset's own table is the one called as the dataset is in the recipe, else the one called as its adapter is.

    Args:
        name: the row.
        index: the tables.
        review: what a person decided.
        least: cosine from which on the nearest class is taken; None: embeddings are not asked.
    """
    if (chosen := review.get((name["dataset"], name["name"]))) is not None:
        return Meaning(chosen, REVIEW if chosen else NO_SOUND, 1.0)
    table = name["dataset"] if name["dataset"] in index.curated else name["adapter"]
    match = index.lookup(name["published_id"] or name["name"], table) or index.lookup(name["name"], table)
    if match is not None:
        return Meaning((match.class_id, *match.also), match.origin, match.confidence)
    near = nearest(name["name"]) if least is not None else ()
    if least is not None and near and near[0].score >= least:
        return Meaning((near[0].class_id,), EMBEDDING, near[0].score, near)
    return Meaning((), UNKNOWN, None, near)
