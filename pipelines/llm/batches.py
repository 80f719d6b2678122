"""Batches as a transport: requests are gathered, sent as a file, and their answers fetched, across any number of kills."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from pipelines.core.workspace import Workspace
from pipelines.llm.account import ZERO, price
from pipelines.llm.budget import Budget
from pipelines.llm.cache import Entry, Responses
from pipelines.llm.chat import Chat
from pipelines.llm.faults import Fault, fault_of, fault_of_line, mend, outage
from pipelines.llm.journal import Journal
from pipelines.llm.ledger import entry_of, usd_of
from pipelines.llm.request import Posed
from pipelines.llm.transport import Received, Transport
from schemas.endpoints import Endpoint
from schemas.errors import RunStopped

STEM = "batches"

MOST_REQUESTS, MOST_BYTES = 50_000, 100_000_000
"""Most requests of one batch, and most bytes of its file; OpenAI takes twice the bytes."""

_OVER = frozenset({"completed", "expired", "cancelled", "failed"})

_CHAT = Chat(())
"""What reads the answers of a batch that an earlier process sent: how they are read depends on no question."""

Value = TypeVar("Value")


@dataclass
class Asked:
    """One request of a batch: its canonical form, the dollars that are held for it, and how often it was sent, this time included."""

    request: dict[str, Any]
    usd: Decimal
    attempts: int


@dataclass
class Batch:
    """One batch.

    Attributes:
        tag: what the server is given to know it by.
        at: seconds of Unix at which it was gathered.
        asked: its requests by their keys.
        name: the server's; None while it may not have been made.
        lines: its file; None in a later process.
        out: how many of its requests the budget counts.
        error: why it is no longer seen to, although it may go on.
    """

    tag: str
    at: float
    asked: dict[str, Asked]
    name: str | None = None
    lines: bytes | None = None
    out: int = 1
    error: Exception | None = None

    @property
    def usd(self) -> Decimal:
        """The dollars that it can cost at the most."""
        return sum((each.usd for each in self.asked.values()), ZERO)


@dataclass
class Batches:
    """The batches of one endpoint; it belongs to one event loop.

    What is asked stands in ``batches-*.jsonl`` before anything is sent, with a tag that the server is given too: a process that
    is killed between the sending and the line that names the batch leaves a batch that the next one finds by its tag. Answers
    stand in the ledger before the dollars are settled, which is one line, and that before the batch is marked as over. Each of
    these steps may be done again, and changes nothing then.
    """

    name: str
    endpoint: Endpoint
    workspace: Workspace
    folder: str
    responses: Responses
    budget: Budget
    transport: Transport
    _waiting: dict[str, asyncio.Future[Entry | Fault]] = field(default_factory=dict)
    _gathered: list[tuple[Posed, int]] = field(default_factory=list)
    _running: dict[str, Batch] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _writing: set[asyncio.Task[None]] = field(default_factory=set)
    _newest: float = 0.0
    _resumed: asyncio.Task[None] | None = None
    _gathering: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._journal, self._place = Journal(self.workspace, self.folder, STEM), f"endpoints.{self.name}"

    async def open(self) -> None:
        """Take up what earlier processes left, the first time."""
        self._resumed = self._resumed or asyncio.create_task(self._resume())
        await asyncio.shield(self._resumed)

    async def ask(self, posed: Posed, attempts: int) -> Entry | Fault:
        """Return what a request came to: in a batch that is under way already, or in the next one.

        Raises:
            RunStopped: the batch failed as a whole, the dollars do not suffice, or nobody is answered.
        """
        await self.open()
        if (entry := await self.responses.get(posed.key)) is not None:  # of a batch that ended meanwhile
            return entry
        batch = next((batch for batch in self._running.values() if posed.key in batch.asked), None)
        if batch and batch.error:
            raise batch.error
        self._waiting[posed.key] = waiting = asyncio.get_running_loop().create_future()
        if batch is None:
            self._gathered.append((posed, attempts))
            self._newest = self.budget.clock.now()
            if self._gathering is None or self._gathering.done():
                self._gathering = self._begin(self._gather())
        try:
            return await waiting
        finally:
            self._waiting.pop(posed.key, None)

    def end(self) -> None:
        """See to no batch any more: they go on at the server, and the next that asks finds them again."""
        for task in (*self._tasks, *([self._resumed] if self._resumed else [])):
            task.cancel()
        self.budget.out(-sum(batch.out for batch in self._running.values()))
        self._gathered, self._running, self._resumed, self._gathering = [], {}, None, None

    async def drain(self) -> None:
        """Wait until what is being written is on the disk."""
        while self._writing:
            await asyncio.wait(self._writing)

    async def _gather(self) -> None:
        """Send what is gathered once there is no newcomer for a while."""
        while self._gathered:
            quiet = self.budget.clock.now() - self._newest
            if quiet < self.endpoint.poll_s and len(self._gathered) < MOST_REQUESTS:
                await self.budget.clock.sleep(self.endpoint.poll_s - quiet)
                continue
            try:
                await self._send()
            except Exception as error:
                left, self._gathered = self._gathered, []
                for posed, _ in left:
                    self._tell(posed.key, error)

    async def _send(self) -> None:
        """Send as many of those gathered as a batch holds and the dollars suffice for; with none, wait until they do."""
        chosen: list[tuple[Posed, int, Decimal]] = []
        lines: list[bytes] = []
        size = 0
        for posed, attempts in self._gathered[:MOST_REQUESTS]:
            body = {"method": "POST", "url": "/v1/chat/completions", "body": posed.request.wire(self.endpoint)}
            line = json.dumps({"custom_id": posed.key, **body}, separators=(",", ":")).encode() + b"\n"
            if chosen and size + len(line) > MOST_BYTES:
                break
            most = price(self.endpoint, posed.request.most(self.endpoint))
            held = self.budget.hold(most) if chosen else await self.budget.afford(most)
            if held is None:
                break
            chosen.append((posed, attempts, held))
            lines.append(line)
            size += len(line)
        asked = {posed.key: Asked(posed.canonical, held, attempts) for posed, attempts, held in chosen}
        out = sum(bool(held) for *_, held in chosen)
        batch = Batch(uuid.uuid4().hex, time.time(), asked, lines=b"".join(lines), out=out)
        self._running[batch.tag] = batch
        writing = asyncio.create_task(self._write(batch))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        await asyncio.shield(writing)
        self._gathered = self._gathered[len(chosen) :]
        self._begin(self._see_through(batch))

    async def _write(self, batch: Batch) -> None:
        """Put on the disk what is about to be sent, and that its dollars are held."""
        asked = [[key, str(each.usd), each.attempts, each.request] for key, each in batch.asked.items()]
        await self._note(batch, at=batch.at, asked=asked)
        if batch.usd:
            await self.budget.account.note(batch.usd, holds=batch.tag)

    async def _resume(self) -> None:
        """Go on with the batches that earlier processes left."""
        left: dict[str, Batch] = {}
        names: dict[str, str] = {}
        over: set[str] = set()
        for _, data in await asyncio.to_thread(lambda: list(self._journal.lines())):
            try:
                line = json.loads(data)
                if line["endpoint"] != self.name:
                    continue
                if "asked" in line:
                    asked = {key: Asked(form, Decimal(usd), tried) for key, usd, tried, form in line["asked"]}
                    left[line["tag"]] = Batch(line["tag"], line["at"], asked)
                elif "batch" in line:
                    names[line["tag"]] = line["batch"]
                else:
                    over.add(line["tag"])
            except (ValueError, KeyError, TypeError):
                continue
        for batch in (
            left[tag] for tag in left.keys() - over
        ):  # each process has a file of its own: they come in no order
            batch.name = names.get(batch.tag)
            self._running[batch.tag] = batch
            self.budget.out(batch.out)
            self._begin(self._see_through(batch))

    async def _see_through(self, batch: Batch) -> None:
        """Have a batch made unless it was, wait until it is over, and keep what it came to."""
        try:
            made = await self._made(batch)
            found = await self._answers(batch) if made else {}
            if not made:
                await self.budget.settle_batch(batch.tag, self._held(batch), ZERO)
            await self._note(batch, over=True)
        except Exception as error:
            # It may go on at the server: nothing of it is sent again, and whoever asks is told why.
            batch.error = error
            for key in batch.asked:
                self._tell(key, error)
            return
        del self._running[batch.tag]
        self.budget.out(-batch.out)
        unsent = Fault("retry", "expired", "it was never sent")
        for key in batch.asked:
            self._tell(key, found.get(key, unsent))

    async def _made(self, batch: Batch) -> bool:
        """Have a batch made; say whether there is one: what an earlier process had not sent yet is not sent now."""
        if batch.name:
            return True
        if batch.tag in self.budget.account.settled or (batch.usd and batch.tag not in self.budget.account.held):
            return False
        find = partial(self.transport.find_batch, batch.tag, batch.at)
        if batch.lines is None:
            # What was sent the moment before a kill may not stand in the list yet.
            batch.name = await self._patiently(find)
            if batch.name is None:
                await self.budget.clock.sleep(self.endpoint.poll_s)
                batch.name = await self._patiently(find)
            if batch.name is None:
                return False
        else:
            batch.name = await self._patiently(partial(self.transport.make_batch, batch.lines, batch.tag), first=find)
            batch.lines = None
        await self._note(batch, batch=batch.name)
        return True

    async def _answers(self, batch: Batch) -> dict[str, Entry | Fault]:
        """Wait until a batch is over; return what its requests came to, with the answers in the ledger and the dollars settled."""
        while (state := await self._patiently(partial(self.transport.batch, batch.name or ""))).status not in _OVER:
            await self.budget.clock.sleep(self.endpoint.poll_s)
        files = (state.output_file_id, state.error_file_id)
        lines = [line for file in files for line in await self._patiently(partial(self.transport.lines_of, file))]
        latency_s = time.time() - batch.at
        found: dict[str, Entry | Fault] = {}
        spent = ZERO
        for line in lines:
            if (asked := batch.asked.get(key := line.get("custom_id", ""))) is None or key in found:
                continue
            found[key], usd = self._read(key, asked, line, latency_s)
            spent += usd
        await asyncio.gather(*(self._keep(each) for each in found.values() if not isinstance(each, Fault)))
        for key in batch.asked.keys() - found.keys():
            found[key] = Fault("retry", "expired", f"the batch, which is {state.status}, has no answer to it")
        await self.budget.settle_batch(batch.tag, self._held(batch), spent)
        if state.status == "failed":
            problems = [f"{each.code}: {each.message}" for each in (state.errors.data if state.errors else None) or ()]
            await self._note(batch, over=True)
            raise RunStopped(
                f"{self._place}: batch {batch.name} was refused ({'; '.join(problems)[:200]}); mend it and run the same "
                "command again"
            )
        return found

    def _read(self, key: str, asked: Asked, line: dict[str, Any], latency_s: float) -> tuple[Entry | Fault, Decimal]:
        """Return what one request came to, and what it cost."""
        if fault := fault_of_line(line, self.transport.secret):
            return fault, ZERO
        response = line["response"]
        body = response.get("body")
        if not isinstance(body, dict) or _CHAT.said(body) is None:
            return Fault("retry", "broken_response", "the answer is no chat", lost=True), asked.usd
        received = Received(body, response.get("request_id"), latency_s)
        usd = usd_of(self.endpoint, _CHAT, received)
        usd = asked.usd if usd is None else usd
        posed = Posed(_CHAT, asked.request, key)
        return entry_of(self.name, self.endpoint, posed, received, asked.attempts, usd), usd

    async def _keep(self, entry: Entry) -> None:
        if await self.responses.get(entry["key"]) is None:
            await self.responses.put(entry)

    async def _patiently(
        self, call: Callable[[], Awaitable[Value]], first: Callable[[], Awaitable[Value | None]] | None = None
    ) -> Value:
        """Return what a call gives, made again while it fails; ``first`` is asked before each further one if it is done already.

        Raises:
            RunStopped: it kept failing for ``deadline_s``, or another one would not help.
        """
        began, wait_s = self.budget.clock.now(), 0.5
        while True:
            try:
                return await call()
            except Exception as error:
                fault = fault_of(error, self.transport.secret)
                if fault is None:
                    raise
            if fault.act != "retry":
                raise RunStopped(
                    f"{self._place}: {mend(self._place, self.endpoint, fault)}, and run the same command again"
                )
            wait_s = min(60.0, 2 * wait_s) + (fault.wait_s or 0.0)
            if self.budget.clock.now() + wait_s - began > self.endpoint.deadline_s:
                raise RunStopped(
                    f"{self._place}: {outage(self._place, self.endpoint, fault)}, and run the same command again"
                )
            await self.budget.clock.sleep(wait_s)
            if first and (done := await self._patiently(first)) is not None:
                return done

    def _held(self, batch: Batch) -> Decimal:
        return self.budget.account.held.get(batch.tag, ZERO)

    async def _note(self, batch: Batch, /, **what: Any) -> None:
        await self._journal.append(json.dumps({"endpoint": self.name, "tag": batch.tag, **what}).encode())

    def _tell(self, key: str, what: Entry | Fault | Exception) -> None:
        waiting = self._waiting.get(key)
        if waiting and not waiting.done():
            if isinstance(what, Exception):
                waiting.set_exception(what)
            else:
                waiting.set_result(what)

    def _begin(self, coroutine: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
