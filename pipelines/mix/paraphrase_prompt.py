"""The prompt by which a model words instruction patterns anew, as a file says it: read, checked, rendered, and its cases held."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import jinja2
from pydantic import Field

from pipelines.listen.answers import plain, stated
from pipelines.llm.prompt_files import check_names, check_words, compiled, names_in, one_line, prompt_bytes
from pipelines.llm.request import Message
from pipelines.mix.meaning import fault_of, same
from pipelines.mix.patterns import Task
from schemas.section import Section
from schemas.strict_yaml import read_yaml

_JINJA = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)

_OF = {"system": frozenset[str](), "ask": frozenset({"task", "pattern", "count"}), "again": frozenset({"count"})}
"""What each part may name: the task, a pattern of it, and how many wordings are wanted."""


class Case(Section):
    """What the question about a pattern must hold; or an answer, and the wordings that are kept of it."""

    task: Task
    pattern: str
    contains: list[str] = Field([], description="words of the question")
    lacks: list[str] = Field([], description="words that the question does not have")
    answer: str | None = None
    keeps: list[str] = Field([], description="the wordings that are kept, in order")
    count: int = Field(3, ge=1, description="wordings that are wanted")


class ParaphraseFile(Section):
    """The file as it is written."""

    version: Literal[1]
    system: str = Field(min_length=1)
    ask: str = Field(min_length=1, description="template of the question")
    again: str = Field(min_length=1, description="template of what is said of an answer that cannot be read")
    cases: list[Case] = Field(min_length=1)


@dataclass(frozen=True)
class ParaphrasePrompt:
    """A file that was checked, and the sha256 of its bytes."""

    file: ParaphraseFile
    sha256: str

    def messages(self, pattern: str, task: Task, count: int) -> tuple[Message, ...]:
        """Return the conversation that asks for ``count`` further wordings of a pattern."""
        asked = compiled(self.file.ask, _JINJA).render(task=task, pattern=pattern, count=count).strip()
        return (
            Message("system", (compiled(self.file.system, _JINJA).render().strip(),)),
            Message("user", (asked,)),
        )

    def again(self, answer: str, count: int) -> tuple[Message, ...]:
        """Return the turns that follow an answer which cannot be read."""
        return (
            Message("assistant", (answer,)),
            Message("user", (compiled(self.file.again, _JINJA).render(count=count).strip(),)),
        )


def fields_of(count: int) -> tuple[tuple[str, str], ...]:
    """Return the fields of an answer with so many wordings, with their descriptions."""
    return tuple((f"wording_{number}", "one sentence that holds {what} once") for number in range(1, count + 1))


def read_wordings(answer: str, pattern: str, task: Task, count: int) -> list[str] | None:
    """Return the wordings of an answer that may stand for a pattern, in order; None where it has no wordings at all.

    What asks for something else, names a sound or says the same as the pattern or as an earlier one is left out
    (`pipelines.mix.meaning`).
    """
    told = stated(plain(answer), [name for name, _ in fields_of(count)])
    if told is None:
        return None
    known, kept = {same(pattern)}, []
    for text in told.values():
        if fault_of(text, task) is None and same(text) not in known:
            known.add(same(text))
            kept.append(text)
    return kept


def load_paraphrase(path: str, key: str) -> ParaphrasePrompt:
    """Read a prompt, given relative to ``configs/``, and let it prove its cases.

    Raises:
        UserError: in one line, the file, the place in it, and what is wrong; ``key`` is the recipe's that names it.
    """
    return _parsed(prompt_bytes(path, key), path, key)


@lru_cache(maxsize=16)
def _parsed(data: bytes, path: str, key: str) -> ParaphrasePrompt:
    with one_line(path, key):
        file = ParaphraseFile.model_validate(read_yaml(data))
        prompt = ParaphrasePrompt(file, hashlib.sha256(data).hexdigest())
        _check_templates(prompt)
        for number, case in enumerate(file.cases):
            _check_case(prompt, case, f"cases.{number}")
    return prompt


def _check_templates(prompt: ParaphrasePrompt) -> None:
    """Raise ValueError for a template that is none, names what there is not, or fails."""
    for part, known in _OF.items():
        used = names_in(getattr(prompt.file, part), _JINJA, part)
        check_names(used, known, part)
        if part == "ask" and "pattern" not in used:
            raise ValueError("ask: does not name 'pattern', without which nothing can be worded; add {{ pattern }}")
    try:
        prompt.messages("Keep only {what}.", "extract", 2)
        prompt.again("Keep {what}.", 2)
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"a template cannot be rendered ({words})") from None


def _check_case(prompt: ParaphrasePrompt, case: Case, place: str) -> None:
    """Raise ValueError for a case that does not hold."""
    if case.answer is not None:
        kept = read_wordings(case.answer, case.pattern, case.task, case.count) or []
        if kept != case.keeps:
            raise ValueError(f"{place}: of {case.answer!r} is kept {kept or 'nothing'}, not {case.keeps or 'nothing'}")
        return
    if not (case.contains or case.lacks):
        raise ValueError(f"{place}: proves nothing; give an answer, or what a question contains or lacks")
    question = str(prompt.messages(case.pattern, case.task, case.count)[-1].parts[0])
    check_words(question, case.contains, case.lacks, place)
