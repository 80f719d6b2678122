"""What the stage `index` makes of a dataset of one's own: a folder, shards, or Hugging Face's files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pipelines.core.stage import Batch, Context, Result, conserve, empty
from pipelines.core.workspace import Workspace
from pipelines.ingest.index import Index
from pipelines.ingest.member import located
from schemas import tables
from schemas.recipe import Data, Dataset

RATE = 8000


def flac(seed: int = 0, seconds: float = 0.5) -> bytes:
    """Return half a second, or ``seconds``, of noise at ``RATE`` as FLAC; another seed gives other bytes."""
    file = io.BytesIO()
    samples = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    soundfile.write(file, samples, RATE, format="FLAC")
    return file.getvalue()


def context(root: Path) -> Context:
    """Return the context of a run below ``root``."""
    return Context(Workspace(str(root / "run")), str(root), 0, 2)


def index(root: Path, adapter: str, **dataset: Any) -> Result:
    """Return what becomes of the dataset in ``root`` that the recipe calls ``mine``; every row of it is told once."""
    stage = Index(Data(datasets=[Dataset(adapter=adapter, name="mine", **dataset)]))
    stage.check()
    assert len(stage.sources(context(root))) == 64
    result = stage.process(Batch(empty("records"), {}), context(root))
    conserve(stage, result.keys("record_id"), result)
    tables.from_rows("records", result.rows)
    return result


def by_caption(result: Result) -> dict[str, dict[str, Any]]:
    """Return the rows by their first caption."""
    return {row["captions"][0]: row for row in result.rows}


def errors(result: Result) -> list[tuple[str, str]]:
    """Return the error and the message of each refusal."""
    return [(refusal.error, refusal.message) for refusal in result.rejects]


def sound(root: Path, row: dict[str, Any]) -> bytes:
    """Return the bytes of a row's audio, wherever they lie."""
    with located(root, row["source_path"], row["member"]) as path:
        return path.read_bytes()


def names(row: dict[str, Any]) -> list[str]:
    """Return the names of a row's labels."""
    return [label["name"] for label in row["labels"]]
