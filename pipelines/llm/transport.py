"""The wire: openai's asynchronous client, which sends one request once and gives back the server's own words."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
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

_PER_CLIENT = 32
"""Requests in flight per client of openai's: its pool looks at all of its connections for each request, so that 512 in one cost
4.2 ms of CPU per request and 512 in sixteen 1.8 ms (measured)."""


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
    if not all(importlib.util.find_spec(needed) for needed in ("openai", "httpx2")):
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
        import openai

        self._clients = [
            openai.AsyncOpenAI(
                base_url=endpoint.base_url,
                api_key=self.secret or _NO_KEY,
                max_retries=0,
                timeout=endpoint.timeout_s,
            )
            for _ in range(math.ceil(endpoint.in_flight / _PER_CLIENT))
        ]
        self._next = itertools.cycle(self._clients)

    async def send(self, request: Request) -> Received:
        """Send a request and return the whole response.

        Raises:
            NoResponse: what came is not the whole JSON of a response to such a request.
            openai.APIError: no success.
        """
        import httpx2

        began = time.perf_counter()
        wire = request.wire(self.endpoint)
        if "file" in wire:
            named = {name: wire.pop(name) for name in ("file", "model", "response_format")}
            transcriptions = next(self._next).audio.transcriptions.with_raw_response
            raw: Any = (await transcriptions.create(**named, extra_body=wire)).http_response
        else:
            # As `chat.completions` does it, but what is sent is what stands in the ledger, and no time goes into types.
            raw = await next(self._next).post("/chat/completions", body=wire, cast_to=httpx2.Response)
        latency_s = time.perf_counter() - began
        try:
            body = json.loads(raw.content, parse_constant=lambda name: None)
        except ValueError as error:
            raise NoResponse(f"the answer is no whole JSON ({error})") from None
        if not isinstance(body, dict) or request.said(body) is None:
            # Names alone: what an answer says may be what nobody is to read.
            held = ", ".join(map(str, body)) if isinstance(body, dict) else type(body).__name__
            raise NoResponse(f"the answer is no {request.kind}; it holds: {held[:100]}")
        return Received(body, raw.headers.get("x-request-id"), latency_s)

    async def alive(self) -> bool:
        """Say whether anything but a server's own fault answers at the endpoint, asked for its list of models."""
        import openai

        try:
            await next(self._next).with_options(timeout=10.0).models.list()
        except openai.APIStatusError as error:
            return error.status_code < 500
        except openai.APIError:
            return False
        return True

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()
