"""The event loop of a process: many conversations under way behind stages that are not asynchronous themselves."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError, Future, wait
from typing import Any, Generic, TypeVar

from pipelines.core.stop import check_stop
from pipelines.core.workspace import Workspace, is_host_fault
from pipelines.llm.account import Account
from pipelines.llm.batches import Batches
from pipelines.llm.budget import Budget
from pipelines.llm.cache import Responses
from pipelines.llm.check import place_of
from pipelines.llm.client import Client
from pipelines.llm.transport import Transport, secret_of
from schemas.endpoints import Endpoint
from schemas.errors import Reject, RunStopped, UserError

FOLDER = "llm"
"""Folder of responses and spendings, in the run folder or in the one that runs share."""

SHARES = "llm"
"""Name of the workers that all stages with endpoints share, so that what their clients count is all there is."""

STOPPED = RunStopped("the run was stopped; run the same command again")
"""Why a batch ends that was under way when the user stopped the run."""

_PATIENCE_S = 1.0
"""Seconds for which what was sent is waited for without a word."""

_POLL_S = 0.2
"""Seconds between two looks at whether the user wants to stop."""

Outcome = TypeVar("Outcome")


class Group(Generic[Outcome]):
    """Conversations that were begun together."""

    def __init__(self, service: Service, future: Future[list[Outcome | Reject]]) -> None:
        self._service, self._future = service, future

    def results(self) -> list[Outcome | Reject]:
        """Wait for all of them; return what each came to, in order: a reject is an outcome.

        What stops the run, and a stop that the user asks for, ends all conversations of the process: nothing more is sent, what
        was sent is waited for and kept, and then it is raised, from every group alike. Any other exception ends this group alone.
        """
        try:
            while not wait([self._future], _POLL_S).done:
                check_stop()
            return self._future.result()
        except CancelledError:
            raise self._service.halt(STOPPED) from None
        except Exception as error:
            if isinstance(error, (RunStopped, UserError)) or is_host_fault(error):
                self._service.halt(error)
            raise
        except BaseException:
            self._service.halt(STOPPED)
            raise


class Service:
    """A thread with an event loop, and the clients that live on it: one per endpoint and folder of responses."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._clients: dict[tuple[str, str, str, str | None], Client] = {}
        self._budgets: dict[tuple[str, str, str], Budget] = {}
        self._responses: dict[str, Responses] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._halted: Exception | None = None
        """What ended all conversations first; whoever comes later is told the same."""
        self._lock = threading.Lock()
        threading.Thread(target=self._loop.run_forever, name="llm", daemon=True).start()
        atexit.register(self.close)

    def open(self, name: str, endpoint: Endpoint, workspace: Workspace) -> Client:
        """Return the client of an endpoint as :meth:`client` does, at the start of a run: what halted an earlier one is over."""
        self._halted = None
        return self.client(name, endpoint, workspace)

    def client(self, name: str, endpoint: Endpoint, workspace: Workspace) -> Client:
        """Return the client of an endpoint, which opens its folder of responses the first time.

        Raises:
            UserError: the environment has no key, or the shared folder cannot be made.
        """
        place = place_of(name, endpoint) or workspace
        same, secret = endpoint.same_as(), secret_of(name, endpoint)
        with self._lock:
            known = (place.root, name, same, secret)
            if known not in self._clients:
                self._clients[known] = self._on_loop(self._made(name, endpoint, place, same))
            return self._clients[known]

    def start(self, client: Client, conversations: Sequence[Callable[[], Awaitable[Outcome]]]) -> Group[Outcome]:
        """Begin conversations; each is called once a seat of ``client`` is free for it, on the event loop.

        Raises:
            Exception: what halted the process; this may be a batch that was made ready ahead of time.
        """
        if self._halted:
            raise self._halted
        return Group(self, asyncio.run_coroutine_threadsafe(self._all(client, conversations), self._loop))

    def halt(self, reason: Exception) -> Exception:
        """End all conversations; return what halted the process first, when what was sent is on the disk."""
        first: Exception = self._on_loop(self._halt(reason))
        return first

    def close(self) -> None:
        """Close the connections, which a client that is asked again opens anew; at the process's end it is waited for briefly."""
        if self._loop.is_running():
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_PATIENCE_S)

    async def _close(self) -> None:
        for client in self._clients.values():
            await client.transport.close()

    async def _made(self, name: str, endpoint: Endpoint, place: Workspace, same: str) -> Client:
        if place.root not in self._responses:
            self._responses[place.root] = await asyncio.to_thread(Responses, place, FOLDER)
        if (place.root, name, same) not in self._budgets:
            account = await asyncio.to_thread(Account, place, FOLDER, name)
            self._budgets[place.root, name, same] = Budget(name, endpoint, account)
        budget, responses = self._budgets[place.root, name, same], self._responses[place.root]
        transport = Transport(name, endpoint)
        batches = None
        if endpoint.transport == "batch":
            batches = Batches(name, endpoint, place, FOLDER, responses, budget, transport)
        return Client(name, endpoint, responses, budget, transport, batches)

    async def _all(
        self, client: Client, conversations: Sequence[Callable[[], Awaitable[Outcome]]]
    ) -> list[Outcome | Reject]:
        tasks = [asyncio.create_task(self._one(client, conversation)) for conversation in conversations]
        self._tasks.update(tasks)
        try:
            return await asyncio.gather(*tasks)
        except (RunStopped, UserError) as error:
            self._end(error)  # at once: whoever waits for the group may take a while to hear of it
            raise
        finally:
            for task in tasks:
                task.cancel()
            self._tasks.difference_update(tasks)

    async def _one(self, client: Client, conversation: Callable[[], Awaitable[Outcome]]) -> Outcome | Reject:
        async with client.seats:
            try:
                return await conversation()
            except Reject as reject:
                return reject

    def _end(self, reason: Exception) -> None:
        self._halted = self._halted or reason
        for task in self._tasks:
            task.cancel()
        for client in self._clients.values():
            client.end()

    async def _halt(self, reason: Exception) -> Exception:
        self._end(reason)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        drained = asyncio.gather(*(client.drain() for client in self._clients.values()))
        await asyncio.wait([drained], timeout=_PATIENCE_S)
        if busy := [client for client in self._clients.values() if client.under_way]:
            count, longest = sum(client.under_way for client in busy), max(client.endpoint.timeout_s for client in busy)
            print(
                f"earloom: {count} requests are on their way and may be charged; their answers are waited for, at most "
                f"{longest:.0f} s; a second Ctrl-C ends at once",
                file=sys.stderr,
                flush=True,
            )
        await drained
        return self._halted or reason

    def _on_loop(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


_service: Service | None = None
_made = threading.Lock()


def service() -> Service:
    """Return the service of this process, begun when it is first asked for."""
    global _service
    with _made:
        if _service is None:
            _service = Service()
        return _service
