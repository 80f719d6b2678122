"""The stage that proposes captions: those that were published, and those of the grammar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.describe.grammar import STYLES, Sentence, captions_for
from pipelines.describe.grounds import Facts, Ground, facts_of, grounds_of, same_words
from pipelines.describe.order import Event
from pipelines.describe.phrases import Phrases, load_phrases, phrase_hash
from pipelines.unify.names import default_index

MODEL = "grammar-2"
TRIES = 4
"""Draws per candidate asked for; a style whose sentences are fewer gives fewer candidates."""


@dataclass(frozen=True)
class Describe(Stage):
    """Stage ``describe``: evidence -> candidates.

    Every published caption is a candidate, if ``published``. Beside them the grammar writes up to ``candidates`` distinct
    sentences per style from labels, events and listeners' tags; from keywords where there is nothing better;
    from bare facts where nothing names a sound. Where a published caption alone says what is heard, the
    grammar is silent: it could but repeat it, and worse. A clip of which nothing can be said is dropped with
    the reason ``nothing_known``.

    Args:
        phrases: phrase file, relative to ``configs/``.
        styles: some of ``grammar.STYLES``.
        candidates: most candidates per style.
        published: whether captions that came with a dataset are candidates.

    """

    phrases: str
    styles: tuple[str, ...]
    candidates: int
    published: bool = True

    name = "describe"
    reads = ("clips", "classes", "evidence")
    writes = "candidates"
    seeded = True
    batch_rows = 256

    def revisions(self) -> dict[str, str]:
        """The phrase file's sha256 and the grammar's revision."""
        return {"phrases": phrase_hash(self.phrases), "grammar": MODEL}

    def check(self) -> None:
        """Raise UserError for a phrase file that is missing or wrong."""
        load_phrases(self.phrases)

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        evidence, classes = batch.grouped("evidence", "clip_id"), batch.grouped("classes", "clip_id")
        phrases, index = load_phrases(self.phrases), default_index()
        result = Result()
        for clip in batch.rows.to_pylist():
            clip_id, heard = clip["clip_id"], evidence[clip["clip_id"]]
            rows = _published(clip_id, heard) if self.published else []
            told = _told(grounds_of(heard, classes[clip_id], clip["dataset"], index), classes[clip_id])
            if told or not rows:
                seed = context.seed(self.name, clip_id)
                rows += self._written(
                    clip_id, told, facts_of(heard), seed, phrases, {same_words(r["text"]) for r in rows}
                )
            result.rows += rows
            if not rows:
                result.drops.append((clip_id, "nothing_known"))
        return result

    def _written(
        self, clip_id: str, told: list[Ground], facts: Facts, seed: int, phrases: Phrases, known: set[str]
    ) -> list[dict[str, Any]]:
        """Return the grammar's candidates, none in words that are already ``known``."""
        rows = []
        for style in self.styles:
            sentences = _distinct(_sentences(style, told, facts, seed, phrases, TRIES * self.candidates), known)
            for number, sentence in enumerate(islice(sentences, self.candidates)):
                rows.append(
                    _row(
                        clip_id,
                        f"grammar-{style}:{number}",
                        method="grammar",
                        style=style,
                        language="en",
                        text=sentence.text,
                        model=MODEL,
                        prompt_hash=phrases.sha256,
                        seed=seed,
                        evidence_ids=_rests_on(sentence, style, told, facts),
                    )
                )
        return rows


def _row(clip_id: str, suffix: str, **values: Any) -> dict[str, Any]:
    return {"candidate_id": f"{clip_id}:{suffix}", "clip_id": clip_id, "round": 1, **values}


def _published(clip_id: str, evidence: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the published captions of a clip as candidates."""
    captions = [item for item in evidence if item["kind"] == "caption" and (item["text"] or "").strip()]
    return [
        _row(
            clip_id,
            f"published:{number}",
            method="published",
            style="published",
            text=item["text"],
            model=None,
            prompt_hash=None,
            seed=None,
            evidence_ids=[item["evidence_id"]],
        )
        for number, item in enumerate(captions)
    ]


def _told(grounds: list[Ground], classes: list[dict[str, Any]]) -> list[Ground]:
    """Return the grounds that the grammar writes from, the most confident classes first.

    An uploader's keywords count where nothing else names a sound; published captions never do.
    """
    heard = [ground for ground in grounds if ground.kind in ("tag", "event")]
    told = heard or [ground for ground in grounds if ground.kind == "keyword"]
    confidence = {row["class_id"]: row["confidence"] or 0.0 for row in classes}
    return sorted(told, key=lambda ground: -confidence[ground.class_id])


def _sentences(
    style: str, told: list[Ground], facts: Facts, seed: int, phrases: Phrases, draws: int
) -> Iterator[Sentence]:
    """Yield sentences of one style, as they are drawn."""
    # A style draws from its own stream, so that leaving one out does not change another.
    rng = np.random.default_rng([seed, STYLES.index(style)])
    ontology = default_index().ontology
    classes = [ground.class_id for ground in told]
    events = [
        Event(ground.class_id, ground.onset_s, ground.offset_s)
        for ground in told
        if ground.onset_s is not None and ground.offset_s is not None
    ]
    for _ in range(draws):
        sentence = captions_for(classes, events, facts.values, style, rng, phrases, ontology)
        if sentence is None:
            return
        yield sentence


def _distinct(sentences: Iterator[Sentence], known: set[str]) -> Iterator[Sentence]:
    """Yield the sentences whose words are not ``known`` yet, and note them there."""
    for sentence in sentences:
        if same_words(sentence.text) not in known:
            known.add(same_words(sentence.text))
            yield sentence


def _rests_on(sentence: Sentence, style: str, told: list[Ground], facts: Facts) -> list[str]:
    """Return the evidence of the classes that a sentence names (events, for their order) and of its facts."""
    ids = [g.evidence_id for g in told if g.class_id in sentence.classes and (style != "temporal" or g.kind == "event")]
    ids += [evidence_id for name in sentence.facts for evidence_id in facts.evidence_ids[name]]
    return list(dict.fromkeys(ids))
