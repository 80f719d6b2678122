"""The stage that says what each name means which datasets label their clips with, and how that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.unify import near
from pipelines.unify.categorise import NAME as ASKED
from pipelines.unify.meaning import NO_SOUND, UNKNOWN, Meaning, meaning_of
from pipelines.unify.names import default_index, labels_revision
from pipelines.unify.reviewed import read_review, review_digest

CATEGORISED = 0.7
"""A declared prior, not a measured precision: a language model says so."""


@dataclass(frozen=True)
class Names(Stage):
    """Stage ``names``: vocabulary -> what each name means; all of it in one small table, which later stages read whole.

    The first of these that applies: a person's review; the id that the publisher gives; the dataset's own table, the name or a
    part of the name of a class, a phrase of ours (:meth:`pipelines.unify.names.NameIndex.lookup`); the class whose name lies
    nearest by sentence embedding; what a language model says. Otherwise the name is unknown, which is a state: a clip that is
    labelled with it may hold a class that we cannot see.

    Args:
        embeddings: cosine from which on the nearest class is taken; None: embeddings are not asked.
        review: file of what a person decided, relative to ``data.root``; None: there is none.
        asked: whether the stage ``categorise`` asks a language model.
    """

    embeddings: float | None = None
    review: str | None = None
    asked: bool = False

    name = "names"
    writes = "names"
    key = out_key = "name_id"
    waits = True

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names, and what a language model says of them."""
        return ("vocabulary", *(["categories"] if self.asked else []))

    def revisions(self) -> dict[str, str]:
        """The tables, as one hash, and the model of sentences."""
        return {"labels": labels_revision()} | ({"sentences": near.revision()} if self.embeddings is not None else {})

    def check(self) -> None:
        """Raise UserError where the model of sentences is wanted and not installed."""
        _ = self.revisions()

    def sources(self, context: Context) -> str:
        """The digest of the review file; UserError where it cannot be used."""
        return review_digest(self.review, context.data_root)

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve all rows of ``vocabulary``."""
        review, index = read_review(self.review, context.data_root), default_index()
        told = batch.grouped("categories", "name_id") if self.asked else {}
        result = Result()
        for row in batch.rows.sort_by("name_id").to_pylist():
            meaning = meaning_of(row, index, review, self.embeddings)
            if meaning.origin == UNKNOWN and (said := told.get(row["name_id"])):
                class_ids = tuple(said[0]["class_ids"])
                meaning = Meaning(class_ids, ASKED if class_ids else NO_SOUND, CATEGORISED, meaning.near)
            result.rows.append(_row(row, meaning))
        return result


def _row(name: dict[str, Any], meaning: Meaning) -> dict[str, Any]:
    return {key: value for key, value in name.items() if key != "adapter"} | {
        "class_ids": list(meaning.class_ids),
        "origin": meaning.origin,
        "confidence": meaning.confidence,
        "near": [close._asdict() for close in meaning.near],
    }
