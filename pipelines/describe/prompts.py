"""The prompt of a writer, as a file says it: read, checked, rendered as a conversation, and its answers judged by its rules."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import jinja2
from pydantic import Field

from pipelines.describe.known import EXAMPLE, VARIABLES, Known
from pipelines.describe.packing import numbered
from pipelines.describe.rules import Answered, Limits, Rules, Style, answered
from pipelines.llm.prompt_files import as_data, compiled, names_in, one_line, prompt_bytes
from pipelines.llm.request import Message
from schemas.section import Name, Section
from schemas.strict_yaml import read_yaml

_JINJA = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)

ABOUT_ALL = frozenset({"style", "least_words", "most_words", "language", "indexed"})
"""What ``system``, ``ask`` and ``again`` may name: the style's instructions and limits, the language (BCP 47), and whether several
clips are asked about at once, each with its index."""

_OF = {"system": ABOUT_ALL, "ask": ABOUT_ALL | {"clips", "count"}, "again": ABOUT_ALL | {"reason"}}
"""What else each of them may name: the clips, between their tags, and their number; why an answer will not do."""


class Example(Section):
    """A clip, made up by us, and its caption: a turn of the conversation before the question."""

    clip: Known
    caption: str
    style: Name | None = Field(None, description="the style that it shows; not given: all")
    language: str = "en"


class Case(Section):
    """A clip, and what its request must hold; or an answer, and what must become of it."""

    clip: Known = Known()
    style: Name | None = Field(None, description="the first one if not given")
    contains: list[str] = Field([], description="words of the instructions or the question")
    lacks: list[str] = Field([], description="words that the question does not have")
    answer: str | None = None
    becomes: str | None = Field(None, description="the caption")
    breaks: str | None = Field(None, description="a part of the reason for which it is refused")
    comes_to: Literal["caption", "refused", "failure", "broken"] | None = None


class PromptFile(Section):
    """The file as it is written."""

    version: Literal[1]
    system: str = Field(min_length=1)
    variables: list[str] = []
    answers: list[str] = Field([], description="questions whose answers are named, e.g. `speech.emotion`")
    clip: str = Field(min_length=1, description="template of what is told of one clip; it stands between <clip> tags")
    ask: str = Field(min_length=1, description="template of the question about one clip or several")
    again: str = Field(min_length=1, description="template of what is said of a caption that breaks a rule")
    styles: dict[Name, Style] = Field(min_length=1)
    rules: Rules
    examples: list[Example] = []
    cases: list[Case] = Field(min_length=1)


@dataclass(frozen=True)
class Prompt:
    """A prompt file that was checked, and the sha256 of its bytes."""

    file: PromptFile
    sha256: str
    _opened: dict[tuple[str, str, bool], tuple[Message, ...]] = field(default_factory=dict, compare=False, repr=False)

    def says(self, known: Known) -> bool:
        """Say whether anything of a clip that the prompt names tells what sounds."""
        return known.says(self.file.variables, self.file.answers)

    def messages(self, clips: Sequence[Known], style: str, language: str) -> tuple[Message, ...]:
        """Return the conversation that asks for a caption of each clip: instructions, examples, and the question.

        Several clips are numbered from 1, and so are the examples' captions then; one clip is not.
        """
        indexed = len(clips) > 1
        key = (style, language, indexed)
        if key not in self._opened:
            self._opened[key] = self._opening(*key)
        return (*self._opened[key], Message("user", (self._asked(clips, *key),)))

    def _opening(self, style: str, language: str, indexed: bool) -> tuple[Message, ...]:
        """Return the messages before the question, which are the same for all clips."""
        shown = [e for e in self.file.examples if e.style in (None, style) and e.language == language]
        messages = [Message("system", (self._rendered("system", style, language, indexed),))]
        for examples in ([shown] if shown else []) if indexed else [[each] for each in shown]:
            captions = [example.caption for example in examples]
            asked = self._asked([example.clip for example in examples], style, language, indexed)
            told = numbered(captions) if indexed else captions[0]
            messages += [Message("user", (asked,)), Message("assistant", (told,))]
        return tuple(messages)

    def again(self, answer: str, reason: str, style: str, language: str) -> tuple[Message, ...]:
        """Return the turns that follow an answer which breaks a rule: the answer, and why it will not do."""
        words = self._rendered("again", style, language, False, reason=as_data(reason))
        return (Message("assistant", (answer,)), Message("user", (words,)))

    def judged(
        self, answer: str, known: Known, style: str, language: str, *, refused: bool = False, cut: bool = False
    ) -> Answered:
        """Return what an answer about one clip came to, by the rules."""
        limits = Limits(self.file.styles[style], language, known.labels, known.transcript or "")
        return answered(answer, self.file.rules, limits, refused=refused, cut=cut)

    def block(self, known: Known, number: int | None = None) -> str:
        """Return what is told of a clip, between its tags, which nothing within can close."""
        told = compiled(self.file.clip, _JINJA).render(known.shown(self.file.variables, self.file.answers))
        lines = "\n".join(filter(None, map(str.rstrip, told.splitlines())))
        return f"<clip{'' if number is None else f' {number}'}>\n{lines}\n</clip>"

    def _asked(self, clips: Sequence[Known], style: str, language: str, indexed: bool) -> str:
        blocks = [self.block(known, number if indexed else None) for number, known in enumerate(clips, 1)]
        return self._rendered("ask", style, language, indexed, clips="\n".join(blocks), count=len(clips))

    def _rendered(self, part: str, style: str, language: str, indexed: bool, **values: object) -> str:
        own, rules = self.file.styles[style], self.file.rules
        about = {
            "style": own.ask.strip(),
            "least_words": own.least_words or rules.least_words,
            "most_words": own.most_words or rules.most_words,
            "language": language,
            "indexed": indexed,
            **values,
        }
        return compiled(getattr(self.file, part), _JINJA).render(about).strip()


def load_prompt(path: str, key: str) -> Prompt:
    """Read a prompt, given relative to ``configs/``, and let it prove its cases.

    Raises:
        UserError: in one line, the file, the place in it, and what is wrong.
    """
    return _parsed(prompt_bytes(path, key), path, key)


@lru_cache(maxsize=16)
def _parsed(data: bytes, path: str, key: str) -> Prompt:
    with one_line(path, key):
        prompt = Prompt(PromptFile.model_validate(read_yaml(data)), hashlib.sha256(data).hexdigest())
        _check_names(prompt.file)
        _check_templates(prompt)
        for number, example in enumerate(prompt.file.examples):
            _check_example(prompt, example, f"examples.{number}")
        for number, case in enumerate(prompt.file.cases):
            _check_case(prompt, case, f"cases.{number}")
    return prompt


def _check_names(file: PromptFile) -> None:
    """Raise ValueError for variables and styles that are not known or stand twice."""
    for part, names in (("variables", file.variables), ("answers", file.answers)):
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{part}: {twice[0]!r} stands twice; name each once")
    if unknown := set(file.variables) - VARIABLES:
        raise ValueError(f"variables: {min(unknown)!r} is not known; there are {', '.join(sorted(VARIABLES))}")
    plain = [name.replace(".", "_") for name in file.answers]
    for name in plain:
        if not name.isidentifier():
            raise ValueError(f"answers: {name!r} is no name of a question; write one such as sounds or speech.emotion")
        if plain.count(name) > 1:
            raise ValueError(f"answers: two of them are {name!r} in a template; name one of the two")
    named = [(f"examples.{number}", example.style) for number, example in enumerate(file.examples)]
    named += [(f"cases.{number}", case.style) for number, case in enumerate(file.cases)]
    for place, wanted in named:
        if wanted is not None and wanted not in file.styles:
            raise ValueError(f"{place}.style: no style is named {wanted!r}; there are {', '.join(file.styles)}")
    for name, style in file.styles.items():
        if (style.least_words or file.rules.least_words) > (style.most_words or file.rules.most_words):
            raise ValueError(f"styles.{name}: its least_words are more than its most_words; mend one of them")


def _check_templates(prompt: Prompt) -> None:
    """Raise ValueError for a template that is none, names what is not declared, or fails with all or nothing known."""
    file = prompt.file
    declared = {"clip": {*file.variables, *(["answers"] if file.answers else [])}, **_OF}
    for part, known in declared.items():
        used = names_in(getattr(file, part), _JINJA, part)
        if undeclared := used - known:
            place = "the file's variables" if part == "clip" else f"what it may name: {', '.join(sorted(known))}"
            raise ValueError(f"{part}: {min(undeclared)!r} is not among {place}")
        if part == "clip" and (unused := known - used):
            raise ValueError(f"clip: does not name {min(unused)!r}, which is declared; name it or declare it not")
    if "clips" not in names_in(file.ask, _JINJA, "ask"):
        raise ValueError("ask: does not name 'clips', without which nothing is told of them; add {{ clips }}")
    if "<clip" in file.clip or "</clip" in file.clip:
        raise ValueError("clip: writes the <clip> tags, which are put around it; leave them out")
    full = EXAMPLE.model_copy(update={"answers": {name: ["a dog"] for name in file.answers}})
    for known_of, how in ((Known(), "nothing"), (full, "everything")):
        try:
            prompt.block(known_of)
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            raise ValueError(f"clip: cannot be rendered where {how} is known ({_on_one_line(error)})") from None
    for style in file.styles:
        try:
            for clips in ([full], [full, full]):
                prompt.messages(clips, style, "en")
            prompt.again("A dog.", "no", style, "en")
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            raise ValueError(f"system, ask or again: cannot be rendered ({_on_one_line(error)})") from None


def _check_example(prompt: Prompt, example: Example, place: str) -> None:
    """Raise ValueError for an example that names what the prompt does not show, or breaks a rule itself."""
    _check_shown(prompt.file, example.clip, place)
    for style in [example.style] if example.style else list(prompt.file.styles):
        came = prompt.judged(example.caption, example.clip, style, example.language)
        if came.what not in ("caption", "failure"):
            raise ValueError(
                f"{place}.caption: {example.caption!r} breaks the prompt's own rules ({came.reason or came.what})"
            )


def _check_shown(file: PromptFile, clip: Known, place: str) -> None:
    given = clip.model_fields_set - {"answers"} - set(file.variables)
    asked = set(clip.answers) - set(file.answers)
    if given or asked:
        raise ValueError(
            f"{place}.clip: {min(given or asked)!r} is not declared by this file, and so not shown; leave it out"
        )


def _check_case(prompt: Prompt, case: Case, place: str) -> None:
    """Raise ValueError for a case that does not hold."""
    style = case.style or next(iter(prompt.file.styles))
    _check_shown(prompt.file, case.clip, place)
    if case.answer is None:
        if not (case.contains or case.lacks):
            raise ValueError(f"{place}: proves nothing; give an answer, or what a request contains or lacks")
        told = prompt.messages([case.clip], style, "en")
        system, question = (str(message.parts[0]) for message in (told[0], told[-1]))
        for words in case.contains:
            if words not in question and words not in system:
                raise ValueError(f"{place}: the request does not contain {words!r}")
        for words in case.lacks:
            if words in question:
                raise ValueError(f"{place}: the question contains {words!r}")
        return
    came = prompt.judged(case.answer, case.clip, style, "en")
    wanted = case.comes_to or ("caption" if case.becomes is not None else "broken" if case.breaks else None)
    if wanted is None:
        raise ValueError(f"{place}: proves nothing of its answer; give becomes, breaks or comes_to")
    if came.what != wanted:
        raise ValueError(f"{place}: {case.answer!r} comes to {came.what} ({came.reason or came.text}), not to {wanted}")
    if case.becomes is not None and came.text != case.becomes:
        raise ValueError(f"{place}: {case.answer!r} becomes {came.text!r}, not {case.becomes!r}")
    if case.breaks and case.breaks not in came.reason:
        raise ValueError(f"{place}: {case.answer!r} is refused since {came.reason}, not since {case.breaks!r}")


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
