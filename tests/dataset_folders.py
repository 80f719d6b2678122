"""Finished runs of given samples of mixtures, sealed as every run is, and dataset folders of them, for tests of these and their readers."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml
from publish_runs import Given, Row, clip, filled

from pipelines.catalog.views import views_sql
from pipelines.core.drive import drive
from pipelines.core.graph import build_graph
from pipelines.core.progress import Progress
from pipelines.core.stage import Batch, Blob, Context, Result, Stage
from pipelines.core.work import Work
from pipelines.core.workspace import Workspace
from pipelines.engines.inline import InlineEngine
from pipelines.mix.remix import added, place, scaled
from pipelines.publish.form import Options
from pipelines.publish.webdataset import export_mixtures
from pipelines.seal import write_seal
from schemas import tables
from schemas.ids import canonical_json
from schemas.load import parse_recipe

RATE, LENGTH = 8000, 400
CLIPS = [clip(f"c{n}", f"fs:{n}", licence=("by", "cc0", "by-nc")[n % 3]) for n in range(9)]
GAINS = (0.5, 0.25)


@dataclass(frozen=True)
class GivenMixtures(Stage):
    """A stage that writes the samples of the mixtures that it is given."""

    rows: tuple[Row, ...]
    form: str

    name = "mixtures"
    writes = "mixtures"
    out_key = "mixture_id"
    room = "shards"

    def limits(self) -> tuple[int, int]:
        return 4, 10**6

    def process(self, batch: Batch, context: Context) -> Result:
        rows = [filled("mixtures", {"licence": "by", **row}) for row in self.rows]
        blobs = [Blob(f"{row['set']}_{row['split']}", row["mixture_id"], members(row, self.form)) for row in rows]
        return Result(rows=rows, blobs=blobs)


def mixture(number: int, split: str = "train", name: str = "mix", **more: Any) -> Row:
    """Return a row of ``mixtures``; its sources are two of :data:`CLIPS`."""
    sources = {"target_clip_ids": [f"c{number % 9}"], "interferer_clip_ids": [f"c{(number + 1) % 9}"]}
    own = {"mixture_id": f"mix-{number:016x}", "set": name, "split": split, "target_clip_id": f"c{number % 9}"}
    return own | sources | {"sample_rate": RATE, "query": f"siren {number}"} | more


def stems(number: int) -> list[np.ndarray]:
    """Return the sources of a mixture as the store holds them, a function of its number: int16, 300 samples each."""
    return list(np.random.default_rng(number).integers(-16000, 16000, (2, 300), dtype=np.int16))


def heard(number: int) -> list[np.ndarray]:
    """Return the stems of a mixture: int16, shape (LENGTH,)."""
    laid = zip(stems(number), GAINS, (0, LENGTH - 300), strict=True)
    return [scaled(place(samples, 0, at, 300, LENGTH), gain) for samples, gain, at in laid]


def members(row: Row, form: str) -> dict[str, bytes]:
    """Return a sample's members.

    Args:
        row: of ``mixtures``.
        form: ``stored``, ``wav``, ``recipe``; ``residual`` and ``stems``, which are stored instead of the target; ``embedded``: stored with
            two embeddings.
    """
    number = int(row["mixture_id"].removeprefix("mix-"), 16)
    clips = (*row["target_clip_ids"], *row["interferer_clip_ids"])
    laid = zip(("target", "interferer"), clips, (0, LENGTH - 300), GAINS, strict=True)
    sources = [
        {"role": role, "clip_id": clip_id, "recording_id": f"fs:{clip_id[1:]}", "at": at, "gain": gain}
        | {"start": 0, "length": 300, "rir": None}
        for role, clip_id, at, gain in laid
    ]
    facts = {key: row[key] for key in ("mixture_id", "set", "split", "query", "licence", "sample_rate", "snr_db")}
    facts |= {"length": LENGTH, "sources": sources, "target_classes": [], "negative": None}
    facts["achieved_snr_db"] = None if number == 0 else float(number)
    if form == "recipe":
        sounds = {f"source{n}.flac": sound(samples) for n, samples in enumerate(stems(number))}
    else:
        kind, (target, other) = "wav" if form == "wav" else "flac", heard(number)
        mixed = added([target, other], LENGTH)
        beside = {"residual": {"residual": other}, "stems": {"stem0": target, "stem1": other}}.get(
            form, {"target": target}
        )
        sounds = {f"{name}.{kind}": sound(samples, kind) for name, samples in {"mixture": mixed, **beside}.items()}
    if form == "embedded":
        sounds |= {name: npy(number) for name in ("query.npy", "target.npy")}
    return sounds | {"json": canonical_json(facts).encode()}


def sound(samples: np.ndarray, kind: str = "flac") -> bytes:
    """Return sound as a file of 16 bit."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format=kind.upper(), subtype="PCM_16")
    return buffer.getvalue()


def npy(number: int) -> bytes:
    """Return an embedding."""
    buffer = io.BytesIO()
    np.save(buffer, np.full(4, number, np.float16))
    return buffer.getvalue()


def run_of(folder: Path, rows: list[Row], form: str = "stored", **shards: Any) -> Workspace:
    """Return a sealed run in ``folder`` that made these mixtures.

    Args:
        folder: the run folder.
        rows: of ``mixtures``, as :func:`mixture` gives them.
        form: of the samples, see :func:`members`.
        shards: part ``shards`` of the recipe.
    """
    stages: list[Stage] = [
        Given(name, table, tuple(each[table] for each in CLIPS))
        for name, table in (("index", "records"), ("ingest", "clips"))
    ]
    stages += [GivenMixtures(tuple(rows), form)] if rows else []
    workspace = Workspace(str(folder))
    work = Work(build_graph(stages, 1), Context(workspace, str(folder.parent), 1, 1))
    work.sweep()
    drive(work, InlineEngine(work.context), Progress(quiet=True))
    recipe = {"name": "made", "partitions": 1, "data": {"datasets": [{"adapter": "folder", "name": "mine"}]}}
    resolved = parse_recipe(recipe | {"shards": shards}, "test")
    frozen = {"name": "made", "partitions": 1, "tables": tables.VERSION}
    workspace.write("run.json", (canonical_json(frozen) + "\n").encode())
    workspace.write("recipe.yaml", yaml.safe_dump(resolved.model_dump(mode="json")).encode())
    workspace.write("views.sql", views_sql(work).encode())
    write_seal(work)
    return workspace


def certified(workspace: Workspace) -> Row:
    """Stand in for what `earloom certify` measures, which has tests of its own."""
    return {"collisions": {"exact": 0, "dag": 0}, "max_error": 0, "reasons": [1, 2]}


def dataset(folder: Path, numbers: dict[str, range], form: str = "stored", **shards: Any) -> Path:
    """Return a dataset folder of mixtures of these numbers, by split, exported from a run beside it."""
    rows = [mixture(number, split) for split, each in numbers.items() for number in each]
    export_mixtures(run_of(folder / "run", rows, form, **shards), str(folder / "out"), Options(), certified)
    return folder / "out"


def told(folder: Path) -> Row:
    """Return a folder's manifest."""
    return dict(json.loads((folder / "manifest.json").read_text()))
