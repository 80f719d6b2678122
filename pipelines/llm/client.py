"""One endpoint, asked so that no answer is paid twice, no budget is passed, and every failure has a name."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from functools import partial

from pipelines.llm.account import ZERO, price
from pipelines.llm.batches import MOST_REQUESTS, Batches
from pipelines.llm.budget import Budget, Ticket
from pipelines.llm.cache import Entry, Responses
from pipelines.llm.faults import Fault, fault_of, mend, outage
from pipelines.llm.ledger import entry_of, tokens_of, usd_of
from pipelines.llm.request import Posed, Request, pose
from pipelines.llm.transport import Transport
from schemas.endpoints import Endpoint
from schemas.errors import Reject, RunStopped

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
"""Seconds before the second sending, doubled before each further one up to the longest, times a draw from [0.5, 1]."""


MOST_BATCHES = 3
"""Batches in which one request is sent before it is given up."""


@dataclass(frozen=True)
class Reply:
    """The answer to one request.

    Attributes:
        text: its words; empty where the model refused, or they are withheld.
        refused: the server says that it declined.
        cut: the words end where the limit of tokens was reached.
        entry: its line of the ledger, with the whole response; see :class:`pipelines.llm.cache.Responses`.
    """

    text: str
    refused: bool
    cut: bool
    entry: Entry


class Client:
    """Asks one endpoint. All that ask it in a process share one client, so that its budgets are the run's.

    It belongs to one event loop. What has been sent is seen through to the disk even where nobody waits for it any more.
    """

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        responses: Responses,
        budget: Budget,
        transport: Transport,
        batches: Batches | None = None,
    ) -> None:
        self.name, self.endpoint, self.responses = name, endpoint, responses
        self.budget, self.transport, self.batches, self.clock = budget, transport, batches, budget.clock
        self.seats = asyncio.Semaphore(MOST_REQUESTS if batches else 2 * endpoint.in_flight)
        """Conversations under way: enough that some can be made ready, or wait to be sent again, while others are sent."""
        self._asking: dict[str, asyncio.Task[Entry]] = {}
        self._sent: set[asyncio.Task[Entry | Fault]] = set()
        self._answered_at = float("-inf")

    async def ask(self, request: Request) -> Reply:
        """Return the answer to a request: from the ledger if it stands there, else from the server.

        An answer that cannot be read (empty, of control characters, U+FFFD, or without a letter or digit) is asked for once
        more, with another seed and a temperature above 0: as another request, which is kept like any other, so that a later run
        finds both.

        Raises:
            Reject: ``bad_request``, ``refused`` by the server's own filter, ``unreadable``, or what kept failing while others
                were answered: ``timed_out``, ``server_error``, ``connection_failed``, ``broken_response``, ``rate_limited``.
            RunStopped: the key or the quota will not do, the budget is spent, or the endpoint answers nobody.
        """
        reply, broken = await self._once(request)
        if broken:
            reply, broken = await self._once(request.again())
        if broken:
            cut = f", cut at {self.endpoint.limit} = {self.endpoint.max_tokens}" if reply.cut else ""
            raise Reject("unreadable", f"asked twice, answered twice with no words that can be read{cut}")
        return reply

    @property
    def under_way(self) -> int:
        """The requests that were sent and have not come to an end on the disk."""
        return len(self._sent)

    def end(self) -> None:
        """Send nothing more of what is being asked now."""
        for asking in self._asking.values():
            asking.cancel()
        if self.batches:
            self.batches.end()

    async def drain(self) -> None:
        """Wait until what was sent is on the disk."""
        while self._sent:
            await asyncio.wait(self._sent)
        if self.batches:
            await self.batches.drain()

    async def _once(self, request: Request) -> tuple[Reply, bool]:
        posed = pose(request, self.endpoint)
        key = posed.key
        if self.batches:
            await self.batches.open()
        entry = await self.responses.get(key)
        if entry is None:
            if key not in self._asking:  # the same may be asked of two clips at a time
                self._asking[key] = asyncio.create_task(self._pay(posed))
                self._asking[key].add_done_callback(lambda task: self._forget(key, task))
            entry = await asyncio.shield(self._asking[key])
        said = request.said(entry["response"])
        if said is None:
            raise Reject("broken_response", "what the ledger holds is no response to such a request")
        return Reply(said.text, said.refused, said.cut, entry), said.broken

    def _forget(self, key: str, task: asyncio.Task[Entry]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # it is told to those who wait, of whom there may be none

    async def _pay(self, posed: Posed) -> Entry:
        """Send a request until it is answered, or given up."""
        self.responses.check()  # before anything is paid that could not be kept
        if self.batches:
            return await self._pay_in_batches(self.batches, posed)
        most = posed.request.most(self.endpoint)
        tokens, usd = most.tokens_in + most.tokens_out, price(self.endpoint, most)
        began, attempts = None, 0
        if usd:
            self.budget.account.check()
        while True:
            ticket = await self.budget.enter(tokens, usd)
            began, attempts = self.clock.now() if began is None else began, attempts + 1
            sent = asyncio.create_task(self._send(posed, ticket, attempts))
            self._sent.add(sent)
            sent.add_done_callback(self._sent.discard)
            outcome = await asyncio.shield(sent)
            if not isinstance(outcome, Fault):
                return outcome
            await self._after(outcome, began, attempts)

    async def _pay_in_batches(self, batches: Batches, posed: Posed) -> Entry:
        """Have a request served in a batch, and what failed there in a further one."""
        attempts = 1
        while isinstance(outcome := await batches.ask(posed, attempts), Fault):
            self._judge(outcome)
            if attempts == MOST_BATCHES:
                raise Reject(outcome.error, f"sent in {MOST_BATCHES} batches: {outcome.message}")
            attempts += 1
        return outcome

    async def _send(self, posed: Posed, ticket: Ticket, attempts: int) -> Entry | Fault:
        """Send once; persist the response before anybody reads it, and settle the budget after that."""
        try:
            received = await self.transport.send(posed.request)
        except Exception as error:
            fault = fault_of(error, self.transport.secret)
            if fault and fault.wait_s:
                self.budget.pause(min(fault.wait_s, self.endpoint.deadline_s))  # before the seat is free for another
            lost = fault is None or fault.lost
            await self.budget.leave(ticket, None, None if lost else ZERO)
            if fault is None:
                raise
            return fault
        usd = usd_of(self.endpoint, posed.request, received)
        entry = entry_of(self.name, self.endpoint, posed, received, attempts, ticket.usd if usd is None else usd)
        try:
            # Its seat is free when no kill of this process can take the answer away; nobody reads it before the disk has it.
            kept = self.responses.put(entry, partial(self.budget.rise, ticket))
            await asyncio.gather(kept, self.budget.settle(ticket, tokens_of(received), usd))
        finally:
            self.budget.rise(ticket)
        self._answered_at = self.clock.now()
        return entry

    def _judge(self, fault: Fault) -> None:
        """Raise what is to become of a request that is not to be sent again."""
        place = f"endpoints.{self.name}"
        if fault.act == "stop" or (fault.act == "doubt" and self.name not in self.responses.endpoints):
            raise RunStopped(f"{place}: {mend(place, self.endpoint, fault)}, and run the same command again")
        if fault.act != "retry":
            raise Reject(fault.error, fault.message)

    async def _after(self, fault: Fault, began: float, attempts: int) -> None:
        """Wait until the request may be sent again, or raise what is to become of it."""
        self._judge(fault)
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempts - 1)) * random.uniform(0.5, 1.0)
        if fault.wait_s is not None:
            wait_s += fault.wait_s  # with the draw, or all that were turned away would come back at once
        if self.clock.now() + wait_s - began <= self.endpoint.deadline_s:
            await self.clock.sleep(wait_s)
            return
        # Others were answered meanwhile, or the server has answered before and still answers what it is asked for nothing:
        # then it is this request that fails.
        known = self.name in self.responses.endpoints and fault.error != "rate_limited"
        if self._answered_at >= began or (known and await self.transport.alive()):
            raise Reject(fault.error, f"sent {attempts} times: {fault.message}")
        place = f"endpoints.{self.name}"
        raise RunStopped(f"{place}: {outage(place, self.endpoint, fault)}, and run the same command again")
