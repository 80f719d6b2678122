"""AudioSetCaps' form (Bai et al., TASLP 2025): captions, and beside them the answers that they were made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipelines.listen.chain import load_chain
from pipelines.llm.prompt_files import prompt_hash
from pipelines.publish.form import ID_TAKEN, Format, Served
from pipelines.publish.items import Item, Side
from pipelines.publish.names import YouTubeNames
from pipelines.publish.sealed import SealedRun
from pipelines.publish.sinks import CsvFile
from schemas.errors import UserError
from schemas.recipe import Recipe

NO_ANSWERS = "no_answers"
"""Why a clip with a caption has no line of answers: nobody was asked about it, or nobody answered."""
PUBLISHED = 3
"""Answers per clip in the published files."""


@dataclass(frozen=True)
class Questions:
    """What was asked by ear: by which stage, and the questions' names in the order of their chain."""

    stage: str
    names: tuple[str, ...]


@dataclass
class Export(Format):
    """``<recipe>_caption.csv`` and ``<recipe>_Q&A.csv``."""

    proposed = False

    def __post_init__(self) -> None:
        self._captions = CsvFile(self.box, self.products[0], ("id", "caption"))
        asked = len(self.questions.names) if self.questions else 0
        columns = [f"answer_{number}" for number in range(1, max(PUBLISHED, asked) + 1)]
        self._answers = CsvFile(self.box, self.products[1], ("id", *columns))
        self._name = YouTubeNames(self.run.recipe)

    @property
    def products(self) -> tuple[str, ...]:
        """Both tables."""
        return f"{self.run.recipe.name}_caption.csv", f"{self.run.recipe.name}_Q&A.csv"

    @cached_property
    def questions(self) -> Questions | None:
        """The questions of the first model in the recipe that was asked by ear; None: none was."""
        return questions_of(self.run, self.run.recipe)

    @property
    def sides(self) -> dict[str, Side]:
        """The answers of that model."""
        if self.questions is None:
            return {}
        columns = ("evidence_id", "clip_id", "kind", "name", "text")
        return {"evidence": Side(columns, ("kind", "answer"), self.questions.stage)}

    def serve(self, item: Item) -> Served:
        """Write a clip's caption, and its answers if it has any."""
        name, (captions, answers) = self._name(item), self.products
        if not self.take("", name):
            return self.left_out(ID_TAKEN)
        self._captions.add({"id": name, "caption": item.caption["caption"]})
        said = {row["name"]: row["text"] or "" for row in item.more.get("evidence", [])}
        if said and self.questions:
            told = {f"answer_{n}": said.get(question, "") for n, question in enumerate(self.questions.names, 1)}
            self._answers.add({"id": name, **told})
        left = {captions: None, answers: None if said else NO_ANSWERS}
        return Served(left, name, (item.caption["candidate_id"],))

    def close(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        """Tell whose answers they are."""
        asked = self.questions
        return {"questions": list(asked.names) if asked else [], "answers_of": asked.stage if asked else None}


def questions_of(run: SealedRun, recipe: Recipe) -> Questions | None:
    """Return what the first model of a recipe was asked that hears the clips; None: there is none.

    Raises:
        UserError: the file of questions is not the one that was asked by, so that their order is not known.
    """
    chats = [(choice.name or choice.use, choice.chain, "listen.chats") for choice in recipe.listen.chats]
    asks = [(ask.name, ask.chain, "listen.ask") for ask in recipe.listen.ask if ask.attach == "sound"]
    for name, path, part in (*chats, *asks):
        stage, key = f"ask_{name}", f"{part} {name}"
        if prompt_hash(path, key) != run.identity(stage)["revisions"]["chain"]:
            raise UserError(f"{key}: {path} is not the file that the run asked by; put that one back into configs/")
        return Questions(stage, tuple(turn.name for turn in load_chain(path, key).file.turns))
    return None
