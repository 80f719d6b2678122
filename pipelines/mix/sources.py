"""The stage that says which clips may be mixed, and what is known to sound in each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.describe.phrases import Phrases, load_phrases, phrase_hash
from pipelines.listen.publisher import LISTENER as PUBLISHER
from pipelines.mix.conflict import specific
from pipelines.mix.naming import definite, phrase
from pipelines.mix.veto import CURVE, Sure, further, heard, span, sure
from pipelines.unify.names import tags_in_text
from pipelines.unify.stage import spaced
from schemas.ids import fingerprint
from schemas.ontology import SILENCE, configs_dir, default_ontology

TABLES = ("audioset_ontology.csv", "audioset_strong_extra.csv", "aliases.csv", "not_in_text.csv")
"""Label tables that the rows depend on, beside those that ``classes`` and ``heard`` were made by."""


@dataclass(frozen=True)
class Sources(Stage):
    """Stage ``sources``: clips, their classes, words and what is heard in them -> the clips that may be mixed.

    A clip is dropped with one of these reasons: ``not_served_before`` (an earlier stage rejected it), ``leaks_into_<split>``
    (its group stands in a split that is better protected), ``classes_unknown``, ``classes_partial`` (one label maps to no
    class, so that nothing can be promised), ``classes_inferred`` (unless ``inferred``), ``classes_silence`` (there is nothing
    to separate).

    Attributes:
        inferred: whether clips whose classes come from words or listeners alone may be mixed.
        heard: least calibrated probability, in (0, 1), with which a listener's class counts as present; None: none does.
        phrases: file of what instructions call a class, relative to ``configs/``.
        tags: whether a language model has read the captions; what it found there is said, beside what the rules find.
    """

    inferred: bool
    heard: float | None
    phrases: str
    tags: bool = False

    name = "sources"
    version = 3
    writes = "sources"
    whole = ("calibrations",)
    batch_rows = 512

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """Its tables; what a language model found in captions is read only where one was asked."""
        always = ("clips", "classes", "captions", "groups", "evidence", "heard", "calibrations")
        return (*always, "caption_tags") if self.tags else always

    def revisions(self) -> dict[str, str]:
        """The phrase file and the label tables, as hashes."""
        tables = {name: (configs_dir() / "labels" / name).read_text(encoding="utf-8") for name in TABLES}
        return {"phrases": phrase_hash(self.phrases), "labels": fingerprint(tables)}

    def check(self) -> None:
        """Raise UserError for a phrase file that is missing or malformed."""
        load_phrases(self.phrases)

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        classes, captions, groups, evidence, named = (
            batch.grouped(table, "clip_id") for table in ("classes", "captions", "groups", "evidence", "heard")
        )
        read = batch.grouped("caption_tags", "clip_id") if self.tags else {}
        phrases, result = load_phrases(self.phrases), Result()
        surely = sure(batch.sides["calibrations"].select(list(CURVE)).to_pylist(), self.heard)
        for clip in sorted(batch.rows.to_pylist(), key=lambda row: row["clip_id"]):
            clip_id = clip["clip_id"]
            known, decided, grouped = classes[clip_id], captions[clip_id], groups[clip_id]
            if not (known and decided and grouped and named[clip_id]):
                result.drops.append((clip_id, "not_served_before"))
                continue
            class_ids = own_classes(known, named[clip_id])
            reason = grouped[0]["withheld"] or self._barred(known[0]["state"], class_ids)
            if reason:
                result.drops.append((clip_id, reason))
                continue
            row = _placed(clip, grouped[0]) | {"state": known[0]["state"], "caption": _published(decided[0])}
            said = mentioned(evidence[clip_id]) | {tag["class_id"] for tag in read.get(clip_id, ())}
            row |= sounds(class_ids, said, evidence[clip_id], surely)
            result.rows.append(row | called(class_ids, phrases))
        return result

    def _barred(self, state: str, class_ids: list[str]) -> str | None:
        if class_ids == [SILENCE]:
            return "classes_silence"
        if state == "labelled" and not class_ids:
            return "classes_unknown"
        return None if state == "labelled" or (state == "inferred" and self.inferred) else f"classes_{state}"


def own_classes(known: Sequence[dict[str, Any]], named: Iterable[dict[str, Any]]) -> list[str]:
    """Return the classes of one clip's labels or, where it has none, all that are inferred, sorted.

    Args:
        known: its rows of ``classes``, at least one.
        named: its rows of ``heard``.
    """
    if known[0]["state"] == "inferred":
        return sorted({row["class_id"] for row in known})
    # `classes` gives each class one origin, so that a label of which a listener is surer is a label in `heard` alone.
    labels = {row["class_id"] for row in named if row["listener"] == PUBLISHER}
    return sorted(labels - {None})


def mentioned(evidence: Iterable[dict[str, Any]]) -> set[str]:
    """Return the classes that the publisher's captions and the uploader's keywords of one clip mention, by the rules.

    A keyword may speak of what is not in the clip. That costs a partner; one that is believed too little costs the promise.
    """
    own = [item for item in evidence if item["listener"] == PUBLISHER]
    texts = [item["text"] or "" for item in own if item["kind"] == "caption"]
    texts += [spaced(item["name"]) for item in own if item["kind"] == "keyword"]
    return {mention.class_id for text in texts for mention in tags_in_text(text)}


def sounds(class_ids: list[str], said: set[str], evidence: list[dict[str, Any]], surely: Sure) -> dict[str, Any]:
    """Return the columns of ``sources`` that say what sounds in a clip and when; Silence is only where it is labelled."""
    ontology = default_ontology()
    told = further(said - {SILENCE}, class_ids, ontology)
    onset_s, offset_s = span(evidence, surely, ontology)
    return {
        "class_ids": class_ids,
        "said_class_ids": told,
        "heard_class_ids": further(heard(evidence, surely, ontology), [*class_ids, *told], ontology),
        "onset_s": onset_s,
        "offset_s": offset_s,
    }


def called(class_ids: list[str], phrases: Phrases) -> dict[str, Any]:
    """Return the columns of ``sources`` that say what a clip is called; ``class_ids`` must not be empty."""
    ontology = default_ontology()
    told = specific(ontology, class_ids)
    names = [ontology[class_id].name for class_id in told]
    spoken = [definite(class_id, phrases, ontology) for class_id in told]
    return {"class_names": names, "label": phrase(names), "spoken": spoken}


def _published(caption: dict[str, Any]) -> str | None:
    # Ours may speak of level, length and silence, which a mixture changes.
    kept = caption["decision"] == "accepted" and caption["method"] == "published"
    return caption["caption"] if kept else None


def _placed(clip: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of ``sources`` that a clip has from where it comes and where it lies."""
    kept = ("clip_id", "recording_id", "dataset", "duration_s", "sample_rate", "sha256", "licence", "licence_text")
    place = ("attribution", "tar", "offset", "size")
    return {name: clip[name] for name in (*kept, *place)} | {"group_id": group["group_id"], "split": group["split"]}
