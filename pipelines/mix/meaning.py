"""Whether a wording may stand for an instruction pattern: it asks for the same, for any sound, and names none itself."""

from __future__ import annotations

import re

from pipelines.mix.patterns import WHAT, Task
from pipelines.mix.query import classes_in

MOST_LETTERS = 160
"""Letters of a wording, more than twice those of our longest pattern."""

_ARTICLE = re.compile(r"\b(?:(?:an?|the)\s+(?:\w+\s+)?|(?:any|some|this|that|these|those)\s+)\{what\}", re.IGNORECASE)
"""``{what}`` brings its own article: "the siren". "The sound of {what}" is none of these: two words stand between."""

_TAKES_AWAY = re.compile(
    r"\b(?:remov\w*|delet\w*|eras\w*|eliminat\w*|discard\w*|exclud(?:e|es|ed)|suppress\w*|strip\w*|scrub\w*|purg\w*|block\w*"
    r"|silenc\w*|mut(?:e|es|ed|ing)|reject\w*|drop\w*|omit\w*|subtract\w*|get(?:ting)? rid|rid|clear\w*|clean\w*|cut\w*"
    r"|filter\w*|turn(?:s|ing)? off|tak(?:e|es|ing)\b.*\b(?:out|away)|leav(?:e|es|ing)\b.{0,12}\bout|not|never|no longer|\w+n['’]t)\b",
    re.IGNORECASE,
)
_ALL_BUT = re.compile(
    r"(?<!nothing )(?<!no one )\b(?:except|excepting|excluding|but|besides|beside|apart from|other than|save|minus|without)"
    r"(?: for| only| just)?(?: the sounds? of)?\s+\{what\}",
    re.IGNORECASE,
)


def asks_to(text: str) -> Task:
    """Return what an English wording asks for: that ``{what}`` is extracted, or that it is removed.

    It is removed where something is taken away, or where all but ``{what}`` is asked for; not where both are so ("remove
    everything except {what}").
    """
    return "remove" if bool(_TAKES_AWAY.search(text)) != bool(_ALL_BUT.search(text)) else "extract"


def fault_of(text: str, task: Task) -> str | None:
    """Return why a wording cannot stand for a pattern of a task; None: it can."""
    if text.count(WHAT) != 1 or re.search("[{}]", text.replace(WHAT, "")):
        return f"does not hold {WHAT} once"
    if len(text) > MOST_LETTERS or "\n" in text:
        return "is too long"
    if _ARTICLE.search(text):
        return f"puts an article before {WHAT}"
    if classes_in(text.replace(WHAT, "it")):
        return "names a sound"
    if asks_to(text) != task:
        return "asks for the opposite"
    return None


def same(text: str) -> str:
    """Return the form in which wordings are compared: lower-case words, without punctuation."""
    return " ".join(re.findall(r"[^\W_]+|\{what\}", text.lower()))
