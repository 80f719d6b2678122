"""YouTube's recordings, of which many datasets are made: their ids, and the names that files of them are given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from pipelines.ingest.listing import VIDEO, File, Source

_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_CLIP = re.compile(r"((Y?)([A-Za-z0-9_-]{11})(?:_(\d+(?:\.\d+)?)(_\d+(?:\.\d+)?)?)?)(?:\.[A-Za-z]\w*)?")
_Form = tuple[str, int]
"""What stands before an id, ``Y`` or nothing, and how many times stand behind it, 0 to 2."""


def is_id(text: str) -> bool:
    """Say whether a text is a YouTube id: a spreadsheet makes another text of one that begins with ``-``."""
    return _ID.fullmatch(text) is not None


def seconds(text: str) -> float | None:
    """Return a time in seconds; None: the text is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


class Clip(NamedTuple):
    """What the name of a clip says: itself without extension, the YouTube id, and the start in seconds, None: nothing."""

    stem: str
    ytid: str
    start_s: float | None


def clip(name: str) -> Clip | None:
    """Return what a clip's name says; None: it names no clip of YouTube's.

    Understood are ``<id>`` and ``Y<id>``, with ``_<start>`` or ``_<start>_<end or length>`` in seconds, and with or
    without an extension. An id may itself begin with ``Y`` or hold ``_``: it is known by its 11 characters.
    """
    found = _CLIP.fullmatch(name)
    return Clip(found[1], found[3], float(found[4]) if found[4] else None) if found else None


@dataclass(frozen=True)
class Finder:
    """Finds the files of a dataset that are called after YouTube's ids."""

    source: Source

    def __call__(
        self,
        ytid: str,
        start_s: float | None,
        end_s: float | None,
        first: Iterable[str] = (),
        last: Iterable[str] = (),
    ) -> tuple[File | None, File | None]:
        """Return a segment's audio file and the film that shows it, which may be the same.

        Args:
            ytid: YouTube id.
            start_s: start of the segment in the recording, in seconds; None: unknown.
            end_s: its end, in seconds; None: unknown.
            first: names without extension that tell more than an id does.
            last: those that tell less.
        """
        if not self.source.stems:
            return None, None
        file = self.source.audio(chain(first, self._names(ytid, start_s, end_s), last))
        if file is None or file.suffix in VIDEO:
            return file, file
        return file, self.source.video(chain(first, self._names(ytid, start_s, end_s), last))

    @cached_property
    def _forms(self) -> frozenset[_Form]:
        """The forms that names of files have here: most datasets have one, and need not be asked for the others."""
        found = map(_CLIP.fullmatch, self.source.stems)
        return frozenset((name[2], bool(name[4]) + bool(name[5])) for name in found if name)

    def _names(self, ytid: str, start_s: float | None, end_s: float | None) -> Iterator[str]:
        """Yield the names that download tools give a segment's file, those that name the segment first.

        Before the id may stand a ``Y``; after it start and end in seconds (``30`` or ``30.000``) or milliseconds,
        or the start alone, or the start in six digits of whole seconds (``000030``, of VGGSound).
        """
        if start_s is not None and end_s is not None:
            for prefix in ("Y", ""):
                if (prefix, 2) in self._forms:
                    yield f"{prefix}{ytid}_{start_s:g}_{end_s:g}"
                    yield f"{prefix}{ytid}_{start_s:.3f}_{end_s:.3f}"
                    yield f"{prefix}{ytid}_{start_s * 1000:.0f}_{end_s * 1000:.0f}"
                if (prefix, 1) in self._forms:
                    yield f"{prefix}{ytid}_{start_s:g}"
                    yield f"{prefix}{ytid}_{start_s:.3f}"
                    yield f"{prefix}{ytid}_{start_s * 1000:.0f}"
                    yield f"{prefix}{ytid}_{int(start_s):06d}"
        for prefix in ("Y", ""):
            if (prefix, 0) in self._forms:
                yield f"{prefix}{ytid}"
