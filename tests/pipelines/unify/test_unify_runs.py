"""Whole runs of what leads to classes: names are gathered, asked once, reviewed by a person, and what is known reaches the clips."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import soundfile
from llm_server import Answer, Asked, Server, endpoint, serving

from kill import data_files
from pipelines.catalog.views import views_sql
from pipelines.core.drive import drive
from pipelines.core.graph import build_graph
from pipelines.core.progress import Progress
from pipelines.core.stage import Context, Stage
from pipelines.core.work import Work
from pipelines.core.workspace import Workspace
from pipelines.engines.inline import InlineEngine
from pipelines.ingest.index import Index
from pipelines.ingest.stage import Ingest
from pipelines.listen.publisher import Publisher
from pipelines.llm import service as service_module
from pipelines.unify.categorise import Categorise
from pipelines.unify.datasets import Datasets
from pipelines.unify.extract import ExtractTags
from pipelines.unify.names_stage import Names
from pipelines.unify.review import write_review
from pipelines.unify.stage import Unify
from pipelines.unify.vocabulary import Vocabulary
from schemas import recipe
from schemas.errors import UserError
from schemas.recipe import Data, Dataset

DOG, CAT, RAIN, SIREN = "/m/0bt9lr", "/m/01yrx", "/m/06mb1", "/m/03kmc9"
LABELS = ["Dog", "koira", "kissa", "Rain", "koira", "kaunis"]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Each run has a process's own service."""
    monkeypatch.setattr(service_module, "_service", None)


@pytest.fixture
def root(tmp_path) -> Path:
    """Return a folder of six short sounds with a label each, one of them with a caption."""
    lines = ["file,labels,caption"]
    for number, label in enumerate(LABELS):
        soundfile.write(tmp_path / f"{number}.wav", [0.1, -0.1] * (4000 + number), 8000)
        lines.append(f"{number}.wav,{label},{'A siren wails.' if number == 5 else ''}")
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def script(asked: Asked) -> Answer:
    known = {"koira": "Dog", "kissa": "Cat", "kaunis": "unknown", "A siren wails.": "Siren"}
    texts = re.findall(r"^\d+\. (.*)$", asked.text, re.MULTILINE)
    return Answer(json.dumps({f"text_{n}": known[text] for n, text in enumerate(texts, 1)}))


def stages(root: Path, server: Server | None = None, **unify: Any) -> list[Stage]:
    asked = {"endpoint": "toy", "tags": "toy"} if server else {}
    own = recipe.Unify(**asked, **unify)
    place = [endpoint(server)] if server else []
    return [
        Index(Data(root=str(root), datasets=[Dataset(adapter="folder", name="mine")])),
        Ingest(8000, 10.0, "first", 0.1),
        Publisher(),
        Datasets((("mine", "folder"),)),
        Vocabulary(),
        *(Categorise(own, each) for each in place),
        Names(own.embeddings, own.review, bool(place)),
        *(ExtractTags(own, each) for each in place),
        Unify(own.embeddings, bool(place)),
    ]


def run(root: Path, out: str, chosen: list[Stage], partitions: int = 3) -> Work:
    work = Work(build_graph(chosen, 1), Context(Workspace(str(root / out)), str(root), 1, partitions))
    work.sweep()
    drive(work, InlineEngine(work.context), Progress(quiet=True))
    work.context.workspace.write("views.sql", views_sql(work).encode())
    return work


def rows(work: Work, stage: str) -> list[dict[str, Any]]:
    folder = next(node.folder for node in work.nodes if node.stage.name == stage)
    paths = sorted(Path(work.context.workspace.root, folder).glob("p?????.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def names(work: Work) -> dict[str, tuple[list[str], str, int]]:
    return {row["name"]: (row["class_ids"], row["origin"], row["clips"]) for row in rows(work, "names")}


def states(work: Work) -> list[str]:
    return sorted({row["clip_id"]: row["state"] for row in rows(work, "unify")}.values())


def test_without_a_model_names_that_no_table_knows_leave_their_clips_partial(root):
    work = run(root, "run", stages(root))
    assert names(work) == {
        "Dog": ([DOG], "name", 1), "Rain": ([RAIN], "name", 1), "koira": ([], "none", 2), "kissa": ([], "none", 1),
        "kaunis": ([], "none", 1)}  # fmt: skip
    assert states(work) == ["labelled"] * 2 + ["partial"] * 4


def test_a_model_is_asked_once_about_each_name_and_caption_and_a_second_run_asks_nothing(root, monkeypatch):
    with serving(script) as server:
        work = run(root, "run", stages(root, server))
        paid = server.paid.total()
        assert paid == 2
        monkeypatch.setattr(service_module, "_service", None)
        again = run(root, "run", stages(root, server))
        assert {name for name, _ in again.reused} == {node.stage.name for node in again.nodes}
        assert server.paid.total() == paid
    assert names(work)["koira"] == ([DOG], "categorise", 2)
    assert states(work) == ["labelled"] * 5 + ["partial"]
    siren = [row for row in rows(work, "unify") if row["class_id"] == SIREN]
    assert [(row["origin"], row["state"]) for row in siren] == [("caption:alias", "partial")]
    assert [(row["class_id"], row["answer"]) for row in rows(work, "extract_tags")] == [(SIREN, "Siren")]


def test_a_person_reviews_what_is_unsure_and_wins_the_next_time(root, monkeypatch):
    with serving(script) as server:
        work = run(root, "run", stages(root, server))
        assert write_review(work.context.workspace, root / "review.csv") == 3
        with pytest.raises(UserError, match="is there already"):
            write_review(work.context.workspace, root / "review.csv")
        with (root / "review.csv").open(newline="") as file:
            told = list(csv.DictReader(file))
        assert [(row["name"], row["classes"], row["origin"], row["clips"]) for row in told] == [
            ("koira", "Dog", "categorise", "2"), ("kaunis", "", "none", "1"), ("kissa", "Cat", "categorise", "1")]  # fmt: skip
        told[0]["classes"], told[1]["classes"] = "Dog; Rain", "no sound"
        with (root / "review.csv").open("w", newline="") as file:
            out = csv.DictWriter(file, list(told[0]))
            out.writeheader()
            out.writerows(told)
        paid = server.paid.total()
        monkeypatch.setattr(service_module, "_service", None)
        after = run(root, "run", stages(root, server, review="review.csv"))
        assert server.paid.total() == paid
    found = names(after)
    assert found["koira"] == ([DOG, RAIN], "review", 2)
    assert found["kissa"] == ([CAT], "review", 1)
    assert found["kaunis"] == ([], "no_sound", 1)
    assert states(after) == ["inferred"] + ["labelled"] * 5
    assert write_review(after.context.workspace, root / "second.csv") == 3


def test_a_changed_review_redoes_names_and_what_follows_and_nothing_before(root):
    (root / "review.csv").write_text("dataset,name,classes\nmine,koira,Dog\n")
    run(root, "run", stages(root, review="review.csv"))
    (root / "review.csv").write_text("dataset,name,classes\nmine,koira,Cat\n")
    after = run(root, "run", stages(root, review="review.csv"))
    redone = {node.stage.name for node in after.nodes} - {name for name, _ in after.reused}
    assert redone == {"names", "unify"}
    assert names(after)["koira"][:2] == ([CAT], "review")


def test_two_runs_give_the_same_bytes_and_the_number_of_partitions_the_same_names(root, monkeypatch):
    with serving(script) as server:
        first = run(root, "a", stages(root, server))
        monkeypatch.setattr(service_module, "_service", None)
        run(root, "b", stages(root, server))
        monkeypatch.setattr(service_module, "_service", None)
        other = run(root, "c", stages(root, server), partitions=1)
    a, b = ({k: v for k, v in data_files(root / out).items() if "unify" in k or "names" in k} for out in "ab")
    assert a == b
    assert names(first) == names(other)
    assert sorted(map(str, rows(first, "unify"))) == sorted(map(str, rows(other, "unify")))
