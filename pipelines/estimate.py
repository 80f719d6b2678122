"""What a run will ask of its endpoints, told before anything runs: from its real questions about a sample of its records."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence
from itertools import product
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from pipelines.core.graph import Node
from pipelines.core.stage import Batch, Context
from pipelines.ingest.index import Index
from pipelines.listen.ask import ASSUMED, Ask
from pipelines.listen.ask_here import AskHere
from pipelines.listen.evidence import evidence_row
from pipelines.listen.publisher import Publisher
from pipelines.llm.check import place_of
from pipelines.llm.estimate import Estimate, estimate, measure
from pipelines.llm.request import Request
from pipelines.llm.service import FOLDER
from pipelines.mix.patterns import Patterns
from schemas import tables
from schemas.endpoints import Endpoint
from schemas.recipe import Recipe

SAMPLE = 200
"""Records that are asked about for an estimate."""


@runtime_checkable
class Asks(Protocol):
    """A stage that asks an endpoint."""

    @property
    def asked(self) -> tuple[str, Endpoint]:
        """The endpoint, and its name in the recipe."""

    def requests(self, batch: Batch, context: Context) -> Sequence[Request]:
        """Return what is asked about a batch."""


def estimates(recipe: Recipe, nodes: Sequence[Node], context: Context) -> list[tuple[str, Estimate | None]]:
    """Return, per stage that asks an endpoint, what it will come to; None where it asks about captions or names that are not there yet.

    Nothing has been heard yet: a question that what is heard may open is reckoned as the publisher's labels open it, and a model's
    answer that a writer is told of as :data:`ASSUMED`. A clip per record is reckoned, of the greatest length that the recipe
    allows; nothing for later rounds, nor for what is asked again.
    """
    asking = [node.stage for node in nodes if isinstance(node.stage, Asks) and getattr(node.stage, "round", 1) == 1]
    if not asking:
        return []
    index = next(node.stage for node in nodes if isinstance(node.stage, Index))
    records, count = _sample(index, context)
    batch = _batch(records, recipe, context, [node.stage for node in nodes if isinstance(node.stage, (Ask, AskHere))])
    found: list[tuple[str, Estimate | None]] = []
    for stage in asking:
        if stage.reads[0] == "clips":
            requests = stage.requests(batch, context) if records else []
            expected = round(count * len(requests) / max(1, len(records)))
        elif stage.reads[0] == "patterns":
            requests = stage.requests(_patterns(nodes, context), context)
            expected = len(requests)
        else:
            found.append((stage.name, None))
            continue
        name, endpoint = stage.asked
        known = measure(place_of(name, endpoint, make=False) or context.workspace, FOLDER, name, endpoint)
        found.append((stage.name, estimate(requests, expected, endpoint, known)))
    return found


def _patterns(nodes: Sequence[Node], context: Context) -> Batch:
    """Return the instruction patterns of a recipe, all of which are known beforehand."""
    stage = next(node.stage for node in nodes if isinstance(node.stage, Patterns))
    (listed,) = stage.stream(context)
    return Batch(tables.from_rows(stage.writes, listed.rows), {})


def _sample(index: Index, context: Context) -> tuple[list[dict[str, Any]], int]:
    """Return records drawn by the hash of their ids, and how many there are in all."""
    kept: list[tuple[str, dict[str, Any]]] = []
    count = 0
    for result in index.stream(context):
        count += len(result.rows)
        drawn = ((hashlib.sha256(row["record_id"].encode()).hexdigest(), row) for row in result.rows)
        kept = heapq.nsmallest(SAMPLE, [*kept, *drawn], key=lambda pair: pair[0])
    return [row for _, row in kept], count


def _batch(
    records: list[dict[str, Any]], recipe: Recipe, context: Context, listening: Sequence[Ask | AskHere]
) -> Batch:
    """Return records as clips, with what is published of them and assumed to be answered."""
    clips = [_clip(record, recipe) for record in records]
    rows = pa.Table.from_pylist(clips) if clips else pa.table({"clip_id": pa.array([], pa.string())})
    published = Batch(rows, {"records": tables.from_rows("records", records)})
    evidence = Publisher().process(published, context).rows if clips else []
    own: dict[str, list[dict[str, Any]]] = {}
    for row in evidence:
        own.setdefault(row["clip_id"], []).append(row)
    for clip, stage in product(clips, listening):
        clip_id = clip["clip_id"]
        turns = stage.chain.turns(own.get(clip_id, []), clip["dataset"])
        told = [{"kind": "answer", "name": turn.name, "text": ASSUMED} for turn in turns]
        evidence += [evidence_row(clip_id, stage.name, "assumed", n, **each) for n, each in enumerate(told)]
    pictures = [
        {"clip_id": clip["clip_id"], "frame_id": f"{clip['clip_id']}-f{number}"}
        for clip in clips
        if clip["video_path"]
        for number in range(recipe.video.frames)
    ]
    sides = {
        "evidence": tables.from_rows("evidence", evidence),
        "classes": pa.table({"clip_id": rows.column("clip_id")}),
        "frames": pa.Table.from_pylist(
            pictures, schema=pa.schema([("clip_id", pa.string()), ("frame_id", pa.string())])
        ),
    }
    return Batch(rows, sides)


def _clip(record: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    start, end = record["start_s"], record["end_s"]
    own = {key: record[key] for key in ("record_id", "dataset", "split", "source_path", "video_path")}
    seconds = recipe.audio.clip_s if end is None else min(recipe.audio.clip_s, end - (start or 0.0))
    return {"clip_id": record["record_id"], **own, "duration_s": seconds, "source_start_s": 0.0, "excerpt_s": 0.0}
