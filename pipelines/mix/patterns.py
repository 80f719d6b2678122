"""Instruction patterns: their files, the stage that lists them as a table, and what a set of mixtures draws from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.llm.prompt_files import one_line, prompt_bytes, prompt_hash
from pipelines.mix.words import Wordings
from schemas.section import Section
from schemas.strict_yaml import read_yaml

KEY = "mix.words.templates"
WHAT = "{what}"

Task = Literal["extract", "remove"]
TASKS: tuple[Task, ...] = ("extract", "remove")

Texts = Annotated[list[str], Field(min_length=1)]


class PatternFile(Section):
    """The file as it is written."""

    version: Literal[1]
    extract: Texts
    remove: Texts

    @field_validator("extract", "remove")
    @classmethod
    def _patterns(cls, value: list[str]) -> list[str]:
        for number, text in enumerate(value):
            if text.count(WHAT) != 1 or text.replace(WHAT, "").count("{"):
                raise ValueError(f"{text!r} must hold {WHAT} once, and no other braces")
            if text in value[:number]:
                raise ValueError(f"{text!r} stands twice")
        return value

    def of(self, task: Task) -> list[str]:
        """Return the patterns of one task."""
        return self.extract if task == "extract" else self.remove


@dataclass(frozen=True)
class Patterns(Stage):
    """Stage ``patterns``: the patterns of all files that sets of mixtures name, a row each.

    Args:
        files: relative to ``configs/``, each once.
    """

    files: tuple[str, ...]

    name = "patterns"
    writes = "patterns"
    key = out_key = "pattern_id"

    def revisions(self) -> dict[str, str]:
        """The files' hashes."""
        return {file: prompt_hash(file, KEY) for file in self.files}

    def check(self) -> None:
        """Raise UserError for a file that is missing or malformed."""
        for file in self.files:
            load_patterns(file)

    def process(self, batch: Batch, context: Context) -> Result:
        """List them."""
        return Result(rows=[row for file in self.files for row in _rows(file)])


def load_patterns(file: str) -> PatternFile:
    """Read a file of patterns, given relative to ``configs/``.

    Raises:
        UserError: in one line, the file, the place in it, and what is wrong.
    """
    data = prompt_bytes(file, KEY)
    with one_line(file, KEY):
        raw = read_yaml(data)
        if not isinstance(raw, dict):
            raise ValueError(
                "holds no settings; it needs version, extract and remove, as prompts/instructions.yaml has"
            )
        return PatternFile.model_validate(raw)


def wordings(patterns: pa.Table, file: str) -> Wordings:
    """Return what a set of mixtures draws its instructions from.

    Args:
        patterns: the table ``patterns``, in any order.
        file: the set's file, relative to ``configs/``.

    Returns:
        Per task the file's patterns in order, each followed by a model's wordings of it; a text that stands there twice, once.

    Raises:
        KeyError: the table has no pattern of the file.
    """
    found: dict[str, list[tuple[tuple[int, ...], str]]] = {task: [] for task in TASKS}
    own = patterns.filter(pc.equal(patterns.column("file"), file)).select(["pattern_id", "task", "text"])
    for pattern_id, task, text in zip(*(column.to_pylist() for column in own.columns), strict=True):
        place = tuple(map(int, pattern_id.removeprefix(f"{file}:{task}:").split(":")))
        found[task].append((place, text))
    if not all(found.values()):
        raise KeyError(f"the table of patterns has none of {file!r}")
    extract, remove = (tuple(dict.fromkeys(text for _, text in sorted(found[task]))) for task in TASKS)
    return Wordings(extract, remove)


def _rows(file: str) -> Iterator[dict[str, Any]]:
    held = load_patterns(file)
    for task in TASKS:
        for number, text in enumerate(held.of(task)):
            pattern_id = f"{file}:{task}:{number}"
            yield {
                "pattern_id": pattern_id,
                "original_id": pattern_id,
                "file": file,
                "task": task,
                "text": text,
                "origin": "file",
                "prompt_hash": None,
                "request": None,
            }
