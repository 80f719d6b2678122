"""The stage that writes accepted captions with their audio into WebDataset shards."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.core.stage import Batch, Blob, Context, Result, Stage
from schemas.ids import canonical_json


@dataclass(frozen=True)
class CaptionShards(Stage):
    """Stage ``captions``: each clip with an accepted caption as a sample ``flac``, ``json`` and a row of ``samples``.

    A clip without one is dropped with its decision as the reason, ``refused`` or ``abstained``; one that would leak
    from one split into another as ``leaks_into_<split>``.
    """

    max_samples: int
    max_mb: int

    name = "captions"
    reads = ("captions", "clips", "classes")
    writes = "samples"
    room = "shards"

    def limits(self) -> tuple[int, int]:
        """Return the most samples and bytes of a shard."""
        return self.max_samples, self.max_mb * 1_000_000

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``captions``."""
        clips, classes = batch.grouped("clips", "clip_id"), batch.grouped("classes", "clip_id")
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
            facts |= {key: caption[key] for key in ("split", "caption", "candidate_id", "method", "score")}
            facts["classes"] = [row["class_id"] for row in classes[clip_id] if row["class_id"]]
            facts["class_names"] = [row["class_name"] for row in classes[clip_id] if row["class_id"]]
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
