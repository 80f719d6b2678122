"""The rules that a written caption keeps: what is tidied, what is refused and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pydantic import Field

from pipelines.describe.grounds import same_words
from pipelines.describe.language import count_words, is_in
from pipelines.listen.answers import read_answer
from schemas.section import Section

_CALLED = r"(?:audio |sound |final |revised |short )?(?:caption|description|sentence|output|title)"
_LEAD = re.compile(
    r"^\s*(?:[-*•–]\s+|\(?\d{1,3}\s?[.):\]](?!\d)\s*"
    rf"|{_CALLED}(?: ?\d{{1,3}})?\s*:\s*)+",
    re.IGNORECASE,
)
"""What models put before a caption: a bullet, a number, ``Caption:``."""

_QUOTES = {'"': '"', "“": "”", "«": "»", "„": "“", "'": "'", "‘": "’", "*": "*", "`": "`", "「": "」"}
_CAPITAL = re.compile(r"(?:^|, )[A-Z](?=[a-z])")
_EMPHASIS = re.compile(r"\*\*|__")
_SENTENCE = re.compile(r"[.!?]+[\"”’)]*\s+(?=[^\W\d_])|[。！？](?=.)")
_END = re.compile(r"[.!?…。！？][\"”’)]*$")
_MARKUP = re.compile(r"[<>{}|\\^~]|```|#{2,}")
_SAID = re.compile(r"[\"“”«»„][^\"“”«»„]{2,}[\"“”«»]|[‘'][^\W\d_]+(?: [^\W\d_]+){2,}[.!?]?['’](?!\w)")

_DIGITS = re.compile(r"\d")
_COUNTS = (
    "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
    "|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundreds?|thousands?|millions?|dozens?"
)
_NUMBER = re.compile(rf"\b(?:{_COUNTS})\b", re.IGNORECASE)
_UNIT = re.compile(r"(?<![A-Za-z])(?:k?hz|mhz|dbs?|dbfs|kbps|bpm|rpm|mph|km/h|kmh|km|cm|mm|kg|mb|fps)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_RUN = 5
"""Words in a row that a caption may not take from a transcript."""


class Style(Section):
    """One style: what its captions are like, and its own limits in place of the rules'."""

    ask: str = Field(min_length=1, description="instructions")
    most_words: int | None = Field(None, ge=1)
    least_words: int | None = Field(None, ge=1)
    most_sentences: int | None = Field(None, ge=1)
    sentence: bool = Field(True, description="false: no capital and no full stop, as of a list of keywords")


class Rules(Section):
    """What every caption keeps."""

    most_words: int = Field(ge=1)
    least_words: int = Field(2, ge=1)
    most_sentences: int = Field(1, ge=1)
    failure: list[str] = Field([], description="answers that say that nothing known of the clip tells of a sound")
    banned: list[str] = Field([], description="words and phrases that a caption may not hold")
    numbers: bool = Field(True, description="false: no digits and no number words from two on")
    units: bool = Field(True, description="false: no units such as Hz or dB")
    names: bool = Field(True, description="false: no capitalised words but the first of a sentence")
    names_allowed: list[str] = Field([], description="capitalised words that are no names")
    labels: bool = Field(True, description="false: no label of two or more words stands in the caption as it is")
    speech: bool = Field(True, description="false: no quoted words, and no five words in a row of the transcript")


@dataclass(frozen=True)
class Limits:
    """What holds of one caption beside its prompt's rules.

    Attributes:
        style: its style.
        language: BCP 47. Rules on English words hold for English alone.
        labels: the clip's labels.
        transcript: what is said in the clip, if it is known.
    """

    style: Style
    language: str = "en"
    labels: Sequence[str] = ()
    transcript: str = ""


@dataclass(frozen=True)
class Answered:
    """What an answer came to.

    Attributes:
        what: ``caption``; ``refused`` by the model; ``failure``: it says that nothing tells of a sound; ``broken``: a rule is.
        text: the caption, or the answer tidied.
        reason: which rules are broken, in words that can be told to the model.
    """

    what: Literal["caption", "refused", "failure", "broken"]
    text: str = ""
    reason: str = ""


def answered(answer: str, rules: Rules, limits: Limits, *, refused: bool = False, cut: bool = False) -> Answered:
    """Return what an answer about one clip came to.

    Args:
        answer: the model's words.
        rules: the prompt's.
        limits: the clip's and the style's.
        refused: the server says itself that the model declined.
        cut: the answer ends where its tokens did.
    """
    heard = read_answer(answer, refused=refused)
    if heard.refused:
        return Answered("refused")
    text = tidy(heard.text or "", limits.style.sentence)
    if any(
        same_words(text) == same_words(word) or same_words(text).startswith(f"{same_words(word)} ")
        for word in rules.failure
    ):
        return Answered("failure", text)
    reasons = [*(["it was cut off"] if cut else []), *broken(text, rules, limits)]
    return Answered("broken", text, "; ".join(reasons)) if reasons else Answered("caption", text)


def tidy(text: str, sentence: bool = True) -> str:
    """Return a caption on one line, without emphasis, index, bullet, ``Caption:`` and outer quotes.

    A sentence gets a capital and a full stop; what is none loses both, at each comma, so that a name there is not seen as one.
    """
    text = " ".join(_EMPHASIS.sub("", text).split())
    before = ""
    while text != before:
        before = text
        text = _LEAD.sub("", text).strip()
        while len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[-1] not in text[1:-1]:
            text = text[1:-1].strip()
    if not sentence:
        return _CAPITAL.sub(lambda found: found[0].lower(), text.rstrip(". "))
    if not text or not any(c.isalpha() for c in text):
        return text
    text = f"{text[0].upper()}{text[1:]}"
    return text if _END.search(text) else f"{text.rstrip(',;:-– ')}{'。' if ord(text[-1]) > 0x2E80 else '.'}"


def broken(text: str, rules: Rules, limits: Limits) -> list[str]:
    """Return the rules that a tidied caption breaks, in words; empty: none."""
    style, found = limits.style, []
    words, sentences = count_words(text), len(_SENTENCE.findall(text)) + 1
    most, least = style.most_words or rules.most_words, style.least_words or rules.least_words
    if not words:
        return ["it is no caption"]
    if words > most:
        found.append(f"it has {words} words, and {most} are the most")
    if words < least:
        found.append(f"it has {words} word{'s' if words > 1 else ''}, and {least} are the least")
    if sentences > (style.most_sentences or rules.most_sentences):
        found.append(f"it has {sentences} sentences, and {style.most_sentences or rules.most_sentences} is the most")
    if _MARKUP.search(text):
        found.append("it holds markup")
    if not is_in(text, limits.language):
        found.append(f"it is not in the language {limits.language}")
    if not rules.numbers and (number := _DIGITS.search(text) or (_english(limits) and _NUMBER.search(text)) or None):
        found.append(f"it holds the number {number[0]}")
    if not rules.units and (unit := _UNIT.search(text)):
        found.append(f"it holds the unit {unit[0]}")
    if not rules.names and _english(limits) and (names := names_in(text, rules.names_allowed)):
        found.append(f"it holds the name {names[0]}")
    if _english(limits) and (banned := _phrases(tuple(rules.banned)).search(text)):
        found.append(f"it holds the word {banned[0].lower()}")
    if not rules.labels and (label := _label_in(text, limits.labels)):
        found.append(f"it repeats the label {label}")
    if not rules.speech and (_SAID.search(text) or _quotes(text, limits.transcript)):
        found.append("it repeats what is said")
    return found


def names_in(text: str, allowed: Sequence[str] = ()) -> list[str]:
    """Return the capitalised words of an English text that are no sentence's first, nor ``I``, nor ``allowed``.

    A name that begins a sentence cannot be told from another word by its letters alone, and is not found.
    """
    known = {"I", *allowed}
    found = []
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        words = _WORD.findall(sentence)
        for word in words[1:]:
            plain = re.sub(r"['’]\w+$", "", word)
            if plain[0].isupper() and plain not in known:
                found.append(plain)
    return found


def _english(limits: Limits) -> bool:
    return limits.language.partition("-")[0].lower() == "en"


def _label_in(text: str, labels: Sequence[str]) -> str | None:
    said = f" {same_words(text)} "
    return next((label for label in labels if " " in same_words(label) and f" {same_words(label)} " in said), None)


def _quotes(text: str, transcript: str) -> bool:
    said, words = f" {same_words(transcript)} ", same_words(text).split()
    return any(f" {' '.join(words[i : i + _RUN])} " in said for i in range(len(words) - _RUN + 1))


@lru_cache(maxsize=64)
def _phrases(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern of words and phrases; without any it matches nothing."""
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b" if words else r"(?!)", re.IGNORECASE)
