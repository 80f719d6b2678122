"""A model's wordings: kept only where they ask for the same, each pattern with one outcome, and nothing paid twice."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from llm_server import Answer, Asked, Server, endpoint, error, serving

from pipelines.core.drive import drive
from pipelines.core.progress import Progress
from pipelines.core.stage import Batch, Context, Result, conserve, empty
from pipelines.core.workspace import Workspace
from pipelines.engines.inline import InlineEngine
from pipelines.llm import client as client_module
from pipelines.llm import service as service_module
from pipelines.mix.paraphrase import ParaphrasePatterns
from pipelines.mix.paraphrase_prompt import load_paraphrase, read_wordings
from pipelines.mix.patterns import Patterns, wordings
from schemas import tables
from schemas.errors import UserError
from schemas.mixing import Paraphrase

OURS = "prompts/instructions.yaml"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Each test has a process's own service, and little patience."""
    monkeypatch.setattr(service_module, "_service", None)
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)


@pytest.fixture
def context(tmp_path) -> Context:
    return Context(Workspace(str(tmp_path / "run")), ".", 7, 1)


def stage(server: Server, count: int = 3, **settings: Any) -> ParaphrasePatterns:
    return ParaphrasePatterns(Paraphrase(endpoint="toy", per_pattern=count), endpoint(server, **settings))


def listed() -> list[dict[str, Any]]:
    return Patterns((OURS,)).process(Batch(empty("patterns"), {}), Context(Workspace("unused"), ".", 1, 1)).rows


def serve(asking: ParaphrasePatterns, context: Context, rows: list[dict[str, Any]] | None = None) -> Result:
    """Let the stage serve the patterns, as a worker does: the law holds, and the rows fit their table."""
    given = Batch(tables.from_rows("patterns", rows or listed()), {})
    asking.setup(context)
    result = asking.process(given, context)
    conserve(asking, given.rows.column("pattern_id").to_pylist(), result)
    tables.from_rows("patterns", result.rows)
    return result


def pattern_of(asked: Asked) -> str:
    return re.findall(r"<instruction>\n(.*)\n</instruction>", "\n".join(asked.turns))[0]


def told(*texts: str) -> Answer:
    return Answer(json.dumps({f"wording_{n}": text for n, text in enumerate(texts, 1)}))


def both_ways(asked: Asked) -> Answer:
    """Answer as one does who words both tasks at once, and says one thing twice."""
    return told("Let me hear {what} alone.", "Please remove {what}.", "let me hear {what} alone", "Erase the {what}.")


def test_a_wording_is_kept_only_where_it_asks_for_the_same(context):
    with serving(both_ways) as server:
        asking = stage(server, count=4)
        rows = serve(asking, context).rows
        assert server.paid.total() == len(listed())
    assert {(row["task"], row["text"]) for row in rows} == {
        ("extract", "Let me hear {what} alone."), ("remove", "Please remove {what}."),
    }  # fmt: skip
    first = rows[0]
    assert (first["pattern_id"], first["original_id"]) == (f"{OURS}:extract:0:0", f"{OURS}:extract:0")
    assert (first["origin"], first["prompt_hash"], first["file"]) == ("toy", asking.prompt.sha256, OURS)
    assert re.fullmatch("[0-9a-f]{64}", first["request"])


def test_what_is_drawn_from_has_the_files_patterns_and_each_wording_once(context):
    with serving(both_ways) as server:
        made = serve(stage(server, count=4), context).rows
    found = wordings(tables.from_rows("patterns", [*made, *listed()]), OURS)
    own = wordings(tables.from_rows("patterns", listed()), OURS)
    assert sorted(found.extract) == sorted([*own.extract, "Let me hear {what} alone."])
    assert sorted(found.remove) == sorted([*own.remove, "Please remove {what}."])


def test_in_a_run_both_stages_write_one_table_each_in_its_partitions(toy):
    with serving(both_ways) as server:
        work = toy(partitions=3, stages=[Patterns((OURS,)), stage(server)])
        drive(work, InlineEngine(work.context), Progress(quiet=True))
    workspace = work.context.workspace
    parts = [
        pq.read_table(workspace.path(f"{node.folder}/p{partition:05d}.parquet"))
        for node in work.nodes
        for partition in range(3)
    ]
    table = pa.concat_tables(parts)
    assert table.num_rows == 2 * len(listed())
    assert sorted(set(table.column("origin").to_pylist())) == ["file", "toy"]
    found = wordings(table, OURS)
    assert found == wordings(table.take(list(reversed(range(table.num_rows)))), OURS)
    assert "Let me hear {what} alone." in found.extract


def test_nothing_is_asked_twice(context):
    with serving(both_ways) as server:
        first = serve(stage(server), context)
        paid = server.paid.total()
        again = serve(stage(server), context)
        assert server.paid.total() == paid
    assert again.rows == first.rows


def test_every_pattern_has_one_outcome_whatever_the_model_answers(context):
    def script(asked: Asked) -> Answer:
        pattern = pattern_of(asked)
        if pattern.startswith("Extract"):
            return told("Remove {what}.")
        if pattern.startswith("Keep"):
            return Answer("I'm sorry, but I can't help with that.")
        if pattern.startswith("Isolate"):
            return Answer("It depends.")
        if pattern.startswith("Separate"):
            return error(400, "content_filter")
        if pattern.startswith("Give"):
            return error(422, message="no")
        return both_ways(asked)

    with serving(script) as server:
        result = serve(stage(server), context)
        again = [asked for asked in server.asked if asked.text.startswith("That cannot be read.")]
    assert dict(result.drops) == {
        f"{OURS}:extract:0": "no_wording_fits",
        f"{OURS}:extract:1": "refused",
        f"{OURS}:extract:2": "unreadable",
        f"{OURS}:extract:3": "refused",
    }
    assert [(reject.key, reject.error) for reject in result.rejects] == [(f"{OURS}:extract:4", "bad_request")]
    assert [pattern_of(asked) for asked in again] == ["Isolate {what} from this recording."]


def test_an_answer_that_cannot_be_read_is_asked_for_once_more(context):
    def script(asked: Asked) -> Answer:
        return both_ways(asked) if asked.text.startswith("That cannot be read.") else Answer("Gladly!")

    with serving(script) as server:
        result = serve(stage(server), context, listed()[:1])
        assert server.paid.total() == 2
    assert [row["text"] for row in result.rows] == ["Let me hear {what} alone."]


def test_its_identity_is_what_determines_the_answers():
    with serving() as server:
        first, cheap = stage(server), stage(server, in_flight=2, usd_per_million_in=1.0, usd_per_million_out=1.0)
        more, other = stage(server, count=4), stage(server, max_tokens=99)
        first.check()
        estimate = first.requests(Batch(tables.from_rows("patterns", listed()), {}), Context(Workspace("x"), ".", 1, 1))
    assert (first.params(), first.revisions()) == (cheap.params(), cheap.revisions())
    assert first.params() not in (more.params(), other.params())
    assert len(estimate) == len(listed())
    assert [name for name, _ in estimate[0].fields] == ["wording_1", "wording_2", "wording_3"]


def test_an_answer_is_read_as_json_or_in_lines_and_nothing_beyond_what_was_asked_for():
    lines = "wording_1: Hear {what} alone.\nwording_2: Just {what}, please.\nwording_3: Solo {what}."
    assert read_wordings(lines, "Keep {what}.", "extract", 2) == ["Hear {what} alone.", "Just {what}, please."]
    assert read_wordings('{"wording_1": null}', "Keep {what}.", "extract", 2) == []
    assert read_wordings("Gladly.", "Keep {what}.", "extract", 2) is None


PLAIN: dict[str, Any] = {
    "version": 1, "system": "Word it.", "ask": "{{ task }}: {{ pattern }} {{ count }}", "again": "Again, {{ count }}.",
    "cases": [{"task": "extract", "pattern": "Keep {what}.", "contains": ["extract: Keep {what}. 3"]}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"version": 2}, "version: Input should be 1"),
        ({"system": "{{ pattern }}"}, "system: 'pattern' is not among what it may name: nothing"),
        ({"ask": "{{ task }}"}, "ask: does not name 'pattern', without which nothing can be worded; add {{ pattern }}"),
        ({"ask": "{{ pattern.a.b }}"}, "a template cannot be rendered"),
        ({"again": "{{ count"}, "again, line 1: "),
        ({"cases": []}, "cases: List should have at least 1 item"),
        ({"cases": [{"task": "extract", "pattern": "Keep {what}."}]}, "cases.0: proves nothing"),
        (
            {"cases": [{"task": "extract", "pattern": "Keep {what}.", "lacks": ["Keep"]}]},
            "cases.0: the question contains 'Keep'",
        ),
        (
            {"cases": [{"task": "extract", "pattern": "a", "answer": "hm", "keeps": ["x"]}]},
            "is kept nothing, not ['x']",
        ),
    ],
)
def test_what_is_wrong_with_a_prompt_is_told_in_one_line(tmp_path: Path, changed: dict[str, Any], words: str):
    file = tmp_path / "p.yaml"
    file.write_text(yaml.safe_dump(PLAIN | changed))
    with pytest.raises(UserError) as found:
        load_paraphrase(str(file), "mix.paraphrase")
    assert str(found.value).startswith(f"mix.paraphrase: {file}: ")
    assert words in str(found.value)
    assert "\n" not in str(found.value)


def test_our_prompt_holds_its_cases():
    assert load_paraphrase("prompts/paraphrase.yaml", "mix.paraphrase").file.cases
