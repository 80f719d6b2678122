"""A scripted server that speaks OpenAI's protocol over real sockets: it answers, fails and counts as a test tells it."""

from __future__ import annotations

import asyncio
import contextlib
import email.parser
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.core.workspace import Workspace
from pipelines.llm.chat import Chat
from pipelines.llm.client import Reply
from pipelines.llm.request import Message, Request
from pipelines.llm.service import Service
from schemas.endpoints import Endpoint
from schemas.errors import Reject

FAULTS = ("hang", "reset", "cut_short", "no_json")
"""Never answer; reset the connection; end the body before its stated length; answer 200 with half a JSON text."""


@dataclass(frozen=True)
class Asked:
    """One request as it arrived. ``number`` counts from 0; ``same``: how often this very request came before."""

    number: int
    same: int
    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    at: float

    @property
    def turns(self) -> list[str]:
        """The user's words so far."""
        users = [message["content"] for message in self.body["messages"] if message["role"] == "user"]
        return [
            content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
            for content in users
        ]

    @property
    def text(self) -> str:
        """The user's last words."""
        return self.turns[-1]


@dataclass(frozen=True)
class Answer:
    """What is answered: a text, or a body, or an error, or a fault; after ``latency_s``, and once ``ready`` says so."""

    text: str | None = "A dog barks."
    status: int = 200
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    latency_s: float = 0.0
    ready: Callable[[], bool] = lambda: True
    fault: str = ""
    usage: tuple[int, int] | None = (100, 10)
    finish: str = "stop"
    refusal: str | None = None


def error(status: int, code: str = "", message: str = "no", **headers: str) -> Answer:
    """Return an error in OpenAI's form."""
    body = {"error": {"message": message, "type": "error", "code": code or None}}
    return Answer(status=status, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


_ENDED = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
"""How a connection ends: the client goes away, or the server does."""

Script = Callable[[Asked], Answer]


class Server:
    """A server on a free port of this machine, in a thread; ``base_url`` is what an endpoint is given.

    ``asked``: all requests, in order. ``paid``: how often each distinct request was answered with success in full.
    ``most_open``: the most requests that were open at once. ``tokens``: those of the answers that were given in full.
    """

    def __init__(self, script: Script | None = None) -> None:
        self.script: Script = script or (lambda asked: Answer())
        self.asked: list[Asked] = []
        self.paid: Counter[str] = Counter()
        self.tokens = [0, 0]
        self.open = self.most_open = 0
        self._seen: Counter[str] = Counter()
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
        """Requests but those for the list of models."""
        return [asked for asked in self.asked if not asked.path.endswith("/models")]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1024))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in (left := asyncio.all_tasks(self._loop)):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(*_ENDED):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, _, rest = head.partition("\r\n")
                headers = {name.lower(): value for name, value in email.parser.Parser().parsestr(rest).items()}
                data = await reader.readexactly(int(headers.get("content-length", 0)))
                self.open += 1
                self.most_open = max(self.most_open, self.open)
                try:
                    if not await self._answer(line.split(" ")[1], headers, data, writer):
                        return
                finally:
                    self.open -= 1

    async def _answer(self, path: str, headers: dict[str, str], data: bytes, writer: asyncio.StreamWriter) -> bool:
        body = _body(headers.get("content-type", ""), data)
        what = hashlib.sha256(json.dumps([path, body], sort_keys=True, default=repr).encode()).hexdigest()
        asked = Asked(len(self.asked), self._seen[what], path, body, headers, time.monotonic())
        self.asked.append(asked)
        self._seen[what] += 1
        answer = (
            Answer(body={"object": "list", "data": []}, usage=None) if path.endswith("/models") else self.script(asked)
        )
        await asyncio.sleep(answer.latency_s)
        for _ in range(2000):
            if answer.ready():
                break
            await asyncio.sleep(0.005)
        if answer.fault == "hang":
            await asyncio.sleep(3600)
        if answer.fault == "reset":
            writer.transport.abort()
            return False
        sent = json.dumps(answer.body if answer.body is not None else _completion(asked, answer)).encode()
        length = len(sent)
        if answer.fault in ("cut_short", "no_json"):
            sent = sent[: length // 2]
            length = length if answer.fault == "cut_short" else len(sent)
        lines = [f"HTTP/1.1 {answer.status} X", "content-type: application/json", f"content-length: {length}"]
        lines += [f"x-request-id: req-{asked.number}", *(f"{name}: {value}" for name, value in answer.headers.items())]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + sent)
        await writer.drain()
        if answer.fault:
            return False
        if answer.status == 200 and not path.endswith("/models"):
            self.paid[what] += 1
            self.tokens = [count + more for count, more in zip(self.tokens, answer.usage or (0, 0), strict=True)]
        return True


def _completion(asked: Asked, answer: Answer) -> dict[str, Any]:
    if asked.path.endswith("/audio/transcriptions"):
        return {"text": answer.text}
    counts = answer.usage and (*answer.usage, sum(answer.usage))
    usage = counts and dict(zip(("prompt_tokens", "completion_tokens", "total_tokens"), counts, strict=True))
    message = {"role": "assistant", "content": answer.text, "refusal": answer.refusal}
    return {
        "id": f"chat-{asked.number}",
        "object": "chat.completion",
        "created": 0,
        "model": asked.body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish}],
        "usage": usage,
    }


def _body(kind: str, data: bytes) -> dict[str, Any]:
    """Return the fields of a JSON or form body; a file as its bytes."""
    if kind.startswith("multipart/form-data"):
        parsed = email.parser.BytesParser().parsebytes(f"content-type: {kind}\r\n\r\n".encode() + data)
        parts = {part.get_param("name", header="content-disposition"): part for part in parsed.get_payload()}  # type: ignore[union-attr]
        return {
            str(name): part.get_payload(decode=True) if part.get_filename() else part.get_payload()
            for name, part in parts.items()
        }
    return json.loads(data) if data else {}


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
