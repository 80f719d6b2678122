"""Reading what a model says of numbered claims: a verdict on each of them, or nothing that can be used."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

from pipelines.listen.answers import plain

Verdict = Literal["supported", "contradicted", "cannot tell"]

_SAID = re.compile(
    r"\b(?:(?P<open>un(?:supported|known|clear|certain|verifi\w+|determined)|insufficient|not enough"
    r"|can(?:not|['’]?t| not)[ _-]*(?:be )?(?:tell|told|say|said|determin\w*|verif\w*|decid\w*|confirm\w*|judged?)"
    r"|(?:not|neither|is ?n['’]?t|part(?:ly|ially)|no(?:thing| evidence)?) (?:\w+ )?"
    r"(?:support|contradict|tell|mention|known|clear|stat)\w*)"
    r"|(?P<yes>supported)|(?P<no>contradicted))\b",
    re.IGNORECASE,
)
_OF: dict[str, Verdict] = {"yes": "supported", "no": "contradicted", "open": "cannot tell"}
_CHOICE = re.compile(
    r"\W*(?:[/|,]|or\b)\s*(?:or )?\W*(?:supported|contradicted|can(?:not|['’]?t| not) tell)", re.IGNORECASE
)
"""What follows a verdict where all that may be said are listed: nothing is chosen."""

_LINE = re.compile(r"^\W{0,6}(?:claim[\s_#-]*)?(\d{1,3})\b\W*(.*)$", re.IGNORECASE)
_NEXT = re.compile(r"(?<=[\w.,;])\s+(?=(?:claim[\s_#-]*)?\d{1,3}\s?[.):=]\s)", re.IGNORECASE)
"""Between two answers that were written on one line."""
_KEY = re.compile(r"^\W*(?:claim)?[\s_#-]*(\d{1,3})\W*$", re.IGNORECASE)
_TELLS = re.compile(r"verdict|judg|answer|label|status|result", re.IGNORECASE)


def read_verdicts(answer: str, count: int) -> tuple[Verdict, ...] | None:
    """Return the verdict on each of ``count`` claims, in order; None unless each has exactly one.

    JSON is read (an object by number, a list in order, a list of objects), or else lines that begin with a number; what
    stands around them, and reasons behind a verdict, are passed over. A number that there is no claim of, or one with two
    verdicts, makes all of it useless: it cannot be known which claim is meant.

    Args:
        answer: the model's words.
        count: claims that were asked about, 1 or more.
    """
    text = plain(answer)
    for told in (_in_json(text, count), _in_lines(text)):
        found = _each(told, count)
        if found is not None:
            return found
    alone = _verdict(text) if count == 1 and not _LINE.match(text) else None
    return (alone,) if alone else None


def _each(told: list[tuple[int, Verdict | None]], count: int) -> tuple[Verdict, ...] | None:
    found: dict[int, Verdict] = {}
    for number, verdict in told:
        if verdict is None or not 1 <= number <= count or found.setdefault(number, verdict) != verdict:
            return None
    return tuple(found[number] for number in sorted(found)) if len(found) == count else None


def _verdict(text: str) -> Verdict | None:
    """Return what a text begins with, or else what alone it says; None where it says nothing or more than one thing."""
    text = re.sub(r"^\W+", "", text)
    said = list(_SAID.finditer(text))
    if not said or _CHOICE.match(text, said[0].end()):
        return None
    kinds = {cast(str, found.lastgroup) for found in said}
    first = cast(str, said[0].lastgroup)
    return _OF[first] if said[0].start() == 0 or len(kinds) == 1 else None


def _in_lines(text: str) -> list[tuple[int, Verdict | None]]:
    numbered: list[tuple[int, str]] = []
    for line in _NEXT.sub("\n", text).splitlines():
        if found := _LINE.match(line):
            numbered.append((int(found[1]), found[2]))
        elif numbered:  # a verdict may stand below the claim that it repeats
            numbered[-1] = (numbered[-1][0], f"{numbered[-1][1]} {line}")
    return [(number, _verdict(words)) for number, words in numbered]


def _in_json(text: str, count: int) -> list[tuple[int, Verdict | None]]:
    starts = [place for place in (text.find("{"), text.find("[")) if place >= 0]
    if not starts:
        return []
    inner = text[min(starts) : max(text.rfind("}"), text.rfind("]")) + 1]
    readers: tuple[tuple[Callable[[str], Any], str], ...] = (
        (_json, inner),
        (_json, re.sub(r",\s*([}\]])", r"\1", inner)),
        (ast.literal_eval, inner),
    )
    for read, candidate in readers:
        try:
            return list(_members(read(candidate), count))
        except _TwiceError:
            break
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return []


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once)


class _TwiceError(Exception):
    """A key stands twice in an object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; _TwiceError where a key stands twice, of which JSON's readers keep the last."""
    if len({key for key, _ in pairs}) < len(pairs):
        raise _TwiceError
    return dict(pairs)


def _members(found: Any, count: int) -> Iterator[tuple[int, Verdict | None]]:
    """Yield the number of each claim, and its verdict."""
    if isinstance(found, dict):
        keys = {key: known for key in found if (known := _KEY.match(str(key)))}
        inner = [value for value in found.values() if isinstance(value, (dict, list))]
        if keys:
            yield from ((int(known[1]), _of(found[key])) for key, known in keys.items())
        elif len(inner) == 1:
            yield from _members(inner[0], count)
    elif isinstance(found, list):
        numbers = [_number(each) for each in found]
        if None in numbers and len(found) == count:
            numbers = list(range(1, count + 1))
        yield from ((number, _of(each)) for number, each in zip(numbers, found, strict=True) if number is not None)


def _number(item: Any) -> int | None:
    """Return the number that an object of a list states."""
    values = item.values() if isinstance(item, dict) else ()
    known = (_KEY.match(str(value)) for value in values if not isinstance(value, (bool, dict, list)))
    return next((int(found[1]) for found in known if found), None)


def _of(value: Any) -> Verdict | None:
    """Return the verdict that a member states; null states that nothing can be told."""
    if value is None:
        return "cannot tell"
    if isinstance(value, str):
        return _verdict(value.replace("_", " "))
    if isinstance(value, dict):
        named = [each for key, each in value.items() if _TELLS.search(str(key))]
        told = (_of(each) for each in named or value.values() if isinstance(each, str))
        return next(filter(None, told), None)
    return None
