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
        self.usd = sum((_addition(line, endpoint) for _, line in self._journal.lines()), ZERO)

    def hold(self, usd: Decimal) -> None:
        """Add dollars at once, in this process alone; :meth:`note` must follow."""
        self.usd += usd

    async def note(self, usd: Decimal) -> None:
        """Persist an addition that is held already."""
        if usd:
            line = f'{{"endpoint":{json.dumps(self._endpoint)},"usd":{usd:f}}}'
            await self._journal.append(line.encode())

    async def add(self, usd: Decimal) -> None:
        """Add dollars, here and on the disk."""
        self.hold(usd)
        await self.note(usd)


def _addition(line: bytes, endpoint: str) -> Decimal:
    try:
        entry = json.loads(line, parse_float=Decimal)
        return Decimal(entry["usd"]) if entry["endpoint"] == endpoint else ZERO
    except (ValueError, KeyError, TypeError):
        return ZERO
