"""Responses that were paid for, by the hash of what was asked: once persisted, never asked again."""

from __future__ import annotations

import asyncio
import json
import re
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from pipelines.core.workspace import Workspace
from pipelines.llm.journal import Journal, Line

STEM = "responses"

_HEAD = re.compile(rb'\{"key":"([0-9a-f]{64})","endpoint":"([^"]*)".*\}$')
_HEX = 16
"""Hexadecimal digits of a key that the index holds, 64 bits; the rest is compared when the line is read."""

Entry = dict[str, Any]
"""One line of the ledger, see :class:`Responses`."""


class Responses:
    """The responses in a folder, each a line of JSON that says what was asked, what came back, and what it cost.

    ``key``, ``endpoint`` (its name in the recipe), ``model`` as asked for and ``served`` as the server names it, ``request_id``,
    ``at`` (UTC), ``attempts``, ``latency_s`` of the last one, ``tokens_in`` and ``tokens_out`` (null: the server states none),
    ``usd`` (where it states none, the most that it can have cost), ``request`` (canonical: media by their hash) and
    ``response`` (the server's own words). DuckDB reads them with::

        SELECT * FROM read_json('llm/responses-*.jsonl', format = 'newline_delimited', ignore_errors = true)
        WHERE key IS NOT NULL

    What other processes write after this one has opened the folder is not seen. 24 bytes of memory per response.
    """

    def __init__(self, workspace: Workspace, folder: str) -> None:
        self._journal = Journal(workspace, folder, STEM)
        self._new: dict[str, Line] = {}
        self.endpoints: set[str] = set()
        """Names of the endpoints that have answered."""
        files: dict[str, int] = {}
        heads, places, sizes, numbers = array("Q"), array("Q"), array("I"), array("I")
        for line, data in self._journal.lines():
            if found := _HEAD.match(data):
                heads.append(int(found[1][:_HEX], 16))
                places.append(line.offset)
                sizes.append(line.size)
                numbers.append(files.setdefault(line.file, len(files)))
                self.endpoints.add(found[2].decode(errors="replace"))
        order = np.argsort(np.frombuffer(heads, np.uint64), kind="stable") if heads else np.zeros(0, np.int64)
        self._heads, self._offsets = np.array(heads, np.uint64)[order], np.array(places, np.uint64)[order]
        self._sizes, self._numbers = np.array(sizes, np.uint32)[order], np.array(numbers, np.uint32)[order]
        self._files = list(files)

    def __len__(self) -> int:
        """The number of responses, those that stand twice counted twice."""
        return len(self._heads) + len(self._new)

    async def get(self, key: str) -> Entry | None:
        """Return the response to a request; None if there is none that can be read."""
        if key not in self._new and not (len(self._heads) and self._places(key)):
            return None
        return await asyncio.to_thread(self._read, key)

    def check(self) -> None:
        """Raise RunStopped where nothing can be persisted."""
        self._journal.check()

    async def put(self, entry: Entry, written: Callable[[], None] = lambda: None) -> None:
        """Persist a response; it is on the disk when this returns.

        Args:
            entry: its line.
            written: called when no kill of this process can take it away.

        Raises:
            RunStopped: it cannot be written.
        """
        key, endpoint = entry["key"], entry["endpoint"]
        # ASCII: a lone surrogate in an answer is no UTF-8. The two names come first, where opening the folder looks for them.
        line = json.dumps({"key": key, "endpoint": endpoint, **entry}, separators=(",", ":"))
        self._new[key] = await self._journal.append(line.encode(), written)
        self.endpoints.add(endpoint)

    def _places(self, key: str) -> list[Line]:
        head = np.uint64(int(key[:_HEX], 16))
        first, last = (int(np.searchsorted(self._heads, head, side)) for side in ("left", "right"))
        return [
            Line(self._files[int(self._numbers[i])], int(self._offsets[i]), int(self._sizes[i]))
            for i in range(first, last)
        ]

    def _read(self, key: str) -> Entry | None:
        for line in [self._new[key]] if key in self._new else self._places(key):
            try:
                entry: Entry = json.loads(self._journal.read(line))
            except ValueError:  # damaged on the disk: it has to be asked again
                continue
            if entry["key"] == key:
                return entry
        return None
