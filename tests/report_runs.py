"""Small runs written by hand for the tests of the report page, and the page as a reader without a browser sees it."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow.parquet as pq

from pipelines.catalog.views import CALIBRATED, SAMPLES
from pipelines.core.workspace import Workspace
from pipelines.report.page import write_report
from schemas import tables

RATE = 16000
HOSTILE = "<script>alert(1)</script>\" onerror='x' & \x07 {{ 7 * 7 }}"
VOID = {"meta", "img", "br"}


def tone(hertz: float, seconds: float = 1.0, level: float = 0.3, rate: int = RATE) -> np.ndarray:
    at = np.arange(round(seconds * rate)) / rate
    return np.rint(level * 32767 * np.sin(2 * np.pi * hertz * at)).astype(np.int16)


def write_run(root, rows: dict[str, list[dict]]) -> Workspace:
    """Write tables as Parquet and views over them, as a finished run has them."""
    workspace = Workspace(str(root))
    workspace.write("run.json", json.dumps({"name": "tiny", "partitions": 1, "tables": tables.VERSION}).encode())
    workspace.write("recipe.yaml", b"refine: {false_accepts: 0.05, min_agreement: 0.75}")
    sql = []
    for table in tables.TABLES:
        sink = io.BytesIO()
        pq.write_table(tables.from_rows(table, rows.get(table, [])), sink)
        workspace.write(f"tables/{table}.parquet", sink.getvalue())
        view = "caption_samples" if table == "samples" else table
        sql.append(f"CREATE VIEW {view} AS SELECT * FROM read_parquet(['tables/{table}.parquet']);")
    sql += [SAMPLES, CALIBRATED]
    workspace.write("views.sql", "\n".join(sql).encode())
    return workspace


def row(table: str, **given) -> dict:
    """Return a row of a table: what is given, and else null, or the empty value of the column's type."""
    empty = {"string": "", "int64": 0, "double": 0.0, "bool": False}
    blank = {f.name: None if f.nullable else empty.get(str(f.type), []) for f in tables.schema(table)}
    return blank | given


def marker(stage: str, rows_in: int, rows_out: int, rejects: int = 0, drops: int = 0) -> dict:
    counts = {"rows_in": rows_in, "rows_out": rows_out, "rejects": rejects, "drops": drops}
    return row("markers", stage=stage, seconds=1.25, **counts)


def place_of(place) -> dict:
    return {"tar": place.tar, "offset": place.offset, "size": place.size}


def clip_rows(n: int, place, seconds: float, text: str | None, decision: str) -> dict[str, dict]:
    """Return the rows of one clip in clips, captions, candidates and scores."""
    score = None if decision == "abstained" else 0.9 - 0.05 * n
    own = {
        "clip_id": f"a-{n}",
        "dataset": "a" if n % 2 else "b",
        "split": "train",
        "licence": "unknown" if n % 3 else "cc0",
    }
    candidate = {"clip_id": f"a-{n}", "candidate_id": f"a-{n}:grammar:0"}
    support = [f"a-{n}:signal:0"]
    clip = row("clips", **own, recording_id=f"fs:{n}", duration_s=seconds, sample_rate=RATE, source_rate=44100)
    caption = row("captions", **own, caption=text, decision=decision, score=score, method="grammar")
    return {
        "clips": clip | place_of(place) | {"source_path": HOSTILE},
        "captions": caption | {"candidate_id": candidate["candidate_id"], "reasons": ["too little"]},
        "candidates": row("candidates", **candidate, method="grammar", style="short", text=text or ""),
        "scores": row(
            "scores",
            **candidate,
            score=score,
            claims=2,
            supported=1,
            unsupported=[HOSTILE],
            evidence_ids=support,
        ),
    }


class Outline(HTMLParser):
    """Collects tags and text, and insists that every tag is closed where it was opened."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def report(workspace: Workspace) -> Outline:
    outline = Outline(workspace.read(write_report(workspace)).decode())
    assert outline.open == []
    return outline
