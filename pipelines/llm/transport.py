"""The wire: openai's asynchronous client, which sends one request once and gives back the server's own words."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import time
from dataclasses import dataclass
from typing import Any

from pipelines.llm.faults import NoResponse
from pipelines.llm.request import Request
from schemas.endpoints import Endpoint
from schemas.errors import UserError

_NO_KEY = "none"
"""What is sent as the key where there is none: the client insists on one, and must not take one from the environment."""


_SKEW_S = 86400.0
"""Seconds by which the server's clock and ours may differ."""


@dataclass(frozen=True)
class Received:
    """A whole response.

    Attributes:
        body: the server's JSON.
        request_id: the server's name for the exchange; None: it gives none.
        latency_s: seconds from the sending to the last byte.
    """

    body: dict[str, Any]
    request_id: str | None
    latency_s: float


def check_client(key: str) -> None:
    """Raise UserError where openai's client is not installed; ``key`` is the recipe's that needs it."""
    if not all(importlib.util.find_spec(needed) for needed in ("openai", "httpx2", "aiohttp")):
        raise UserError(f"{key}: endpoints need 'openai': pip install 'earloom[llm]'")


def secret_of(name: str, endpoint: Endpoint) -> str | None:
    """Return the endpoint's key; None if it has none.

    Raises:
        UserError: the environment variable that should hold it is not set, or holds what no header can.
    """
    if endpoint.key_env is None:
        return None
    found = os.environ.get(endpoint.key_env, "").strip()  # a mounted secret often ends in a newline
    if found and not (found.isascii() and found.isprintable() and " " not in found):
        raise UserError(
            f"endpoints.{name}.key_env: what {endpoint.key_env} holds is no key; it has odd characters or spaces"
        )
    if not found:
        raise UserError(
            f"endpoints.{name}.key_env: the environment has no {endpoint.key_env}; set it where the run's workers start"
        )
    return found


class Transport:
    """Sends requests to one endpoint; what goes wrong is raised as it comes. It belongs to one event loop."""

    def __init__(self, name: str, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.secret = secret_of(name, endpoint)
        from pipelines.llm.wire import OpenAI

        self._openai = OpenAI(endpoint.base_url, self.secret or _NO_KEY, endpoint.timeout_s)

    async def send(self, request: Request) -> Received:
        """Send a request and return the whole response.

        Raises:
            NoResponse: what came is not the whole JSON of a response to such a request.
            TimeoutError: nothing whole came within ``timeout_s``.
            openai.APIError: no success.
        """
        began = time.perf_counter()
        wire = request.wire(self.endpoint)
        async with asyncio.timeout(self.endpoint.timeout_s):
            if "file" in wire:
                named = {name: wire.pop(name) for name in ("file", "model", "response_format")}
                transcriptions = self._openai.audio.transcriptions.with_raw_response
                raw: Any = (await transcriptions.create(**named, extra_body=wire)).http_response
                request_id, told = raw.headers.get("x-request-id"), raw.content
            else:
                headers, told = await self._openai.post_json("/chat/completions", wire)
                request_id = headers.get(b"x-request-id", b"").decode("latin-1") or None
        latency_s = time.perf_counter() - began
        try:
            body = json.loads(told, parse_constant=lambda name: None)
        except ValueError as error:
            raise NoResponse(f"the answer is no whole JSON ({error})") from None
        if not isinstance(body, dict) or request.said(body) is None:
            # Names alone: what an answer says may be what nobody is to read.
            held = ", ".join(map(str, body)) if isinstance(body, dict) else type(body).__name__
            raise NoResponse(f"the answer is no {request.kind}; it holds: {held[:100]}")
        return Received(body, request_id, latency_s)

    async def alive(self) -> bool:
        """Say whether anything but a server's own fault answers at the endpoint, asked for its list of models."""
        import openai

        try:
            await self._openai.models.list(timeout=10.0)
        except openai.APIStatusError as error:
            return error.status_code < 500
        except openai.APIError:
            return False
        return True

    async def make_batch(self, lines: bytes, tag: str) -> str:
        """Upload the lines of a batch and have it begun; return its id. Raises as :meth:`send` does."""
        file = await self._openai.files.create(file=("requests.jsonl", lines), purpose="batch")
        made = await self._openai.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"earloom": tag},
        )
        return made.id

    async def find_batch(self, tag: str, since: float) -> str | None:
        """Return the id of the batch with a tag; None: the server knows none.

        Args:
            tag: what it was given when it was made.
            since: seconds of Unix before which it was not made, by our clock.
        """
        async for batch in self._openai.batches.list(limit=100):  # the newest first
            if (batch.metadata or {}).get("earloom") == tag:
                return batch.id
            if batch.created_at < since - _SKEW_S:
                return None
        return None

    async def batch(self, name: str) -> Any:
        """Return the state of a batch, as openai's client shows it."""
        return await self._openai.batches.retrieve(name)

    async def lines_of(self, file: str | None) -> list[dict[str, Any]]:
        """Return the lines of a batch's file; none where it has no such file."""
        if not file:
            return []
        content = (await self._openai.files.content(file)).content
        return [json.loads(line) for line in content.decode().splitlines() if line.strip()]

    async def close(self) -> None:
        """Close the connections."""
        await self._openai.close()
