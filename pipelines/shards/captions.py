"""The stage that writes accepted captions with their audio into WebDataset shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Blob, Context, Result, Stage
from pipelines.describe.grounds import Ground, grounds_of
from pipelines.listen.publisher import Publisher
from pipelines.refine.score import SCORER
from pipelines.unify.names import default_index
from schemas.ids import canonical_json


@dataclass(frozen=True)
class CaptionShards(Stage):
    """Stage ``captions``: each clip with an accepted caption as a sample ``flac``, ``json`` and a row of ``samples``.

    A clip without one is dropped with its decision as the reason, ``refused`` or ``abstained``; one that would leak
    from one split into another as ``leaks_into_<split>``.

    Beside the accepted caption and all classes, the JSON holds what training may learn from: ``captions``, the accepted one
    and every other in its language that is accepted and agrees with the evidence as well; ``labels``, the classes that the
    publisher's labels name, and ``state``, which says whether a class that is not among them is absent or unknown;
    ``events``, the publisher's timed labels. What a listener heard is in neither: one model's answers are no truth to train
    another on.
    """

    max_samples: int
    max_mb: int

    name = "captions"
    version = 3
    reads = ("captions", "clips", "classes", "evidence", "candidates", "scores", "verdicts")
    writes = "samples"
    room = "shards"

    def reads_from(self) -> dict[str, tuple[str, ...]]:
        """The publisher's evidence."""
        return {"evidence": (Publisher.name,)}

    def limits(self) -> tuple[int, int]:
        """Return the most samples and bytes of a shard."""
        return self.max_samples, self.max_mb * 1_000_000

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``captions``."""
        clips, classes = batch.grouped("clips", "clip_id"), batch.grouped("classes", "clip_id")
        evidence, candidates = batch.grouped("evidence", "clip_id"), batch.grouped("candidates", "clip_id")
        result = Result()
        for caption in batch.rows.to_pylist():
            clip_id = caption["clip_id"]
            if caption["decision"] != "accepted" or caption["withheld"]:
                result.drops.append((clip_id, caption["withheld"] or caption["decision"]))
                continue
            (clip,) = clips[clip_id]
            facts = {
                key: clip[key]
                for key in (
                    "clip_id",
                    "recording_id",
                    "dataset",
                    "duration_s",
                    "sample_rate",
                    "licence",
                    "licence_text",
                    "attribution",
                )
            }
            facts |= {
                key: caption[key] for key in ("split", "caption", "candidate_id", "method", "score", "probability")
            }
            facts["classes"] = [row["class_id"] for row in classes[clip_id] if row["class_id"]]
            facts["class_names"] = [row["class_name"] for row in classes[clip_id] if row["class_id"]]
            facts["state"] = next((row["state"] for row in classes[clip_id]), "unknown")
            grounds = grounds_of(evidence[clip_id], classes[clip_id], clip["dataset"], default_index())
            labels = [ground for ground in grounds if ground.is_label]
            facts["labels"] = sorted({label.class_id for label in labels})
            facts["events"] = _events(labels)
            facts["captions"] = _as_good(caption, candidates[clip_id], batch)
            flac = context.workspace.read_range(clip["tar"], clip["offset"], clip["size"])
            result.rows.append(
                {
                    "sample_id": clip_id,
                    "kind": "caption",
                    "clip_id": clip_id,
                    "split": caption["split"],
                    "tar": "",
                    "offset": 0,
                    "size": 0,
                }
            )
            result.blobs.append(Blob(caption["split"], clip_id, {"flac": flac, "json": canonical_json(facts).encode()}))
        return result


def _events(labels: list[Ground]) -> list[dict[str, Any]]:
    """Return the labels that are timed, in order of onset."""
    timed = [(x.onset_s, x.offset_s, x.class_id) for x in labels if x.onset_s is not None and x.offset_s is not None]
    return [{"class_id": c, "onset_s": onset, "offset_s": offset} for onset, offset, c in sorted(timed)]


def _as_good(caption: dict[str, Any], candidates: list[dict[str, Any]], batch: Batch) -> list[str]:
    """Return the caption, then the clip's other candidates in its language that are accepted and agree as well, in order."""
    scores, verdicts = batch.grouped("scores", "candidate_id"), batch.grouped("verdicts", "candidate_id")

    def as_good(key: str) -> bool:
        accepted = any(row["decision"] == "accepted" for row in verdicts[key])
        return accepted and any(row["scorer"] == SCORER and row["score"] == caption["score"] for row in scores[key])

    own = [each for each in candidates if each["language"] in (caption["language"], None)]
    return list(dict.fromkeys([caption["caption"], *(e["text"] for e in own if as_good(e["candidate_id"]))]))
