"""The story of a clip: each candidate is told with what was decided of it, its claims, and what it cost."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest

from pipelines.catalog.explain import explain, tell
from pipelines.catalog.views import SAMPLES
from pipelines.core.workspace import Workspace
from schemas import tables


def row(table: str, **given) -> dict:
    """Return a row of a table: what is given, and else null, or the empty value of the column's type."""
    empty = {"string": "", "int64": 0, "double": 0.0, "bool": False}
    return {f.name: None if f.nullable else empty.get(str(f.type), []) for f in tables.schema(table)} | given


def written(number: int, text: str, **given) -> dict:
    return row("candidates", candidate_id=f"a-1:mind-short-en:{number}", clip_id="a-1", text=text, round=1, **given)


@pytest.fixture
def run(tmp_path) -> Workspace:
    """A run of one clip with two candidates that a model wrote, of which one is judged."""
    own = {"candidate_id": "a-1:mind-short-en:0", "clip_id": "a-1"}
    support = {"evidence_ids": [f"a-1:ear:{number}" for number in range(6)]}
    claims = [
        {"kind": "action", "text": "barks", "start": 6, "verdict": "unsupported", "reason": "it purrs"},
        {"kind": "source", "text": "A dog", "start": 0, "verdict": "supported", "reason": "Dog, tag of ear"} | support,
    ]
    asked = {"model": "m-7", "prompt_hash": "f00d", "request": "key-9", "tokens_in": 12.5, "tokens_out": 4.0}
    found = {
        "clips": [row("clips", clip_id="a-1", record_id="a-1", recording_id="fs:1")],
        "candidates": [
            written(0, "A dog barks.", method="mind", usd=0.0021, **asked),
            written(1, "Dog."),
        ],
        "claims": [row("claims", claim_id=f"x:{n}", **own, **claim) for n, claim in enumerate(claims)],
        "verdicts": [
            row("verdicts", **own, probability=0.25, decision="refused", reasons=["below the line", "so be it"])
        ],
        "scores": [
            row("scores", **own, scorer="agreement", score=0.5),
            row("scores", **own, scorer="clap:relative"),
        ],
        "drops": [row("drops", stage="similarity_clap", clip_id="a-1:mind-short-en:1", reason="not_embedded")],
    }
    workspace, sql = Workspace(str(tmp_path)), []
    for table in tables.TABLES:
        sink = io.BytesIO()
        pq.write_table(tables.from_rows(table, found.get(table, [])), sink)
        workspace.write(f"tables/{table}.parquet", sink.getvalue())
        view = "caption_samples" if table == "samples" else table
        sql.append(f"CREATE VIEW {view} AS SELECT * FROM read_parquet(['tables/{table}.parquet']);")
    workspace.write("views.sql", "\n".join([*sql, SAMPLES]).encode())
    return workspace


def test_a_candidate_is_told_with_its_verdict_its_claims_in_order_and_its_cost(run):
    lines = tell(explain(run, "a-1")).splitlines()
    start = lines.index("candidates (2)")
    assert lines[start + 1 : start + 10] == [
        "  a-1:mind-short-en:0  refused  probability=0.25",
        "    A dog barks.",
        "    because  below the line",
        "    because  so be it",
        "    claim    supported  source 'A dog': Dog, tag of ear  [ear:0, ear:1, ear:2, ear:3 and 2 more]",
        "    claim    unsupported  action 'barks': it purrs",
        "    scores   agreement=0.5  clap:relative=unknown",
        "    written  method=mind  style=  round=1  model=m-7  prompt_hash=f00d  request=key-9  "
        "tokens_in=12.5  tokens_out=4  usd=0.0021",
        "  a-1:mind-short-en:1  not judged",
    ]


def test_the_story_as_data_holds_the_rows_of_every_table(run):
    story = explain(run, "a-1")
    assert [claim["text"] for claim in story["claims"]] == ["barks", "A dog"]
    assert story["verdicts"][0]["probability"] == 0.25
    assert "claims (" not in tell(story), "what is told with a candidate has no paragraph of its own"


def test_what_was_left_out_of_a_candidate_is_part_of_its_clips_story(run):
    (drop,) = explain(run, "a-1")["drops"]
    assert (drop["stage"], drop["clip_id"]) == ("similarity_clap", "a-1:mind-short-en:1")
