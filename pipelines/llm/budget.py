"""Budgets that hold at every moment: requests in flight, requests and tokens in any minute, and dollars."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from decimal import Decimal

from pipelines.llm.account import ZERO, Account
from schemas.endpoints import Endpoint
from schemas.errors import RunStopped

WINDOW_S = 61.0
"""A minute, and the second by which the network may hold up one request and not another: the server's minute counts too."""


class Clock:
    """Seconds that never run backwards, and sleep."""

    def now(self) -> float:
        """Return the seconds since some moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let others work for so long."""
        await asyncio.sleep(seconds)


@dataclass
class Use:
    """An amount that was used at a time."""

    at: float
    amount: float
    over: bool = False


class Window:
    """A limit on the sum of what is used within any ``WINDOW_S`` seconds; None: no limit."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._uses: deque[Use] = deque()
        self._sum = 0.0

    def wait(self, now: float, amount: float) -> float:
        """Return the seconds until ``amount`` more may be used; what is above the limit itself waits until it is alone."""
        while self._uses and self._uses[0].at + WINDOW_S <= now:
            use = self._uses.popleft()
            self._sum -= use.amount
            use.over = True
        if self.limit is None:
            return 0.0
        excess = self._sum + min(amount, self.limit) - self.limit
        for use in self._uses:
            if excess <= 0:
                return 0.0
            excess -= use.amount
            if excess <= 0:
                return use.at + WINDOW_S - now
        return 0.0

    def use(self, now: float, amount: float) -> Use:
        """Use an amount now."""
        use = Use(now, amount)
        if self.limit is not None:
            self._uses.append(use)
            self._sum += amount
        return use

    def correct(self, use: Use, amount: float) -> None:
        """Put right what an earlier use came to."""
        if self.limit is not None and not use.over:
            self._sum += amount - use.amount
            use.amount = amount


@dataclass
class Ticket:
    """Leave to send one request: the dollars that are held for it, its tokens in the window, and whether it has a seat."""

    usd: Decimal
    tokens: Use
    seated: bool = True


class Budget:
    """Who may send when. ``enter`` before each sending; ``settle`` and ``rise``, or both by ``leave``, whatever came of it.

    Requests enter in the order in which they come. The dollars of a request are held before it is sent, at the most that
    it can cost, so that those in flight never overdraw the account; if an answer costs more than that most, what is held
    for later ones grows by the same factor. They are held, on the disk, for the next few requests too, which then need not
    wait for the disk when a seat is free.
    """

    def __init__(self, name: str, endpoint: Endpoint, account: Account, clock: Clock | None = None) -> None:
        self.name, self.account = name, account
        self.clock = clock or Clock()
        self._most_usd = None if endpoint.max_usd is None else Decimal(str(endpoint.max_usd))
        self._seats = asyncio.Semaphore(endpoint.in_flight)
        self._next = asyncio.Semaphore(endpoint.in_flight + endpoint.in_flight // 8 + 1)
        self._requests, self._tokens = Window(endpoint.requests_per_minute), Window(endpoint.tokens_per_minute)
        self._turn = asyncio.Lock()
        self._settled = asyncio.Event()
        self._out = 0
        self._until = 0.0
        self._factor = Decimal(1)

    async def enter(self, tokens: int, usd: Decimal) -> Ticket:
        """Wait until a request may be sent that comes to ``tokens`` and ``usd`` at the most.

        Raises:
            RunStopped: the dollars that are left do not suffice for it, and nothing in flight can give any back.
        """
        await self._next.acquire()
        held, seated = ZERO, False
        try:
            held = await self.afford(usd)
            await self.account.note(held)
            seated = await self._seats.acquire()
            async with self._turn:
                while (wait := self._wait(tokens)) > 0:
                    await self.clock.sleep(wait)
                now = self.clock.now()
                self._requests.use(now, 1)
                return Ticket(held, self._tokens.use(now, tokens))
        except BaseException:
            if seated:
                self._seats.release()
            self._next.release()
            if held:
                self._out -= 1
                self.account.hold(-held)
                await asyncio.shield(self.account.note(-held))
            self._settled.set()
            raise

    def rise(self, ticket: Ticket) -> None:
        """Let another take the seat of a request that was answered."""
        if ticket.seated:
            ticket.seated = False
            self._seats.release()
            self._next.release()

    async def settle(self, ticket: Ticket, tokens: int | None, usd: Decimal | None) -> None:
        """Put right what a request came to; None: not known, so that what was held stays spent."""
        if tokens is not None:
            self._tokens.correct(ticket.tokens, tokens)
        if ticket.usd:
            self._out -= 1
        if usd is not None and ticket.usd:
            self._factor = max(self._factor, usd / ticket.usd * self._factor)
            await self.account.add(usd - ticket.usd)
        self._settled.set()

    async def leave(self, ticket: Ticket, tokens: int | None, usd: Decimal | None) -> None:
        """Settle a request that entered, and rise."""
        await self.settle(ticket, tokens, usd)
        self.rise(ticket)

    def pause(self, seconds: float) -> None:
        """Let nobody enter for so long: the server asked for it."""
        self._until = max(self._until, self.clock.now() + seconds)

    async def afford(self, usd: Decimal) -> Decimal:
        """Hold dollars for one request, once there are enough; return how many.

        Raises:
            RunStopped: there are not enough, and nothing that is out can give any back.
        """
        while (held := self.hold(usd)) is None:
            if not self._out:
                raise RunStopped(
                    f"endpoints.{self.name}.max_usd: {self.account.usd:.4f} of {self._most_usd} dollars are spent and the "
                    f"next request may cost {usd * self._factor:.4f}; raise max_usd and run the same command again"
                )
            self._settled.clear()
            await self._settled.wait()
        return held

    def hold(self, usd: Decimal) -> Decimal | None:
        """Hold dollars for one request if there are enough now; return how many."""
        wanted = usd * self._factor
        if self._most_usd is not None and self.account.usd + wanted > self._most_usd:
            return None
        self.account.hold(wanted)
        self._out += bool(wanted)
        return wanted

    def out(self, count: int) -> None:
        """Count requests of a batch whose dollars are held: sent by an earlier process, or no longer seen to by this one."""
        self._out += count
        self._settled.set()

    async def settle_batch(self, tag: str, held: Decimal, usd: Decimal) -> None:
        """Put right what a batch came to, for which ``held`` was held; what is settled once stays so."""
        if tag not in self.account.settled:
            if held:
                self._factor = max(self._factor, usd / held * self._factor)
            self.account.hold(usd - held)
            await self.account.note(usd - held, settles=tag)

    def _wait(self, tokens: int) -> float:
        now = self.clock.now()
        return max(self._until - now, self._requests.wait(now, 1), self._tokens.wait(now, tokens))
