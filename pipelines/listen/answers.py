"""Reading an answer: whether it refuses, whether it denies that there is anything to tell, and the fields that it states."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_THOUGHTS = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"^\s*```[a-z]*\s*\n?(.*?)\n?\s*```\s*$", re.DOTALL | re.IGNORECASE)
_LEAD = re.compile(r"^(?:\*\*|#+ ?)?(?:answer|response|output|assistant)(?:\*\*)?\s*:\s*(?:\*\*)?\s*", re.IGNORECASE)

_NOTHING = frozenset(
    {"", "none", "n/a", "na", "n.a", "null", "nil", "nothing", "no", "no answer", "absent", "unknown", "unclear"}
    | {f"not {word}" for word in ("applicable", "available", "clear", "specified", "present", "mentioned", "known")}
)
"""Answers, and values of fields, that state nothing."""

_CANNOT = (
    r"(?:can(?:not|['’]?t)|(?:am|['’]m|is|are) (?:not able|unable)|(?:do|does)(?:n['’]t| not) have|won['’]t|will not"
    r"|must decline)"
)
_SERVE = (
    r"(?:assist|help|comply|do (?:that|this)|fulfil|provide|answer|process|listen|hear|play|access|see|view|look|watch"
    r"|analy[sz]e|open|(?:the )?(?:audio|sound|image|picture|video|file))"
)
_REFUSALS = (
    rf"\b(?:I|we|(?:this|the) (?:model|assistant))\b[^.!?]{{0,60}}?{_CANNOT} (?:to )?(?:the ability to |(?:any )?access to )?"
    rf"(?:directly )?{_SERVE}",
    rf"\bas an? (?:AI|artificial|large language|language|text)[^.!?]{{0,60}}{_CANNOT}",
    r"\bagainst (?:my|our) (?:policy|policies|guidelines)",
    r"\bno (?:audio|image|picture|sound)s? (?:was|were|is|are|ha(?:s|ve) been) (?:provided|attached|given|uploaded|included)",
)
_REFUSAL = re.compile("|".join(_REFUSALS), re.IGNORECASE)

_NOT = (
    r"(?:no|not|without|never|neither|nor|none|nobody|absence|lacks?|lacking|devoid"
    r"|(?:can|is|are|does|do|was|were|has|have)n['’]?t)"
)
_NEGATION = re.compile(rf"\b(?:{_NOT}|cannot|unable)\b", re.IGNORECASE)
_BEFORE = re.compile(rf"\b{_NOT}\b(?:[\s,]+[\w'’-]+){{0,4}}[\s,]*$", re.IGNORECASE)
"""A negation, and at most four words up to what it negates: "does not contain any"."""
_AFTER = re.compile(
    r"^[\w'’-]*(?:\s+[\w'’-]+){0,4}?\s+(?:(?:is|are|was|were|can|could)(?:\s+not|n['’]?t)|cannot)(?:\s+be)?\s+"
    r"(?:\w+\s+)?(?:present|audible|detect\w*|heard|included|there|identif\w*|discern\w*|applicable|available|found)"
    r"|^[\w'’-]*(?:\s+[\w'’-]+){0,2}?\s+(?:is|are)\s+(?:absent|inaudible|silent|missing)",
    re.IGNORECASE,
)
"""What follows a word and says that it is not there: " is not present"; " is not clear" does not."""
_CLAUSE = re.compile(
    r"[.;!?\n]+|,?\s*\b(?:but|however|although|though|except|whereas|while|until|then|later|afterwards)\b,?"
)
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|‘[^’]*’(?!\w)|(?<!\w)'.+?'(?!\w)")
_SORRY = re.compile(r"^\s*(?:I['’]?m|I am|we['’]?re)?\s*(?:sorry|afraid)\b|^\s*(?:my )?apolog", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?。！？]['\"”’)]?(?=\s|$)|[。！？]")


@dataclass(frozen=True)
class Heard:
    """What an answer tells.

    Attributes:
        text: its words; None: it denies that there is anything to tell.
        fields: those that were asked for and are stated.
        refused: it declines to answer; then there is neither text nor fields.
    """

    text: str | None
    fields: tuple[tuple[str, str], ...] = ()
    refused: bool = False


def read_answer(
    answer: str, about: Sequence[str] = (), fields: Sequence[str] = (), *, refused: bool = False, cut: bool = False
) -> Heard:
    """Return what an answer tells.

    Args:
        answer: the model's words.
        about: words of what the question presumes, such as ``speech``, ``voice``: an answer that says of these only that they
            are not there denies it; one that goes on to speak of them does not.
        fields: names that are wanted as JSON; an answer in lines of ``name: value`` or in words is read as well.
        refused: the server says itself that the model declined.
        cut: the answer ends where its tokens did; what follows its last whole sentence is left out.
    """
    text = plain(answer)
    if refused:
        return Heard(None, refused=True)
    if fields and (found := stated(text, fields)) is not None:
        known = tuple((name, found[name]) for name in fields if found.get(name))
        return Heard("; ".join(f"{name}: {value}" for name, value in known) or None, known)
    if nothing(text) or (about and denies(text, about)):
        return Heard(None)
    if _REFUSAL.search(_QUOTED.sub("", text)[:300]) or (_SORRY.search(text) and _NEGATION.search(text) and not about):
        return Heard(None, refused=True)
    if about and _SORRY.search(text) and _NEGATION.search(text):
        return Heard(None)  # "I'm sorry, but the emotion cannot be told": asked, and nothing to tell
    return Heard(whole_sentences(text) if cut else text)


def plain(answer: str) -> str:
    """Return an answer without a reasoning model's thoughts, a code fence, a label such as ``Answer:`` and outer quotes."""
    text = _THOUGHTS.sub("", answer).strip()
    if fence := _FENCE.match(text):
        text = fence[1].strip()
    text = _LEAD.sub("", text).strip()
    if len(text) > 1 and text[0] + text[-1] in ('""', "“”", "''") and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def nothing(text: str) -> bool:
    """Say whether a text states nothing, such as ``N/A`` or ``None``."""
    return text.strip(" .!*_-\"'()[]").lower() in _NOTHING


def denies(text: str, about: Sequence[str]) -> bool:
    """Say whether a text says of what it is asked about only that it is not there."""
    words = re.compile(rf"\b(?:{'|'.join(re.escape(word) for word in about)})", re.IGNORECASE)
    told = []
    for clause in _CLAUSE.split(text):
        if first := words.search(clause):
            told.append(bool(_BEFORE.search(clause[: first.start()]) or _AFTER.search(clause[first.end() :])))
    return bool(told) and all(told)


def whole_sentences(text: str) -> str:
    """Return a text up to the end of its last whole sentence; all of it where there is none."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else text


def stated(text: str, names: Sequence[str]) -> dict[str, str] | None:
    """Return the fields that a text states, as JSON or in lines of ``name: value``; None where it has neither form.

    JSON may stand among other words, with single quotes, trailing commas or other capitals in its names. A value that states
    nothing is left out, so that an object of nulls is an empty dict.
    """
    found = _object(text)
    if found is None:
        lines = (re.match(r"^[\s*_-]*([\w ]+?)[\s*_]*[:=][\s*_]*(.+?)[\s*_,]*$", line) for line in text.splitlines())
        found = {line[1]: line[2] for line in lines if line}
    by_name = {re.sub(r"[\s_-]+", "_", str(key)).strip("_").lower(): value for key, value in found.items()}
    held = {name: _value(by_name[name.lower()]) for name in names if name.lower() in by_name}
    return {name: value for name, value in held.items() if value} if held else None


def _object(text: str) -> dict[str, Any] | None:
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    inner = text[start : end + 1]
    for read, candidate in (
        (json.loads, inner),
        (json.loads, re.sub(r",\s*([}\]])", r"\1", inner)),
        (ast.literal_eval, inner),
    ):
        try:
            found = read(candidate)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return None


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(part for part in map(_value, value) if part)
    if value is None or isinstance(value, (bool, dict)):
        return ""
    text = " ".join(str(value).split()).strip("\"'")
    return "" if nothing(text) else text
