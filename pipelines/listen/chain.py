"""A chain of questions, as a file says it: read, checked, rendered for a clip, and its answers turned into evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import jinja2
from pydantic import Field

from pipelines.listen.answers import Heard, read_answer
from pipelines.listen.evidence import evidence_row
from pipelines.listen.gates import AnyGate, check_gate, opened
from pipelines.llm.prompt_files import as_data, names_in, one_line, prompt_bytes
from schemas.errors import UserError
from schemas.section import Name, Section
from schemas.strict_yaml import read_yaml

VARIABLES = frozenset({"duration_s", "pictures", "transcript"})
"""What a question may name: the clip's length in seconds, the number of its pictures, and what was said in it."""

_JINJA = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=False)


class Turn(Section):
    """One question: its name in the evidence, its words, and what must have been heard for it to be asked."""

    name: Name = Field(max_length=40)
    ask: str = Field(min_length=1)
    gate: AnyGate = "always"
    about: list[str] = Field([], description="beginnings of words of what the question presumes")
    fields: dict[Name, str] = Field({}, description="what is wanted as JSON: name -> description")


class Case(Section):
    """An answer, and how it must be read."""

    turn: str
    answer: str
    tells: Literal["words", "nothing", "refusal"]
    text: str | None = None
    fields: dict[str, str] | None = None


class ChainFile(Section):
    """The file as it is written."""

    version: Literal[1]
    system: str | None = None
    variables: list[str] = []
    turns: list[Turn] = Field(min_length=1)
    cases: list[Case] = Field(min_length=1)


ABOUT_CLIPS = frozenset({"duration_s", "pictures"})
"""Those of them that are known where clips are asked about."""


@dataclass(frozen=True)
class Chain:
    """A file of questions that was checked, and the sha256 of its bytes."""

    file: ChainFile
    sha256: str

    def turns(self, evidence: Sequence[dict[str, Any]], dataset: str) -> list[Turn]:
        """Return the questions whose gates a clip's evidence opens, in order."""
        return [turn for turn in self.file.turns if opened(turn.gate, evidence, dataset)]

    def render(self, turn: Turn, values: Mapping[str, object]) -> str:
        """Return the words of a question; ``values`` holds what the file declares. Texts among them are data, see :func:`as_data`."""
        given = {name: values[name] for name in self.file.variables}
        safe = {name: as_data(value) if isinstance(value, str) else value for name, value in given.items()}
        return _JINJA.from_string(turn.ask).render(safe).strip()


def answer_of(turn: Turn, text: str, *, refused: bool = False, cut: bool = False) -> Heard:
    """Return what the answer to a question tells."""
    return read_answer(text, turn.about, tuple(turn.fields), refused=refused, cut=cut)


def evidence_of(
    clip_id: str, listener: str, revision: str, answered: Sequence[tuple[Turn, Heard]]
) -> list[dict[str, Any]]:
    """Return the rows of ``evidence`` of one conversation.

    A question that was answered gives a row ``answer`` with its name and the words; a field that was stated gives a further
    one, ``<question>.<field>``. An answer that denies what the question presumes ("there is no speech") gives the row with null
    for its words: it was asked, and there is nothing. A question that was not asked, since its gate is closed, gives no row, nor
    does one that the model refused: nothing is known.
    """
    found: list[tuple[str, str | None]] = []
    for turn, heard in answered:
        if not heard.refused:
            found.append((turn.name, heard.text))
            found += [(f"{turn.name}.{name}", value) for name, value in heard.fields]
    return [
        evidence_row(clip_id, listener, revision, number, kind="answer", name=name, text=text)
        for number, (name, text) in enumerate(found)
    ]


def load_chain(path: str, key: str) -> Chain:
    """Read a file of questions, given relative to ``configs/``, and let it prove its cases.

    Raises:
        UserError: in one line, the file, the place in it, and what is wrong.
    """
    return _parsed(prompt_bytes(path, key), path, key)


def check_about_clips(chain: Chain, path: str, key: str) -> None:
    """Raise UserError for questions that name what is not known where clips are asked about."""
    if unknown := set(chain.file.variables) - ABOUT_CLIPS:
        raise UserError(f"{key}: {path}: asks about {min(unknown)!r}, which is not known here; name another file")


@lru_cache(maxsize=16)
def _parsed(data: bytes, path: str, key: str) -> Chain:
    with one_line(path, key):
        file = ChainFile.model_validate(read_yaml(data))
        _check(file)
    return Chain(file, hashlib.sha256(data).hexdigest())


def _check(file: ChainFile) -> None:
    """Raise ValueError or UserError for names that are not known or stand twice, and for a case that is read otherwise."""
    names = [turn.name for turn in file.turns]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"turns: {min(twice)!r} stands twice")
    if unknown := set(file.variables) - VARIABLES:
        raise ValueError(f"variables: {min(unknown)!r} is not known; there are {', '.join(sorted(VARIABLES))}")
    for number, turn in enumerate(file.turns):
        check_gate(turn.gate, f"turns.{number}.gate")
        used = names_in(turn.ask, _JINJA, f"turns.{number}.ask")
        if undeclared := used - set(file.variables):
            raise ValueError(f"turns.{number}.ask: {min(undeclared)!r} is not among the file's variables")
    for number, case in enumerate(file.cases):
        if case.turn not in names:
            raise ValueError(f"cases.{number}.turn: no turn is named {case.turn!r}")
        heard = answer_of(file.turns[names.index(case.turn)], case.answer)
        told = "refusal" if heard.refused else "nothing" if heard.text is None else "words"
        if told != case.tells:
            raise ValueError(f"cases.{number}: {case.answer!r} is read as {told}, not as {case.tells}")
        if case.text is not None and heard.text != case.text:
            raise ValueError(f"cases.{number}: {case.answer!r} is read as {heard.text!r}, not as {case.text!r}")
        if case.fields is not None and dict(heard.fields) != case.fields:
            raise ValueError(f"cases.{number}: {case.answer!r} is read as {dict(heard.fields)}, not as {case.fields}")
