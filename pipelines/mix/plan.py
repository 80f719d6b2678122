"""The stage that plans mixtures: which clips, where, at what ratio. It hears nothing and draws everything."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.describe.phrases import Phrases, load_phrases, phrase_hash
from pipelines.mix.conflict import Present, present, specific
from pipelines.mix.words import Templates, definite, instructions, load_templates, phrase
from schemas.ids import digest, fingerprint
from schemas.ontology import Ontology, configs_dir, default_ontology

DRAWS = 64
"""Partners that are drawn before all of them are looked through: nearly every target has one among the first few."""

SILENCE = "/m/028v0c"


@dataclass(frozen=True)
class Source:
    """One clip that may be mixed."""

    row: dict[str, Any]
    group_id: str
    classes: Present
    class_ids: list[str]
    class_names: list[str]
    spoken: list[str]
    text: str


@dataclass(frozen=True)
class PlanMixtures(Stage):
    """Stage ``plan``: clips with their classes and captions -> the table of mixtures to render.

    Every clip that may be mixed is the target of ``per_clip`` mixtures. Its partner is drawn uniformly from the clips of
    its split that are of another group and share no class with it, ancestors and descendants included. A row is a
    function of the run's seed, the target, its number and the whole catalogue, and of nothing else.

    A clip is dropped with one of these reasons: ``classes_unknown``, ``classes_partial`` (one label maps to no class, so
    that nothing can be promised), ``classes_inferred`` (unless ``inferred``), ``classes_silence`` (there is nothing to
    separate), ``leaks_into_<split>`` (its group stands in a split that is better protected),
    ``no_disjoint_partner``, ``not_served_before`` (an earlier stage rejected it).
    """

    per_clip: int
    duration_s: float
    sample_rate: int
    snr_db: tuple[float, float]
    inferred: bool
    phrases: str
    templates: str = "prompts/instructions.yaml"

    name = "plan"
    version = 2
    reads = ("clips", "classes", "captions", "groups")
    writes = "plan"
    out_key = "target_clip_id"
    waits = True
    seeded = True

    def revisions(self) -> dict[str, str]:
        """The instruction patterns and the ontology, as hashes."""
        ontology = configs_dir() / "labels" / "audioset_ontology.csv"
        return {
            "phrases": phrase_hash(self.phrases),
            "templates": fingerprint((configs_dir() / self.templates).read_text(encoding="utf-8")),
            "ontology": fingerprint(ontology.read_text(encoding="utf-8")),
        }

    def check(self) -> None:
        """Raise UserError for a template file that is missing or malformed."""
        load_templates(configs_dir() / self.templates)
        load_phrases(self.phrases)

    def process(self, batch: Batch, context: Context) -> Result:
        """Plan all mixtures of the run."""
        ontology, result = default_ontology(), Result()
        classes, captions = batch.grouped("classes", "clip_id"), batch.grouped("captions", "clip_id")
        phrases = load_phrases(self.phrases)
        groups = {row["clip_id"]: row for row in batch.sides["groups"].to_pylist()}
        pools: dict[str, Pool] = defaultdict(Pool)
        for clip in sorted(batch.rows.to_pylist(), key=lambda row: row["clip_id"]):
            known, decided = classes[clip["clip_id"]], captions[clip["clip_id"]]
            group = groups[clip["clip_id"]]
            reason = group["withheld"] or self._barred(known) if known and decided else "not_served_before"
            if reason:
                result.drops.append((clip["clip_id"], reason))
                continue
            caption = decided[0]
            # A publisher's caption is kept as the query; ours may speak of level, length and silence, which a mixture changes.
            kept = caption["decision"] == "accepted" and caption["method"] == "published"
            query = caption["caption"] if kept else None
            own = clip | {"split": group["split"]}
            pools[group["split"]].append(_source(own, group["group_id"], known, query, ontology, phrases))
        templates = load_templates(configs_dir() / self.templates)
        for _, pool in sorted(pools.items()):
            for number, target in enumerate(pool):
                rows = [self._mixture(pool, number, k, templates, context) for k in range(self.per_clip)]
                made = [row for row in rows if row is not None]
                result.rows += made
                if not made:
                    result.drops.append((target.row["clip_id"], "no_disjoint_partner"))
        return result

    def _barred(self, classes: list[dict[str, Any]]) -> str | None:
        state = classes[0]["state"]
        if {row["class_id"] for row in classes} == {SILENCE}:
            return "classes_silence"
        if state in ("unknown", "partial") or (state == "inferred" and not self.inferred):
            return f"classes_{state}"
        return None

    def _mixture(
        self, pool: Pool, number: int, k: int, templates: Templates, context: Context
    ) -> dict[str, Any] | None:
        target = pool[number]
        key = f"{target.row['clip_id']}/{k}"
        seed = context.seed(self.name, key)
        rng = np.random.default_rng(seed)
        partner = _partner(rng, pool, number)
        if partner is None:
            return None
        length = round(self.duration_s * self.sample_rate)
        snr = float(rng.uniform(*self.snr_db))
        sources = [_placed(rng, source, length) for source in (target, partner)]
        extract, remove = instructions(rng, templates, target.spoken, partner.spoken)
        return {
            "mixture_id": f"mix-{digest('mixture', str(seed), key).hex()[:16]}",
            "split": target.row["split"],
            "target_clip_id": target.row["clip_id"],
            "interferer_clip_ids": [partner.row["clip_id"]],
            "snr_db": snr,
            "length": length,
            "sample_rate": self.sample_rate,
            "sources": sources,
            "query": target.text,
            "instruction_extract": extract,
            "instruction_remove": remove,
            "seed": seed,
        }


def _source(
    clip: dict[str, Any],
    group_id: str,
    classes: list[dict[str, Any]],
    query: str | None,
    ontology: Ontology,
    phrases: Phrases,
) -> Source:
    ids = sorted(row["class_id"] for row in classes)
    # Every class counts for the promise that nothing is shared; what the publisher labelled counts for the words.
    stated = [row["class_id"] for row in classes if row["origin"].startswith(("label:", "event:"))] or ids
    said = specific(ontology, stated)
    names = [ontology[class_id].name for class_id in said]
    spoken = [definite(class_id, phrases, ontology) for class_id in said]
    return Source(clip, group_id, present(ontology, ids), ids, names, spoken, query or phrase(names))


class Pool(list[Source]):
    """The clips of one split, and which of them fit a set of classes: looked up once per set, since few sets are distinct."""

    def fitting(self, classes: Present) -> list[Source]:
        """Return the clips that share no class with ``classes``."""
        if classes not in self._known:
            self._known[classes] = [other for other in self if not classes.conflicts(other.classes)]
        return self._known[classes]

    @cached_property
    def _known(self) -> dict[Present, list[Source]]:
        return {}


def _partner(rng: np.random.Generator, pool: Pool, number: int) -> Source | None:
    """Draw a partner for ``pool[number]`` uniformly from those that fit; None if there is none."""
    target = pool[number]

    def fits(other: Source) -> bool:
        return other.group_id != target.group_id and not target.classes.conflicts(other.classes)

    for pick in rng.integers(len(pool), size=DRAWS):
        if fits(pool[pick]):
            return pool[pick]
    fitting = [other for other in pool.fitting(target.classes) if fits(other)]
    return fitting[int(rng.integers(len(fitting)))] if fitting else None


def _placed(rng: np.random.Generator, source: Source, total: int) -> dict[str, Any]:
    """Return where a source goes: a longer clip is cropped, a shorter one laid at a drawn place between zeros."""
    clip = source.row
    samples = round(clip["duration_s"] * clip["sample_rate"])
    length = min(samples, total)
    return {
        "clip_id": clip["clip_id"],
        "recording_id": clip["recording_id"],
        "tar": clip["tar"],
        "offset": clip["offset"],
        "size": clip["size"],
        "sha256": clip["sha256"],
        "start": int(rng.integers(samples - length + 1)),
        "at": int(rng.integers(total - length + 1)),
        "length": length,
        "class_ids": source.class_ids,
        "class_names": source.class_names,
        "text": source.text,
        "licence": clip["licence"],
        "licence_text": clip["licence_text"],
        "attribution": clip["attribution"],
    }
