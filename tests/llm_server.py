"""A scripted server that speaks OpenAI's protocol over real sockets: it answers, fails and counts as a test tells it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.core.workspace import Workspace
from pipelines.llm.chat import Chat
from pipelines.llm.client import Reply
from pipelines.llm.fake_batches import Batches
from pipelines.llm.request import Message, Request
from pipelines.llm.service import Service
from pipelines.llm.serving import FAULTS, Answer, Asked, Http, Script, error
from schemas.endpoints import Endpoint
from schemas.errors import Reject

__all__ = ["FAULTS", "Answer", "Asked", "Server", "ask_all", "endpoint", "error", "question", "serving"]


class Server(Http):
    """A server on a free port of this machine, in a thread; ``base_url`` is what an endpoint is given.

    ``asked``: all requests, in order, those in batches too. ``paid``: how often each distinct request was answered with
    success in full. ``most_open``: the most requests that were open at once. ``tokens``: those of the answers given in full.
    """

    def __init__(self, script: Script | None = None) -> None:
        super().__init__(script or (lambda asked: Answer()))
        self.asked: list[Asked] = []
        self.paid: Counter[str] = Counter()
        self.tokens = [0, 0]
        self.batches = Batches(self)
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._ready.wait()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def chats(self) -> list[Asked]:
        """Requests but those for the list of models, and what batches need."""
        return [asked for asked in self.asked if asked.path.endswith(("/completions", "/transcriptions"))]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def arrived(self, asked: Asked) -> None:
        self.asked.append(asked)

    def answered(self, asked: Asked, answer: Answer) -> None:
        if answer.status == 200 and asked.path.endswith(("/completions", "/transcriptions")):
            self.paid[asked.what] += 1
            self.tokens = [count + more for count, more in zip(self.tokens, answer.usage or (0, 0), strict=True)]

    def said(self, asked: Asked) -> Answer:
        if asked.path.endswith("/models"):
            return Answer(body={"object": "list", "data": []})
        return self.batches.said(asked) or self.script(asked)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(self.listen(0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in (left := asyncio.all_tasks(self._loop)):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()


@contextlib.contextmanager
def serving(script: Script | None = None) -> Iterator[Server]:
    """Serve for the length of the block."""
    server = Server(script)
    try:
        yield server
    finally:
        server.close()


def endpoint(server: Server, **settings: Any) -> Endpoint:
    """Return an endpoint at a server, which is patient for seconds, not minutes."""
    quick = {"model": "toy", "timeout_s": 5.0, "deadline_s": 20.0}
    return Endpoint.model_validate({"base_url": server.base_url, **quick, **settings})


def question(words: str) -> Chat:
    """Return a conversation of one question."""
    return Chat((Message("user", (words,)),))


def ask_all(root: Path, place: Endpoint, requests: Sequence[Request]) -> list[Reply | Reject]:
    """Ask all requests at once, with a client of its own as in a fresh process, and return what each came to."""
    own = Service()
    client = own.client("toy", place, Workspace(str(root)))
    return own.start(client, [partial(client.ask, request) for request in requests]).results()
