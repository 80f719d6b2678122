"""The published evaluation lists: AudioSep's six and that of DCASE 2024 task 9, known by their columns and file names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pipelines.ingest.texts import read_lines
from schemas.errors import UserError

PAGES = "AudioSep's evaluation/metadata/ or DCASE 2024 task 9's lass_synthetic_validation.csv"

Rule = Literal["snr", "stems", "mixture"]
Labels = Literal["names", "number", "query", "tags", "words"]


@dataclass(frozen=True)
class Form:
    """What is known of one list.

    Attributes:
        name: of the list.
        columns: query, target's file, other file, and after them, where there is one, the other's query.
        file: what a target's file is called without its extension; the group is its recording, as far as it is named.
        rate: samples per second of the evaluation.
        seconds: length of a mixture; None: as long as its files.
        rule: ``snr``: the other file is brought to an SNR and added; ``stems``: the two files are stems and are added as they
            are; ``mixture``: the other file is the mixture.
        labels: where a file's classes are told: ``names``, display names of AudioSet in a column; ``number``, the class number in
            ESC-50's file names; ``query``, the query is a label; ``tags``, a file of tags beside the list; ``words``, captions alone.
        youtube: whether recordings are YouTube's.
    """

    name: str
    columns: tuple[str, ...]
    file: str
    rate: int
    seconds: float | None
    rule: Rule
    labels: Labels
    youtube: bool = False


_MIXED = ("caption", "src_wav", "noise_wav")
FORMS = (
    Form("audiocaps", (*_MIXED, "labels"), r"Y(.{11})", 32000, 10.0, "snr", "names", youtube=True),
    Form("clotho", ("caption", "src_wav", "noise_wav1"), r"(.+)", 32000, 10.0, "snr", "words"),
    Form("audioset", _MIXED, r"(class_id=\d+,index=\d+),source", 32000, None, "mixture", "query"),
    Form("esc50", _MIXED, r"\d-(\d+)-[A-Z]-\d+", 32000, 5.0, "snr", "number"),
    Form("music", _MIXED, r"Y(.{11})_\d+", 32000, 10.0, "snr", "query", youtube=True),
    Form("vggsound", ("s0_text", "s0_wav", "s1_wav", "s1_text"), r"(.+)\+\+\+.+", 32000, None, "stems", "query"),
    Form("dcase2024_task9", ("caption", "source", "noise", "snr"), r"(\d+)_\d+(?:-[hl]q)?", 16000, 10.0, "snr", "tags"),
)


@dataclass(frozen=True)
class Pair:
    """One line of a list: which file is asked for, and what is in its way.

    Attributes:
        number: its place below the header, from 0; the column ``idx`` where a list's ``idx`` is one number per line.
        query: what is asked for, in words.
        target: file of what is asked for, as published.
        other: file of the other sound, or with the rule ``mixture`` of both together.
        more: a further file that the line names beside ``other`` and that is not mixed.
        snr_db: energy of the target over that of the other, in dB; None: the list's rule asks for none.
        told: the line's labels, or the other file's query; empty: none.
    """

    number: int
    query: str
    target: PurePosixPath
    other: PurePosixPath
    more: tuple[PurePosixPath, ...]
    snr_db: int | None
    told: str


@dataclass(frozen=True)
class Listing:
    """A list as it was read; ``bad`` are the lines that are none, by number, with what is wrong."""

    path: Path
    form: Form
    pairs: tuple[Pair, ...]
    bad: tuple[tuple[int, str], ...]


def read_list(path: Path) -> Listing:
    """Read one of the lists.

    The list is known by its columns and by the form of its first target's file name, so that it may have any name itself.

    Raises:
        UserError: it cannot be read, or is none of the lists.
    """
    lines = read_lines(path)
    header = [name.strip() for name in next(lines, (0, list[str]()))[1]]
    rows = [fields for _, fields in lines]
    form = _known(header, rows)
    if form is None:
        raise UserError(f"{path}: is none of the lists {', '.join(each.name for each in FORMS)}; they are {PAGES}")
    pairs, bad = list[Pair](), list[tuple[int, str]]()
    for number, fields in enumerate(rows):
        found = _pair(form, header, number, fields)
        pairs.append(found) if isinstance(found, Pair) else bad.append((number, found))
    return Listing(path, form, tuple(pairs), tuple(bad))


def recording(form: Form, file: PurePosixPath) -> str:
    """Return the recording that a file is of, as far as its name tells."""
    named = re.fullmatch(form.file, file.stem)
    return named[1] if named else file.stem


def _known(header: list[str], rows: list[list[str]]) -> Form | None:
    for form in FORMS:
        if set(form.columns) <= set(header):
            at = header.index(form.columns[1])
            named = (PurePosixPath(fields[at]).stem for fields in rows if len(fields) == len(header))
            if re.fullmatch(form.file, next(named, "")):
                return form
    return None


def _pair(form: Form, header: list[str], number: int, fields: list[str]) -> Pair | str:
    if len(fields) != len(header):
        return f"has {len(fields)} fields, not {len(header)}"
    query, target, other, *told = (fields[header.index(name)] for name in form.columns)
    if not (query.strip() and target.strip() and other.strip()):
        return f"lacks {', '.join(form.columns[:3])} or one of them"
    snr: int | None = 0 if form.rule == "snr" else None
    if "snr" in form.columns:
        if not re.fullmatch(r"\s*-?\d{1,3}\s*", told[0]):
            return f"its snr {told[0]!r} is no whole number of decibels"
        snr, told = int(told[0]), []
    return Pair(
        number,
        query,
        PurePosixPath(target),
        PurePosixPath(other),
        tuple(_more(form, header, fields)),
        snr,
        *(told or [""]),
    )


def _more(form: Form, header: list[str], fields: list[str]) -> Iterator[PurePosixPath]:
    """Yield the files in further columns of the other file's column's name: Clotho's list repeats it."""
    places = [at for at, name in enumerate(header) if name == form.columns[2]]
    yield from (PurePosixPath(fields[at]) for at in places[1:] if fields[at])
