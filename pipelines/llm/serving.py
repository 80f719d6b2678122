"""A small HTTP server that speaks OpenAI's protocol over real sockets: a script says what each request is answered, and how."""

from __future__ import annotations

import asyncio
import contextlib
import email.parser
import hashlib
import json
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

FAULTS = ("hang", "reset", "cut_short", "no_json")
"""Never answer; reset the connection; end the body before its stated length; answer 200 with half a JSON text."""

_ENDED = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError)
"""How a connection ends: the client goes away or sends no HTTP, or the server stops."""

_LOOK_S = 0.005
"""Seconds between two looks at whether an answer is ready."""


@dataclass(frozen=True)
class Asked:
    """One request as it arrived.

    Attributes:
        number: counts from 0.
        same: how often this very request came before.
        path: without the query.
        body: fields of the JSON or the form; a file as its bytes.
        headers: by lower-case name.
        at: seconds of a clock that never runs backwards.
        method: ``GET`` or ``POST``.
        query: what stands behind the path's question mark.
        what: the hash of path and content, equal for equal requests.
    """

    number: int
    same: int
    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    at: float
    method: str = "POST"
    query: dict[str, str] = field(default_factory=dict)
    what: str = ""

    @cached_property
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
    """What is answered: a text, a body, bytes as they stand, an error or a fault; after ``latency_s``, once ``ready`` says so.

    Attributes:
        text: words of the assistant, or of a transcript.
        status: of HTTP.
        body: JSON in place of the text.
        data: bytes in place of both.
        headers: further ones.
        latency_s: seconds until it is sent.
        ready: asked again and again from then on.
        fault: one of ``FAULTS``, or one of a batch's.
        usage: tokens in and out; None: not stated.
        finish: why the text ends.
        refusal: the model's words of refusal.
    """

    text: str | None = "A dog barks."
    status: int = 200
    body: dict[str, Any] | None = None
    data: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    latency_s: float = 0.0
    ready: Callable[[], bool] = lambda: True
    fault: str = ""
    usage: tuple[int, int] | None = (100, 10)
    finish: str = "stop"
    refusal: str | None = None


Script = Callable[[Asked], Answer]


def error(status: int, code: str = "", message: str = "no", **headers: str) -> Answer:
    """Return an error in OpenAI's form."""
    body = {"error": {"message": message, "type": "error", "code": code or None}}
    return Answer(status=status, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def content_of(asked: Asked, answer: Answer) -> dict[str, Any]:
    """Return the body of an answer: its own, a transcript, or a chat completion."""
    if answer.body is not None:
        return answer.body
    if asked.path.endswith("/audio/transcriptions"):
        return {"text": answer.text}
    counts = answer.usage and (*answer.usage, sum(answer.usage))
    usage = counts and dict(zip(("prompt_tokens", "completion_tokens", "total_tokens"), counts, strict=True))
    message = {"role": "assistant", "content": answer.text, "refusal": answer.refusal}
    return {
        "id": f"chat-{asked.number}",
        "object": "chat.completion",
        "created": 0,
        "model": asked.body.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish}],
        "usage": usage,
    }


class Http:
    """Connections and what is done on them; it belongs to one event loop.

    ``open`` and ``most_open``: the requests that are open now, and the most that were at once.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.open = self.most_open = self.count = 0
        self._seen: Counter[str] = Counter()

    async def listen(self, port: int) -> asyncio.Server:
        """Serve a port of this machine; 0: a free one."""
        return await asyncio.start_server(self._connection, "127.0.0.1", port, backlog=1024)

    def arrived(self, asked: Asked) -> None:
        """Take note of a request."""

    def answered(self, asked: Asked, answer: Answer) -> None:
        """Take note of an answer that was sent whole."""

    def said(self, asked: Asked) -> Answer:
        """Return what a request is answered: what the script says."""
        return self.script(asked)

    def ask(self, method: str, target: str, headers: dict[str, str], data: bytes) -> tuple[Asked, Answer]:
        """Return a request, numbered and counted, and what it is answered."""
        path, _, query = target.partition("?")
        try:
            body, whole = _body(headers.get("content-type", ""), data)
        except ValueError as problem:
            bad = Asked(self.count, 0, path, {}, headers, time.monotonic(), method)
            return bad, error(400, "invalid_request_error", f"the body cannot be read ({problem})")
        what = hashlib.sha256(f"{method} {path}\n".encode() + whole).hexdigest()
        asked = Asked(
            self.count, self._seen[what], path, body, headers, time.monotonic(), method, dict(urllib.parse.parse_qsl(query)), what
        )  # fmt: skip
        self.count += 1
        self._seen[what] += 1
        self.arrived(asked)
        return asked, self.said(asked)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(*_ENDED, ValueError):
            while True:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = first.split(" ")
                pairs = (line.partition(":") for line in lines if line)
                headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
                data = await reader.readexactly(int(headers.get("content-length", 0)))
                self.open += 1
                self.most_open = max(self.most_open, self.open)
                try:
                    if not await self._answer(*self.ask(method, target, headers, data), writer):
                        return
                finally:
                    self.open -= 1

    async def _answer(self, asked: Asked, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        """Send an answer; say whether the connection is to be kept."""
        if answer.latency_s:
            await asyncio.sleep(answer.latency_s)
        until = time.monotonic() + 2000 * _LOOK_S
        while not answer.ready() and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
        if answer.fault == "hang":
            await asyncio.sleep(3600)
        if answer.fault == "reset":
            writer.transport.abort()
            return False
        sent = answer.data if answer.data is not None else json.dumps(content_of(asked, answer)).encode()
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
        self.answered(asked, answer)
        return True


def _body(kind: str, data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the fields of a JSON or form body, and bytes that are equal for equal bodies: a form's boundaries are drawn."""
    if not kind.startswith("multipart/form-data"):
        body = json.loads(data) if data else {}
        if not isinstance(body, dict):
            raise ValueError("no object")
        return body, data
    parsed: Any = email.parser.BytesParser().parsebytes(f"content-type: {kind}\r\n\r\n".encode() + data)
    parts = {str(part.get_param("name", header="content-disposition")): part for part in parsed.get_payload()}
    fields = {
        name: part.get_payload(decode=True) if part.get_filename() else part.get_payload()
        for name, part in parts.items()
    }
    return fields, repr(sorted(fields.items())).encode()
