"""Reading what a language model says of numbered texts: the classes of each, that one is no sound, or that it is not known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.listen.answers import plain
from pipelines.unify.names import default_index

_KEY = re.compile(r"^\W*(?:text|name|caption|item)?[\s_#-]*(\d{1,3})\W*$", re.IGNORECASE)
_LINE = re.compile(r"^\W{0,4}(?:text|name|caption|item)?[\s_#-]*(\d{1,3})\s?[.):=]\s*(.*)$", re.IGNORECASE)
_SILENT = frozenset({"no sound", "no_sound"})


@dataclass(frozen=True)
class Told:
    """What a model says of one text.

    Attributes:
        class_ids: classes that it names, in its order; empty: it says that the text is no sound; None: it does not know, or
            names nothing that is a class.
        words: what it says.
    """

    class_ids: tuple[str, ...] | None
    words: str


def read_told(answer: str, count: int) -> tuple[Told, ...] | None:
    """Return what is said of each of ``count`` texts, in order; None unless each is spoken of exactly once.

    JSON is read (an object by number, a list in order), or else lines that begin with a number. A number that no text has, or
    one that stands twice, makes all of it useless: it cannot be known which text is meant.
    """
    text = plain(answer)
    found: dict[int, Told] = {}
    for number, words in _in_json(text, count) or list(_in_lines(text)):
        if number in found or not 1 <= number <= count:
            return None
        found[number] = told(words)
    return tuple(found[number] for number in sorted(found)) if len(found) == count else None


def told(words: str) -> Told:
    """Return what one answer says; what is no class of the ontology in it is passed over."""
    words = " ".join(words.split())
    if words.strip(" .").lower() in _SILENT:
        return Told((), words)
    index = default_index()
    matches = (index.lookup(part.strip(" .\"'*")) for part in words.split(";"))
    named = dict.fromkeys(match.class_id for match in matches if match is not None)
    return Told(tuple(named) or None, words)


def _in_json(text: str, count: int) -> list[tuple[int, str]]:
    starts = [at for at in map(text.find, "{[") if at >= 0]
    if not starts:
        return []
    try:
        # Pairs are kept as they stand: of a key that stands twice, a dict would silently keep the last.
        found = json.loads(text[min(starts) : max(map(text.rfind, "}]")) + 1], object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return []
    if isinstance(found, _Pairs):
        return [(int(known[1]), _words(value)) for key, value in found if (known := _KEY.match(key))]
    return [(number, _words(each)) for number, each in enumerate(found, 1)] if len(found) == count else []


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON as its keys and values, in order."""


def _words(value: Any) -> str:
    """Return a value as words; a list is joined as the prompt asks for it."""
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return "unknown" if value is None else str(value)


def _in_lines(text: str) -> Iterator[tuple[int, str]]:
    for line in text.splitlines():
        if found := _LINE.match(line):
            yield int(found[1]), found[2]
