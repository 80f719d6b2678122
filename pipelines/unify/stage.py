"""The stage that says of every clip which classes of the ontology it holds, and how much is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.unify import near as sentences
from pipelines.unify.extract import NAME as EXTRACTED
from pipelines.unify.meaning import NO_SOUND, REVIEW, Meaning
from pipelines.unify.names import NameIndex, Near, default_index, labels_revision
from pipelines.unify.vocabulary import name_id
from schemas.ontology import default_ontology

KEYWORD, CAPTION = 0.5, 0.6
"""Declared priors, not measured ones: an uploader's keyword or a caption may speak of what is not in the clip."""

NEARLY = 0.2
"""Likewise of a word of a caption that only means nearly the same as a phrase: on AudioCaps about a fifth of them agree with a label."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Unify(Stage):
    """Stage ``unify``: evidence, and what names mean -> classes.

    The state of a clip says what may be concluded from its classes. ``labelled``: the publisher labelled it and every label
    has a class. ``partial``: one label has none, so that the clip may hold a class that we cannot see. ``inferred``: nobody
    labelled it; its classes come from keywords, captions or listeners. ``unknown``: nothing maps, one row without a class.
    A label that is known to name no sound is as if it were not there. A class that several say stands once, with the most
    confident origin.

    Args:
        embeddings: cosine from which on a word of a caption that no phrase knows is taken for the phrase that it means nearly
            the same as; None: it is passed over.
        tags: whether the stage ``extract_tags`` asks a language model about captions.
    """

    embeddings: float | None = None
    tags: bool = False

    name = "unify"
    version = 2
    writes = "classes"
    whole = ("names",)
    batch_rows = 512

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """Clips, what is said of them, and what the names in it mean."""
        return ("clips", "evidence", "names", *(["caption_tags"] if self.tags else []))

    def revisions(self) -> dict[str, str]:
        """The tables, as one hash, and the model of sentences."""
        own = {"labels": labels_revision()}
        return own | ({"sentences": sentences.revision()} if self.embeddings is not None else {})

    def check(self) -> None:
        """Raise UserError where the model of sentences is wanted and not installed."""
        _ = self.revisions()

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        evidence, index = batch.grouped("evidence", "clip_id"), default_index()
        names = batch.grouped("names", "name_id")
        told = batch.grouped("caption_tags", "clip_id") if self.tags else {}
        near = sentences.word_near(self.embeddings) if self.embeddings is not None else None
        result = Result()
        for clip in batch.rows.select(["clip_id", "dataset"]).to_pylist():
            key = clip["clip_id"]
            result.rows += classes_of(key, clip["dataset"], evidence[key], index, names, near, told.get(key, ()))
        return result


def spaced(keyword: str) -> str:
    """Return a keyword as running text: uploaders join words by hyphens and underscores."""
    return keyword.replace("_", " ").replace("-", " ")


def meant(item: Row, dataset: str, index: NameIndex, names: Mapping[str, Sequence[Row]]) -> Meaning | None:
    """Return what a label of a clip means; None: it is unknown.

    Args:
        item: a row of ``evidence`` of kind ``tag`` or ``event``, by the publisher.
        dataset: the clip's.
        index: the tables, for a name that ``names`` does not have.
        names: rows of ``names``, by ``name_id``.
    """
    row = next(iter(names.get(name_id(dataset, item["name"]), ())), None)
    # The id that stands with this very label goes before what its name means elsewhere, but not before a person's word.
    if row is not None and (row["origin"] in (REVIEW, NO_SOUND) or item["class_id"] not in index.ontology):
        known = bool(row["class_ids"]) or row["origin"] == NO_SOUND
        return Meaning(tuple(row["class_ids"]), row["origin"], row["confidence"]) if known else None
    match = index.lookup(item["class_id"] or item["name"], dataset) or index.lookup(item["name"], dataset)
    return None if match is None else Meaning((match.class_id, *match.also), match.origin, match.confidence)


def classes_of(
    clip_id: str,
    dataset: str,
    evidence: Sequence[Row],
    index: NameIndex,
    names: Mapping[str, Sequence[Row]] | None = None,
    near: Near | None = None,
    told: Sequence[Row] = (),
) -> list[Row]:
    """Return the rows of ``classes`` for one clip.

    Args:
        clip_id: the clip.
        dataset: its dataset.
        evidence: all its evidence, in order.
        index: the tables.
        names: rows of ``names``, by ``name_id``; None: labels are looked up in the tables alone.
        near: the class of a word of a caption that no phrase holds; None: such words are passed over.
        told: the clip's rows of ``caption_tags``.
    """
    ontology = default_ontology()
    best: dict[str, tuple[float, str]] = {}
    unmapped: list[str] = []
    labelled = False

    def note(class_id: str, confidence: float, origin: str) -> None:
        if class_id not in best or best[class_id][0] < confidence:
            best[class_id] = (confidence, origin)

    for item in evidence:
        kind, published = item["kind"], item["listener"] == "publisher"
        if kind in ("tag", "event") and published:
            meaning = meant(item, dataset, index, names or {})
            if meaning is None:
                unmapped.append(item["name"])
            elif meaning.origin != NO_SOUND:
                labelled = True
                for class_id in meaning.class_ids:
                    note(
                        class_id, meaning.confidence or 0.0, f"{'label' if kind == 'tag' else 'event'}:{meaning.origin}"
                    )
        elif kind in ("tag", "event") and item["class_id"] in ontology:
            note(item["class_id"], item["confidence"] or 0.0, item["listener"])
        elif kind == "keyword":
            for mention in index.tags_in_text(spaced(item["name"])):
                note(mention.class_id, KEYWORD, "keyword:alias")
        elif kind == "caption" and item["text"]:
            for mention in index.tags_in_text(item["text"], near):
                nearly = mention.nearly
                note(mention.class_id, NEARLY if nearly else CAPTION, f"caption:{'embedding' if nearly else 'alias'}")
    for tag in told:
        note(tag["class_id"], CAPTION, f"caption:{EXTRACTED}")
    state = "partial" if unmapped else "labelled" if labelled else "inferred" if best else "unknown"
    rows: list[tuple[str | None, str | None, str, float | None]] = [
        (class_id, ontology[class_id].name, origin, confidence)
        for class_id, (confidence, origin) in sorted(best.items())
    ]
    rows += [(None, name, "none", None) for name in sorted(set(unmapped))]
    return [
        {
            "clip_id": clip_id,
            "class_id": class_id,
            "class_name": name,
            "origin": origin,
            "confidence": confidence,
            "state": state,
        }
        for class_id, name, origin, confidence in rows or [(None, None, "none", None)]
    ]
