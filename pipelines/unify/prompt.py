"""Prompts that ask a language model for the classes of numbered texts: read, checked, rendered, and their cases held."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import jinja2
from pydantic import Field

from pipelines.describe.known import cleaned
from pipelines.llm.prompt_files import check_names, check_words, compiled, names_in, one_line, prompt_bytes
from pipelines.llm.request import Message
from pipelines.unify.answers import Told, read_told
from pipelines.unify.names import default_index
from schemas.section import Section
from schemas.strict_yaml import read_yaml

MOST_TEXT = 500
"""Characters that are shown of a text."""

_JINJA = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_OF = {"system": {"classes"}, "ask": {"texts", "count"}, "again": {"count"}}
"""What each part may name: all classes, the texts between tags, and their number."""


class Case(Section):
    """Texts, and what the question about them must hold; or an answer, and how it must be read."""

    texts: list[str] = ["a dog"]
    contains: list[str] = Field([], description="words of the question")
    lacks: list[str] = Field([], description="words that the question does not have")
    answer: str | None = None
    count: int = Field(1, ge=1, description="texts that the answer is about")
    tells: list[str] | None = Field(
        None,
        description="of each text its classes, separated by semicolons, `no sound` or `unknown`; null: it cannot be read",
    )


class ClassesFile(Section):
    """The file as it is written."""

    version: int = Field(ge=1, le=1)
    system: str = Field(min_length=1, description="template of the instructions; names `classes`")
    ask: str = Field(min_length=1, description="template of the question; names `texts`")
    again: str = Field(min_length=1, description="template of what is said of an answer that cannot be read")
    cases: list[Case] = Field(min_length=1)


@dataclass(frozen=True)
class ClassesPrompt:
    """A file that was checked, and the sha256 of its bytes."""

    file: ClassesFile
    sha256: str

    @cached_property
    def system(self) -> str:
        """The instructions with the names of all classes that a clip can be labelled with; the same for every question."""
        usable = [node.name for node in default_index().ontology.classes if not (node.abstract or node.blacklist)]
        return compiled(self.file.system, _JINJA).render(classes="\n".join(sorted(usable))).strip()

    def messages(self, texts: Sequence[str]) -> tuple[Message, ...]:
        """Return the conversation that asks for the classes of each text; these are data: cleaned, bounded, between tags."""
        lines = [f"{number}. {cleaned(text, MOST_TEXT)}" for number, text in enumerate(texts, 1)]
        block = "\n".join(["<texts>", *lines, "</texts>"])
        asked = compiled(self.file.ask, _JINJA).render(texts=block, count=len(texts)).strip()
        return Message("system", (self.system,)), Message("user", (asked,))

    def again(self, answer: str, count: int) -> tuple[Message, ...]:
        """Return the turns that follow an answer which cannot be read."""
        return Message("assistant", (answer,)), Message(
            "user", (compiled(self.file.again, _JINJA).render(count=count).strip(),)
        )


def fields_of(count: int) -> tuple[tuple[str, str], ...]:
    """Return the fields of an answer about so many texts, with their descriptions."""
    words = "names of classes, separated by semicolons; or: no sound; or: unknown"
    return tuple((f"text_{number}", words) for number in range(1, count + 1))


def load_classes_prompt(path: str, key: str) -> ClassesPrompt:
    """Read a file, given relative to ``configs/``, and let it prove its cases.

    Raises:
        UserError: in one line, the file, the place in it, and what is wrong; ``key`` is the recipe's that names it.
    """
    return _parsed(prompt_bytes(path, key), path, key)


@lru_cache(maxsize=16)
def _parsed(data: bytes, path: str, key: str) -> ClassesPrompt:
    with one_line(path, key):
        prompt = ClassesPrompt(ClassesFile.model_validate(read_yaml(data)), hashlib.sha256(data).hexdigest())
        for part, known in _OF.items():
            _check_names(getattr(prompt.file, part), part, known)
        for number, case in enumerate(prompt.file.cases):
            _check_case(prompt, case, f"cases.{number}")
    return prompt


def _check_names(template: str, part: str, known: set[str]) -> None:
    """Raise ValueError for a template that is none, names what is not there, or lacks what nothing can be told without."""
    used = names_in(template, _JINJA, part)
    check_names(used, known, part)
    if lacking := (known - {"count"}) - used:
        raise ValueError(f"{part}: does not name {min(lacking)!r}; add {{{{ {min(lacking)} }}}}")


def _check_case(prompt: ClassesPrompt, case: Case, place: str) -> None:
    """Raise ValueError for a case that does not hold."""
    if case.answer is not None:
        told = read_told(case.answer, case.count)
        found = None if told is None else [_shown(each) for each in told]
        if found != case.tells:
            raise ValueError(
                f"{place}: {case.answer!r} is read as {found or 'nothing'}, not as {case.tells or 'nothing'}"
            )
        return
    if not (case.contains or case.lacks):
        raise ValueError(f"{place}: proves nothing; give an answer, or what a question contains or lacks")
    question = str(prompt.messages(case.texts)[-1].parts[0])
    check_words(question, case.contains, case.lacks, place)


def _shown(told: Told) -> str:
    if told.class_ids is None:
        return "unknown"
    return "; ".join(default_index().ontology[class_id].name for class_id in told.class_ids) or "no sound"
