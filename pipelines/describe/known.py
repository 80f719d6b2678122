"""What a prompt may name of a clip, by variable: declared, bounded, and as text that nothing in it can escape."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from pipelines.llm.prompt_files import as_data
from schemas.section import Section

MOST_TEXT = {"title": 200, "description": 1500, "transcript": 1000, "best": 500}
"""Characters of a text that a prompt is shown, by variable."""

MOST_ITEM = {"answers": 600, "captions": 300, "unsupported": 100}
"""Characters of one text of a list, by variable; of the others :data:`MOST_WORD`."""

MOST_WORD = 80
MOST_ITEMS = 40
"""Texts of a list that a prompt is shown, and characters of one."""

_MOST_RAW = 20_000
"""Characters of a text that are looked at."""

_LINK = re.compile(r"<[^<>]{0,500}>|\b(?:https?://|www\.)\S+|\b[\w.+-]{1,64}@[\w-]{1,64}\.[\w.]{1,64}", re.IGNORECASE)
"""What is no word about the sound: a tag of HTML, a URL, an address."""

_TO_MODEL = re.compile(
    r"\b(?:ignor|disregard|forget|overrid|bypass)\w*\b.{0,60}?\b(?:instruct|prompt|rule|previous|prior|above|before|everything)"
    r"|\b(?:system|developer) (?:prompt|message)|\b(?:api|secret|access)[ _-]?keys?\b|\byou (?:are|must|will|should)\b"
    r"|\b(?:new|following|these|previous|your) instructions?\b|\bas an? (?:ai|language model|assistant)\b|\bjailbreak"
    r"|\b(?:answer|respond|reply|output|print|repeat|say|write)\b.{0,30}\b(?:with|only|exactly|instead|following|caption|clip|line)"
    r"|\bclips? ?(?:n ?=|no\b|number\b|#|\d)|\b(?:user|assistant|system) ?:|<\|?/?\w[^>]{0,60}>|\[/?(?:INST|SYS)\]|^\W*\d{1,3} ?[.):]\s"
    r"|[\n\r\u2028\u2029]\W*\d{1,3} ?[.):]\s|\bfailure\b",
    re.IGNORECASE,
)
"""What speaks to a model, or looks like a part of a request, rather than of a sound."""


class Event(Section):
    """A sound with its time, in seconds from the clip's start."""

    name: str
    onset_s: float
    offset_s: float


class Known(Section):
    """What is known of a clip, by the names that a prompt declares; what is not known is null or empty."""

    duration_s: float | None = Field(None, description="the clip's length in seconds")
    labels: list[str] = Field([], description="names of the publisher's labels, timed ones included")
    tags: list[str] = Field([], description="names of classes that listeners heard, the surest first")
    events: list[Event] = Field([], description="sounds with their times, in order of their onsets")
    answers: dict[str, list[str]] = Field({}, description="answers by the name of the question, as it was asked")
    facts: list[str] = Field([], description="what was measured, in words, such as `quiet` or `high-pitched`")
    captions: list[str] = Field([], description="captions that came with the dataset")
    keywords: list[str] = Field([], description="the uploader's keywords")
    title: str | None = Field(None, description="the uploader's title")
    description: str | None = Field(None, description="the uploader's description")
    transcript: str | None = Field(None, description="what is said, as far as the recipe's privacy keeps it")
    spoken_language: str | None = Field(None, description="the language that is spoken, as the recogniser names it")
    best: str | None = Field(None, description="in later rounds, the best caption of those before")
    unsupported: list[str] = Field([], description="in later rounds, what nothing supports of what that one claims")

    def shown(self, variables: Sequence[str], answers: Sequence[str]) -> dict[str, Any]:
        """Return the declared variables as a template is given them: all texts cleaned and bounded, see :func:`cleaned`.

        ``answers`` has an entry per declared question, its dots as underscores, with a list of texts, empty: none.
        """
        out: dict[str, Any] = {}
        for name in variables:
            value = getattr(self, name)
            if isinstance(value, str):
                out[name] = cleaned(value, MOST_TEXT.get(name, MOST_WORD))
            elif name == "events":
                spans = [(cleaned(e.name, MOST_WORD), round(e.onset_s, 1), round(e.offset_s, 1)) for e in value]
                out[name] = [
                    dict(zip(("name", "onset_s", "offset_s"), span, strict=True)) for span in spans[:MOST_ITEMS]
                ]
            elif isinstance(value, list):
                out[name] = _texts(value, MOST_ITEM.get(name, MOST_WORD))
            else:
                out[name] = None if value is None else round(value, 1)
        if answers:
            told = ((name, self.answers.get(name, [])) for name in answers)
            out["answers"] = {name.replace(".", "_"): _texts(texts, MOST_ITEM["answers"]) for name, texts in told}
        return out

    def says(self, variables: Sequence[str], answers: Sequence[str]) -> bool:
        """Say whether anything that a prompt declares tells what sounds; a length and what was measured alone do not."""
        shown = self.shown([name for name in variables if name in NAMING], answers)
        return any(any(value.values()) if isinstance(value, Mapping) else value for value in shown.values())

    def speaks_to_models(self) -> bool:
        """Say whether a text that came with the clip seems to be meant for a model: it had better be asked about alone."""
        texts = [self.title or "", self.description or "", *self.labels, *self.keywords, *self.captions]
        return any(_TO_MODEL.search(text[:_MOST_RAW]) for text in texts)


VARIABLES = frozenset(Known.model_fields) - {"answers"}
"""What a prompt's ``variables`` may declare; the questions whose answers it names stand apart."""

NAMING = frozenset(VARIABLES) - {"duration_s", "facts", "spoken_language", "best", "unsupported"}
"""Those that can tell what sounds."""

EXAMPLE = Known(
    duration_s=10.0,
    labels=["Dog"],
    tags=["Bark"],
    events=[Event(name="Bark", onset_s=0.5, offset_s=1.5)],
    facts=["loud"],
    captions=["A dog barks."],
    keywords=["dog"],
    title="Dog",
    description="A dog.",
    transcript="sit",
    spoken_language="english",
    best="A dog barks.",
    unsupported=["barks"],
)
"""All that a prompt can be shown, to try its templates with; answers are added by name."""


def cleaned(text: str, most: int) -> str:
    """Return a text that is not ours as :func:`pipelines.listen.chain.as_data` does, without tags, URLs and addresses.

    Letters that only look like others (full-width brackets, say) are first made plain (Unicode's NFKC), so that they cannot
    play the part of a delimiter.

    Args:
        text: whatever an uploader, a publisher or a model wrote.
        most: characters that are kept; a text that is longer ends at a word.
    """
    plain = as_data(_LINK.sub(" ", unicodedata.normalize("NFKC", text[:_MOST_RAW])))
    return plain if len(plain) <= most else plain[:most].rpartition(" ")[0] or plain[:most]


def _texts(texts: Sequence[str], most: int) -> list[str]:
    kept = (cleaned(text, most) for text in texts[:MOST_ITEMS])
    return [text for text in dict.fromkeys(kept) if text]
