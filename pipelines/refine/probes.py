"""The stage that makes captions whose truth is known: what a publisher says, and the same made wrong in one place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.describe.grammar import captions_for
from pipelines.describe.grounds import Ground, facts_of, grounds_of
from pipelines.describe.order import Event, Span, follows, merge
from pipelines.describe.phrases import Phrases, load_phrases, phrase_hash
from pipelines.listen.heard import SPLITS
from pipelines.refine.claims import AMBIGUOUS, orders, sources
from pipelines.refine.corruptions import ADDED, Wording, absent, added, reversed_order, swapped
from pipelines.unify.names import Mention, NameIndex, default_index
from schemas.ontology import SILENCE

KINDS = ("shuffled", "swapped", "reversed", "added")
"""How captions are made wrong."""

REVISION = "1"

DRAWS = 64
"""Other clips that are looked at for one that holds nothing of what this clip holds."""


@dataclass(frozen=True)
class Said:
    """A caption that is true of a clip."""

    text: str
    method: str
    evidence_ids: tuple[str, ...]


@dataclass(frozen=True)
class Probes(Stage):
    """Stage ``probes``: a row for a true caption of each clip of the splits ``train`` and ``val``, and one per way to make it wrong.

    True is one of the publisher's captions, drawn; where it gives none and all its labels have their class, a sentence of
    the grammar from these labels and the measured facts. Wrong are, as far as they can be made: ``shuffled``, the true
    caption of another clip of the partition that has nothing in common with this one; ``swapped``, one sound replaced by
    one of another such clip; ``reversed``, the order of two sounds turned round, where the publisher times both and the
    one follows the other; ``added``, a sound of another such clip appended. Nothing in common: no class that anything
    names in either clip, listeners included, is, contains or is contained in one of the other's.

    Publishers leave out much that is heard, so that a few of the wrong ones are true; false-accept rates come out too
    high by these, never too low.

    A clip is dropped with one of these reasons: ``split_<name>``, why it is withheld, ``no_true_caption``.

    Args:
        phrases: phrase file, relative to ``configs/``.
    """

    phrases: str

    name = "probes"
    reads = ("clips", "groups", "records", "evidence", "classes")
    writes = "probes"
    seeded = True
    batch_rows = 256

    def revisions(self) -> dict[str, str]:
        """The phrase file's sha256, and the revision of what is made of it."""
        return {"phrases": phrase_hash(self.phrases), "corruptions": REVISION}

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        groups, records = batch.grouped("groups", "clip_id"), batch.grouped("records", "record_id")
        datasets = {clip_id: records[group["record_id"]][0]["dataset"] for clip_id, (group,) in groups.items()}
        captions = Captions(batch, datasets, load_phrases(self.phrases), context)
        usable = sorted(clip_id for clip_id, (group,) in groups.items() if _usable(group))
        result = Result()
        for clip_id in batch.rows.column("clip_id").to_pylist():
            (group,) = groups[clip_id]
            said = captions.of(clip_id) if _usable(group) else None
            if said is None:
                split = None if group["split"] in SPLITS else f"split_{group['split']}"
                result.drops.append((clip_id, group["withheld"] or split or "no_true_caption"))
                continue
            rng = np.random.default_rng(context.seed(self.name, clip_id))
            own = group["group_id"]
            others = [usable[n] for n in rng.integers(len(usable), size=DRAWS).tolist()]
            others = [other for other in others if groups[other][0]["group_id"] != own]
            for kind, text in [("true", said.text), *_wrong(clip_id, said.text, others, captions, rng)]:
                result.rows.append(
                    {
                        "candidate_id": f"{clip_id}:probe-{kind}:0",
                        "clip_id": clip_id,
                        "kind": kind,
                        "text": text,
                        "method": said.method,
                        "evidence_ids": list(said.evidence_ids),
                    }
                )
        return result


def _usable(group: dict[str, Any]) -> bool:
    return group["split"] in SPLITS and not group["withheld"]


class Captions:
    """What is true of the clips of a partition, in a caption each, and what anything says that they hold.

    Args:
        batch: its side tables ``evidence`` and ``classes`` are those of the whole partition.
        datasets: of each clip, whose curated names apply.
        phrases: the words of the grammar.
        context: draws where several captions are as true.
    """

    def __init__(self, batch: Batch, datasets: dict[str, str], phrases: Phrases, context: Context) -> None:
        self.phrases, self.index = phrases, default_index()
        self.wording = Wording.of(self.index, phrases.words)
        self._evidence, self._classes = batch.grouped("evidence", "clip_id"), batch.grouped("classes", "clip_id")
        self._datasets, self._context = datasets, context
        self._said: dict[str, Said | None] = {}

    def of(self, clip_id: str) -> Said | None:
        """Return a caption that is true of a clip, always the same one; None: nobody tells of it, or not all."""
        if clip_id not in self._said:
            self._said[clip_id] = self._make(clip_id)
        return self._said[clip_id]

    def known(self, clip_id: str) -> set[str]:
        """Return the classes that anything names in a clip, those of its captions included."""
        named = {row["class_id"] for row in self._classes[clip_id] if row["class_id"]}
        said = self.of(clip_id)
        return named | ({each.class_id for each in self.sounds(said.text)} if said else set())

    def sounds(self, text: str) -> list[Mention]:
        """Return the sounds that a caption speaks of."""
        return sources(text, self.index)

    def labels(self, clip_id: str) -> list[Ground]:
        """Return what the publisher's labels and events name in a clip."""
        dataset = self._datasets[clip_id]
        grounds = grounds_of(self._evidence[clip_id], self._classes[clip_id], dataset, self.index)
        return [ground for ground in grounds if ground.is_label]

    def _make(self, clip_id: str) -> Said | None:
        heard = self._evidence[clip_id]
        rng = np.random.default_rng(self._context.seed("true caption", clip_id))
        published = [item for item in heard if item["kind"] == "caption" and (item["text"] or "").strip()]
        if published:
            drawn = published[int(rng.integers(len(published)))]
            return Said(drawn["text"].strip(), "published", (drawn["evidence_id"],))
        if any(row["state"] != "labelled" for row in self._classes[clip_id]):
            return None
        labels, facts = self.labels(clip_id), facts_of(heard)
        classes, events, ontology = [each.class_id for each in labels], _events(labels), self.index.ontology
        # An order can be told of few clips, and no other sentence can be turned round: where it can, it is told.
        for style in ("temporal", *rng.permutation(["short", "detailed"]).tolist()):
            sentence = captions_for(classes, events, facts.values, style, rng, self.phrases, ontology)
            if sentence and sentence.classes:
                ids = [each.evidence_id for each in labels if each.class_id in sentence.classes]
                ids += [evidence_id for name in sentence.facts for evidence_id in facts.evidence_ids[name]]
                return Said(sentence.text, "grammar", tuple(dict.fromkeys(ids)))
        return None


def _wrong(
    clip_id: str, text: str, others: list[str], captions: Captions, rng: np.random.Generator
) -> Iterator[tuple[str, str]]:
    """Yield the wrong captions that can be made of a true one, by kind."""
    index, wording = captions.index, captions.wording
    known, sounds = captions.known(clip_id), captions.sounds(text)
    strangers = [other for other in others if _nothing_shared(captions.known(other), known, index)]
    shuffled = next((said.text for other in strangers if (said := captions.of(other))), None)
    if shuffled:
        yield "shuffled", shuffled
    named = [
        each.class_id for other in strangers if (said := captions.of(other)) for each in captions.sounds(said.text)
    ]
    new = [class_id for class_id in dict.fromkeys(named) if _plain(class_id, index)]
    for number in rng.permutation(len(sounds)).tolist():
        tried = (swapped(text, sounds[number], class_id, wording) for class_id in new)
        if made := next(filter(None, tried), None):
            yield "swapped", made
            break
    if made := _reversed(text, sounds, captions.labels(clip_id), captions):
        yield "reversed", made
    pattern = ADDED[int(rng.integers(len(ADDED)))]
    tried = (added(text, class_id, pattern, wording) for class_id in new)
    if made := next(filter(None, tried), None):
        yield "added", made


def _nothing_shared(theirs: set[str], known: set[str], index: NameIndex) -> bool:
    return bool(theirs) and all(absent(class_id, known, index.ontology) for class_id in theirs)


def _plain(class_id: str, index: NameIndex) -> bool:
    """Say whether a class is a source: "a hum" may well be true of anything, and silence is measured."""
    ambiguous = index.ontology.ancestors(class_id) >> index.ontology.index(AMBIGUOUS) & 1
    return not ambiguous and class_id != SILENCE


def _reversed(text: str, sounds: list[Mention], labels: list[Ground], captions: Captions) -> str | None:
    """Return the caption with an order turned round that the publisher's times show to be right, if it tells one."""
    for first, second in pairwise(sounds):
        for order in orders(text, [first, second]):
            spans = [_spans(class_id, labels, captions.index) for class_id in (order.first, order.second)]
            if order.relation == "then" and all(spans) and follows(*spans):
                made = reversed_order(text, first, second, captions.wording)
                if made:
                    return made
    return None


def _spans(class_id: str, labels: list[Ground], index: NameIndex) -> list[Span]:
    """Return when a class is heard by the publisher's times, disjoint and in order."""
    events = [each for each in _events(labels) if index.ontology.conflict(each.class_id, class_id)]
    return merge([(each.onset_s, each.offset_s) for each in events])


def _events(labels: list[Ground]) -> list[Event]:
    return [
        Event(each.class_id, each.onset_s, each.offset_s)
        for each in labels
        if each.onset_s is not None and each.offset_s is not None
    ]
