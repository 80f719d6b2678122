"""What tables without a fixed layout call their columns, and what the values say of a record."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from pipelines.ingest.listing import is_text

VARIANTS: dict[str, str] = {
    "file": "file_name filename file file_path filepath path audio_path audio_file audio_filename audio wav wav_path wav_file "
    "fname name key audio_id clip_id id youtube_id ytid",
    "captions": "caption captions text texts description descriptions sentence sentences",
    "labels": "labels label class_names class_name categories category classes class",
    "mids": "mids mid class_ids class_id positive_labels classes",
    "keywords": "keywords keyword tags tag",
    "split": "split subset",
    "licence": "licence_text licence license licence_url license_url",
    "attribution": "attribution author artist uploader creator username",
    "recording": "recording_id",
    "youtube": "youtube_id ytid yt_id",
    "freesound": "freesound_id fsid sound_id",
    "start": "start start_s start_time start_seconds start_time_seconds onset",
    "end": "end end_s end_time end_seconds end_time_seconds",
}
"""Fact -> names that its column may have: of several that are there, the first. Case, spaces and hyphens do not count."""

_NUMBERED = re.compile(r"captions?_?(\d+)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_MID = re.compile(r"/[a-z]/\w+")
_YOUTUBE = re.compile(r"(?:.*[?&]v=|.*youtu\.be/|Y)?([\w-]{11})(?:[?&].*)?", re.ASCII)
_CANONICAL = re.compile(r"(yt|fs|bbc|sb|sha256):.+", re.DOTALL)


@dataclass(frozen=True)
class Facts:
    """What one row of a table says.

    Attributes:
        file: the audio file's name; empty: not told.
        split: the publisher's split; empty: not told.
        licence: the licence as published; None: not told.
        columns: the other columns of ``records``.
    """

    file: str
    split: str
    licence: str | None
    columns: dict[str, Any]


@lru_cache(maxsize=64)
def places(columns: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the columns that state each fact, of those that any states.

    Captions may stand in several that are numbered; which of several holds MIDs, the values tell.
    """
    named: dict[str, str] = {}
    for column in columns:
        named.setdefault(_plain(column), column)
    found = {fact: tuple(named[name] for name in names.split() if name in named) for fact, names in VARIANTS.items()}
    found = {fact: stated if fact == "mids" else stated[:1] for fact, stated in found.items()}
    numbered = {int(match[1]): named[name] for name in named if (match := _NUMBERED.fullmatch(name))}
    found["captions"] += tuple(numbered[number] for number in sorted(numbered))
    return {fact: stated for fact, stated in found.items() if stated}


def _plain(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip().lower())


def facts(row: Mapping[str, Any], dataset: str) -> Facts:
    """Return what a row says.

    A list may be a list, or text: JSON's or Python's; where a column's name is plural, words between ``;`` or ``|``, or
    else between commas. A number is no label: nothing says what it means. MIDs without names have the ontology's.

    Args:
        row: column -> value; None, NaN and empty text are no value.
        dataset: its name, which makes a publisher's own ``recording_id`` unlike those of others.

    Raises:
        ValueError: what is wrong with the row, in words.
    """
    stated = places(tuple(row))

    def one(fact: str) -> str:
        return _text(row[stated[fact][0]]) if fact in stated else ""

    def many(fact: str, plural: bool = True) -> Iterator[list[str]]:
        return (_texts(row[column], plural and _is_plural(column, fact)) for column in stated.get(fact, ()))

    mids = next((texts for texts in many("mids") if any(map(_MID.fullmatch, texts))), [])
    start_s, end_s = _seconds("start", one("start")), _seconds("end", one("end"))
    if end_s is not None and end_s <= (start_s or 0.0):
        raise ValueError(f"ends at {end_s:g} s, which is not after its start at {start_s or 0:g} s")
    return Facts(
        one("file"),
        one("split"),
        one("licence") or None,
        {
            "recording_id": _recording(one("recording"), one("youtube"), one("freesound"), dataset),
            "start_s": start_s,
            "end_s": end_s,
            "labels": _labels(list(chain(*many("labels"))), mids),
            "keywords": list(dict.fromkeys(chain(*many("keywords")))),
            "captions": list(dict.fromkeys(chain(*many("captions", False)))),
            "attribution": one("attribution") or None,
        },
    )


@lru_cache(maxsize=64)
def _is_plural(column: str, fact: str) -> bool:
    name = _plain(column)
    return fact != "labels" or (name.endswith("s") and name != "class")


def _text(value: Any) -> str:
    """Return a value as text; a list, a truth value or NaN is none. A whole number has no point, whatever its type.

    Raises:
        ValueError: the text is none that a table can hold: JSON can name half of a character.
    """
    if isinstance(value, str):
        if not value.isascii() and not is_text(value):
            raise ValueError(f"holds {value!r}, which is not Unicode")
        return value.strip()
    if isinstance(value, float):
        return "" if not math.isfinite(value) else str(int(value)) if value == int(value) else str(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _texts(value: Any, plural: bool) -> list[str]:
    if isinstance(value, str):
        value = _list(value, plural)
    values = value if isinstance(value, (list, tuple)) else [value]
    return [text for text in map(_text, values) if text]


def _list(text: str, plural: bool) -> list[Any]:
    if text.lstrip().startswith("["):
        for read in (json.loads, ast.literal_eval):
            try:
                found = read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(found, list):
                return found
    if not plural:
        return [text]
    return text.replace("|", ";").split(";") if ";" in text or "|" in text else text.split(",")


def _seconds(what: str, text: str) -> float | None:
    if not text or text.lower() == "nan":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"has {text!r} for its {what}, which is no number of seconds")
    return seconds


def _labels(names: list[str], mids: list[str]) -> list[dict[str, Any]]:
    """Return labels with their MIDs, each once; where names and MIDs are both given, they stand in one order."""
    names = [name for name in names if not _NUMBER.fullmatch(name)]
    if names and all(map(_MID.fullmatch, names)):
        names, mids = [], names
    if names and mids and len(names) != len(mids):
        raise ValueError(f"has {len(names)} labels and {len(mids)} MIDs")
    pairs: list[tuple[str, str | None]] = (
        [(name, mids[place] if mids else None) for place, name in enumerate(names)]
        if names
        else [(_named(mid), mid) for mid in mids]
    )
    return [{"name": name, "class_id": mid} for name, mid in dict.fromkeys(pairs)]


@lru_cache(maxsize=1)
def _class_names() -> dict[str, str]:
    from schemas.ontology import default_ontology

    return {node.class_id: node.name for node in default_ontology().classes}


def _named(mid: str) -> str:
    return _class_names().get(mid, mid)


def _recording(own: str, youtube: str, freesound: str, dataset: str) -> str | None:
    if own:
        return own if _CANONICAL.fullmatch(own) else f"{dataset}:{own}"
    if ytid := _YOUTUBE.fullmatch(youtube):
        return f"yt:{ytid[1]}"
    number = freesound.removesuffix(".0")  # pandas writes so a column of whole numbers in which some are missing
    return f"fs:{number}" if number.isdecimal() else None
