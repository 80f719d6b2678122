"""What an endpoint has cost so far, to the cent, also when the process is killed while requests are on their way."""

from __future__ import annotations

import json
from decimal import Decimal

from pipelines.core.workspace import Workspace
from pipelines.llm.journal import Journal
from pipelines.llm.request import Most
from schemas.endpoints import Endpoint

STEM = "spent"

ZERO = Decimal(0)


def price(endpoint: Endpoint, come_to: Most) -> Decimal:
    """Return what so many tokens, and seconds of sound that is transcribed, cost in dollars."""
    million, minute = Decimal(1_000_000), Decimal(60)
    return (
        Decimal(str(endpoint.usd_per_million_in or 0)) * come_to.tokens_in / million
        + Decimal(str(endpoint.usd_per_million_out or 0)) * come_to.tokens_out / million
        + Decimal(str(endpoint.usd_per_minute or 0)) * Decimal(str(come_to.seconds)) / minute
    )


class Account:
    """The dollars that an endpoint has cost, as a journal of additions.

    Before a request is sent, the most that it can cost is added; when it is settled, what it did not cost is taken off. One
    that is never settled, since the process was killed or its answer was lost on the way, stays at the most: the server may
    have charged for it. The sum is therefore never below what was paid.
    """

    def __init__(self, workspace: Workspace, folder: str, endpoint: str) -> None:
        self._journal, self._endpoint = Journal(workspace, folder, STEM), endpoint
        self.usd = ZERO
        self.held: dict[str, Decimal] = {}
        """What was held for each batch, by its tag."""
        self.settled: set[str] = set()
        """Tags of the batches that were settled."""
        for _, line in self._journal.lines():
            usd, holds, settles = _addition(line, endpoint)
            if settles in self.settled:  # two runs at once saw the same batch through
                continue
            self.usd += usd
            if holds:
                self.held[holds] = usd
            if settles:
                self.settled.add(settles)

    def hold(self, usd: Decimal) -> None:
        """Add dollars at once, in this process alone; :meth:`note` must follow."""
        self.usd += usd

    async def note(self, usd: Decimal, holds: str = "", settles: str = "") -> None:
        """Persist an addition that is held already; ``holds`` or ``settles``: the tag of the batch for which it is."""
        if holds:
            self.held[holds] = usd
        if settles:
            self.settled.add(settles)
        tags = "".join(f',"{name}":"{tag}"' for name, tag in (("holds", holds), ("settles", settles)) if tag)
        if usd or settles:
            line = f'{{"endpoint":{json.dumps(self._endpoint)},"usd":{usd:f}{tags}}}'
            await self._journal.append(line.encode())

    def check(self) -> None:
        """Raise RunStopped where nothing can be persisted."""
        self._journal.check()

    async def add(self, usd: Decimal) -> None:
        """Add dollars, here and on the disk."""
        self.hold(usd)
        await self.note(usd)


def _addition(line: bytes, endpoint: str) -> tuple[Decimal, str, str]:
    """Return the dollars of a line, and the tags of the batches that it holds them for and that it settles."""
    try:
        entry = json.loads(line, parse_float=Decimal)
        if entry["endpoint"] == endpoint:
            return Decimal(entry["usd"]), str(entry.get("holds", "")), str(entry.get("settles", ""))
    except (ValueError, KeyError, TypeError):
        pass
    return ZERO, "", ""
