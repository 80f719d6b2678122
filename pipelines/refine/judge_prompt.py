"""The prompt of a judge, as a file says it: read, checked, rendered as a conversation about one caption, and its cases held."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import jinja2
from pydantic import Field

from pipelines.describe.grounds import Facts
from pipelines.describe.known import EXAMPLE, VARIABLES, Known, cleaned
from pipelines.llm.prompt_files import check_names, check_words, compiled, names_in, one_line, prompt_bytes
from pipelines.llm.request import Message
from pipelines.refine.agreement import agreement
from pipelines.refine.claims import Claim, Near
from pipelines.refine.judge_answers import Verdict, read_verdicts
from pipelines.unify.names import default_index
from schemas.section import Section
from schemas.strict_yaml import read_yaml

MOST_CAPTION, MOST_CLAIM = 2000, 200
"""Characters that are shown of a caption, and of a claim."""

_JINJA = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)

_OF = {
    "system": frozenset[str](),
    "ask": frozenset({"clip", "caption", "claims", "count"}),
    "again": frozenset({"count"}),
}
"""What each part may name: the blocks of what is known, of the caption and of its claims, and the number of these."""

_TAGS = ("clip", "caption", "claims")


class Example(Section):
    """A clip and a caption, made up by us, with the right verdicts on its claims: a turn before the question."""

    clip: Known
    caption: str
    verdicts: list[Verdict]


class Case(Section):
    """A clip and a caption, and what the question about them must hold; or an answer, and how it must be read."""

    clip: Known = Known()
    caption: str = "A dog barks."
    contains: list[str] = Field([], description="words of the question")
    lacks: list[str] = Field([], description="words that the question does not have")
    answer: str | None = None
    tells: list[Verdict] = Field([], description="the verdicts; empty: it cannot be read")
    claims: int = Field(2, ge=1, description="claims that the answer is about")


class JudgeFile(Section):
    """The file as it is written."""

    version: Literal[1]
    system: str = Field(min_length=1)
    variables: list[str] = []
    answers: list[str] = Field([], description="questions whose answers are named, e.g. `speech.emotion`")
    clip: str = Field(min_length=1, description="template of what is known of the clip; it stands between <clip> tags")
    ask: str = Field(min_length=1, description="template of the question")
    again: str = Field(min_length=1, description="template of what is said of an answer that cannot be read")
    examples: list[Example] = []
    cases: list[Case] = Field(min_length=1)


@dataclass(frozen=True)
class JudgePrompt:
    """A judge's file that was checked, and the sha256 of its bytes."""

    file: JudgeFile
    sha256: str

    def says(self, known: Known) -> bool:
        """Say whether anything of a clip that the prompt names tells what sounds."""
        return known.says(self.file.variables, self.file.answers)

    def messages(self, known: Known, caption: str, claims: Sequence[Claim]) -> tuple[Message, ...]:
        """Return the conversation that asks for a verdict on each claim: instructions, examples, and the question."""
        return (*self._opening, Message("user", (self._asked(known, caption, claims),)))

    def again(self, answer: str, count: int) -> tuple[Message, ...]:
        """Return the turns that follow an answer which cannot be read."""
        return (
            Message("assistant", (answer,)),
            Message("user", (compiled(self.file.again, _JINJA).render(count=count).strip(),)),
        )

    @cached_property
    def _opening(self) -> tuple[Message, ...]:
        messages = [Message("system", (compiled(self.file.system, _JINJA).render().strip(),))]
        for example in self.file.examples:
            asked = self._asked(example.clip, example.caption, claims_of(example.caption))
            told = json.dumps(dict(zip(_names(len(example.verdicts)), example.verdicts, strict=True)))
            messages += [Message("user", (asked,)), Message("assistant", (told,))]
        return tuple(messages)

    def _asked(self, known: Known, caption: str, claims: Sequence[Claim]) -> str:
        told = compiled(self.file.clip, _JINJA).render(known.shown(self.file.variables, self.file.answers))
        lines = [f"{number}. {_said(each)}" for number, each in enumerate(claims, 1)]
        blocks = (
            "\n".join(filter(None, map(str.rstrip, told.splitlines()))),
            cleaned(caption, MOST_CAPTION),
            "\n".join(lines),
        )
        named = {tag: f"<{tag}>\n{block}\n</{tag}>" for tag, block in zip(_TAGS, blocks, strict=True)}
        return compiled(self.file.ask, _JINJA).render(named | {"count": len(claims)}).strip()


def fields_of(count: int) -> tuple[tuple[str, str], ...]:
    """Return the fields of an answer about so many claims, with their descriptions."""
    return tuple((name, "supported, contradicted or cannot tell") for name in _names(count))


def claims_of(text: str, near: Near | None = None) -> list[Claim]:
    """Return the claims of a caption that ``score`` counts, in the order of its words; they depend on nothing but these."""
    counted = agreement(text, (), Facts(), default_index(), near=near).counted
    return sorted((each.claim for each in counted), key=lambda claim: (claim.start, claim.end))


def load_judge(path: str, key: str) -> JudgePrompt:
    """Read a judge's prompt, given relative to ``configs/``, and let it prove its cases.

    Raises:
        UserError: in one line, the file, the place in it, and what is wrong; ``key`` is the recipe's that names it.
    """
    return _parsed(prompt_bytes(path, key), path, key)


def _said(claim: Claim) -> str:
    """Return a claim in the caption's words; what "man" claims of who speaks is told beside it."""
    meant = f" ({claim.value.replace(':', ': ')})" if claim.kind == "speech" else ""
    return f"{claim.kind}: {cleaned(claim.text, MOST_CLAIM)}{meant}"


def _names(count: int) -> list[str]:
    return [f"claim_{number}" for number in range(1, count + 1)]


@lru_cache(maxsize=16)
def _parsed(data: bytes, path: str, key: str) -> JudgePrompt:
    with one_line(path, key):
        file = JudgeFile.model_validate(read_yaml(data))
        prompt = JudgePrompt(file, hashlib.sha256(data).hexdigest())
        _check_templates(prompt)
        for number, example in enumerate(file.examples):
            _check_example(file, example, f"examples.{number}")
        for number, case in enumerate(file.cases):
            _check_case(prompt, case, f"cases.{number}")
    return prompt


def _check_templates(prompt: JudgePrompt) -> None:
    """Raise ValueError for a template that is none, names what is not declared, or fails with all or nothing known."""
    file = prompt.file
    if unknown := set(file.variables) - VARIABLES:
        raise ValueError(f"variables: {min(unknown)!r} is not known; there are {', '.join(sorted(VARIABLES))}")
    declared = {"clip": frozenset({*file.variables, *(["answers"] if file.answers else [])}), **_OF}
    used: dict[str, set[str]] = {}
    for part, known in declared.items():
        used[part] = names_in(getattr(file, part), _JINJA, part)
        check_names(used[part], known, part)
    if unused := declared["clip"] - used["clip"]:
        raise ValueError(f"clip: does not name {min(unused)!r}, which is declared; name it or declare it not")
    if lacking := set(_TAGS) - used["ask"]:
        raise ValueError(
            f"ask: does not name {min(lacking)!r}, without which nothing can be judged; add {{{{ {min(lacking)} }}}}"
        )
    if any(f"<{slash}{tag}" in file.clip for tag in _TAGS for slash in ("", "/")):
        raise ValueError("clip: writes the tags that are put around what is shown; leave them out")
    full = EXAMPLE.model_copy(update={"answers": {name: ["a dog"] for name in file.answers}})
    for known_of, how in ((Known(), "nothing"), (full, "everything")):
        try:
            prompt.messages(known_of, "A dog barks.", claims_of("A dog barks."))
            prompt.again("A dog.", 1)
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            words = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"a template cannot be rendered where {how} is known ({words})") from None


def _check_example(file: JudgeFile, example: Example, place: str) -> None:
    """Raise ValueError for an example that shows what is not declared, or has not a verdict for each of its claims."""
    _check_shown(file, example.clip, place)
    found = [claim.text for claim in claims_of(example.caption)]
    if len(found) != len(example.verdicts):
        raise ValueError(
            f"{place}.verdicts: the caption has {len(found)} claims ({'; '.join(found)}); give one for each"
        )


def _check_shown(file: JudgeFile, clip: Known, place: str) -> None:
    hidden = (clip.model_fields_set - {"answers"} - set(file.variables)) | (set(clip.answers) - set(file.answers))
    if hidden:
        raise ValueError(f"{place}.clip: {min(hidden)!r} is not declared by this file, and so not shown; leave it out")


def _check_case(prompt: JudgePrompt, case: Case, place: str) -> None:
    """Raise ValueError for a case that does not hold."""
    _check_shown(prompt.file, case.clip, place)
    if case.answer is not None:
        told = list(read_verdicts(case.answer, case.claims) or ())
        if told != case.tells:
            raise ValueError(
                f"{place}: {case.answer!r} is read as {told or 'nothing'}, not as {case.tells or 'nothing'}"
            )
        return
    if not (case.contains or case.lacks):
        raise ValueError(f"{place}: proves nothing; give an answer, or what a question contains or lacks")
    question = str(prompt.messages(case.clip, case.caption, claims_of(case.caption))[-1].parts[0])
    check_words(question, case.contains, case.lacks, place)
