"""SoundDescs (Koepke et al., IEEE TMM 2022): descriptions of recordings in the archive of BBC Sound Effects."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import bad_row, read_json, read_table, read_text
from schemas.errors import UserError
from schemas.ids import record_id

PAGE = "https://github.com/akoepke/audio-retrieval-benchmark"
WHOLE_LICENCE = "RemArc Licence"
_PARTS = ("train", "val", "test")
_BROKEN = (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
"""What damaged pickles raise."""


def metadata_files(source: Source) -> list[Path]:
    """Return the lists of the splits, the descriptions, and the categories if they are there."""
    lists = [f"{part}_list.txt" for part in _PARTS]
    found = [path for name in lists for path in (source.metadata(f"SoundDescs/{name}") or source.metadata(name))[:1]]
    texts = _kept(source, "descriptions")
    if not found:
        raise source.lacks(f"{', '.join(lists)} (published in data/SoundDescs/)", PAGE)
    if not texts:
        raise source.lacks("descriptions.pkl, .csv or .json (published in sounddescs_data/)", PAGE)
    return found + texts[:1] + _kept(source, "categories")[:1]


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal | tuple[str, str]]:
    """Yield a row per recording that stands in a list; one that is described and in no list is left out."""
    files = metadata_files(source)
    told: dict[str, dict[str, list[str]]] = {"description": {}, "category": {}}
    for path in files:
        if path.suffix != ".txt":
            column = "description" if "descriptions" in path.name else "category"
            for entry in _entries(source, path, column):
                if isinstance(entry, Refusal):
                    yield entry
                else:
                    told[column][entry[0]] = entry[1]
    listed: set[str] = set()
    for path in files:
        part = path.name.removesuffix("_list.txt")
        for name in filter(None, map(_id, read_text(path).splitlines() if path.suffix == ".txt" else ())):
            listed.add(name)
            yield source.row(
                record_id(source.name, name),
                source.audio((name, name.upper())),
                name,
                source.split(part, part),
                licence=WHOLE_LICENCE,
                # The archive writes its ids in capitals, and so does WavCaps; SoundDescs does not.
                recording_id=f"bbc:{name.upper()}",
                captions=told["description"].get(name, []),
                keywords=told["category"].get(name, []),
            )
    for name in told["description"]:
        if name not in listed:
            yield record_id(source.name, name), "in_no_split"


def _kept(source: Source, what: str) -> list[Path]:
    """Return the files of descriptions or categories, the published pickle last: the others are easier to mend."""
    return [path for suffix in ("csv", "json", "pkl") for path in source.metadata(f"*{what}.{suffix}")]


def _id(name: str) -> str:
    return name.strip().lower()


def _entries(source: Source, path: Path, column: str) -> Iterator[tuple[str, list[str]] | Refusal]:
    """Yield each recording's id with its texts: one, or several, or none, which is no mistake."""
    table = path.suffix == ".csv"
    for number, name, told in _lines(path, column) if table else _items(path, column):
        texts = [told] if isinstance(told, str) else [] if told is None else told
        fine = isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts)
        if isinstance(name, str) and _id(name) and fine:
            yield _id(name), [text for text in texts if text]
        else:
            yield bad_row(source.name, path, number, f"is not an id with its {column}", "line" if table else "entry")


def _lines(path: Path, column: str) -> Iterator[tuple[int, Any, Any]]:
    for number, row in read_table(path, name="id", told=column):
        yield (number, row["name"], row["told"]) if row else (number, None, None)


def _items(path: Path, column: str) -> Iterator[tuple[int, Any, Any]]:
    whole = read_json(path) if path.suffix == ".json" else _read_pickle(path)
    if isinstance(whole, dict):
        yield from ((number, name, told) for number, (name, told) in enumerate(whole.items(), 1))
    elif isinstance(whole, list):
        for number, entry in enumerate(whole, 1):
            yield (number, entry.get("id"), entry.get(column)) if isinstance(entry, dict) else (number, None, None)
    else:
        raise UserError(f"{path}: holds no {column} by id; it comes from {PAGE}")


class _Plain(pickle.Unpickler):
    """Reads texts, numbers and containers of them; a pickle that asks for anything else is refused, not obeyed."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _read_pickle(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return _Plain(file).load()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except _BROKEN as error:
        mend = "give the texts as a CSV or JSON file instead"
        raise UserError(f"{path}: is no pickle of plain texts ({' '.join(str(error).split())}); {mend}") from None
