"""openai's client with aiohttp under it, and a straight way for JSON: a third of the processor time that httpx2's own takes."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import aiohttp
import httpx2
import openai

KEEP_S = 4.0
"""Seconds that an idle connection is kept: less than the five after which many servers close theirs, perhaps under a request."""

_DECODED = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
"""Headers that are no longer true of a body that was decoded."""


class Wire(httpx2.AsyncClient):
    """Sends a request once, as it stands, over as many connections as are asked for at a time; it belongs to one event loop.

    A proxy is taken from the environment (``https_proxy``, ``no_proxy``), as httpx2 does; certificates are httpx2's. A connection
    that cannot be made is ``httpx2.ConnectError``, any other loss of one ``httpx2.ReadError``.
    """

    def __init__(self, base_url: str) -> None:
        super().__init__(trust_env=False, headers={"accept-encoding": "gzip, deflate"})
        self._place = httpx2.URL(base_url)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: httpx2.Request, **_: Any) -> httpx2.Response:
        """Send a request and return the whole response, decoded."""
        content = await request.aread()
        limit_s = request.extensions.get("timeout", {}).get("read")
        status, headers, body = await self.exchange(
            request.method, str(request.url), request.headers, content or None, limit_s
        )
        return response_of(status, headers, body, request)

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, limit_s: float | None
    ) -> tuple[int, Iterable[tuple[bytes, bytes]], bytes]:
        """Send bytes; return status, headers and the whole body, decoded."""
        self._session = self._session or self._open()
        limit = aiohttp.ClientTimeout(total=limit_s)
        try:
            async with self._session.request(method, url, data=content, headers=headers, timeout=limit) as response:
                return response.status, response.raw_headers, await response.read()
        except TimeoutError as error:
            raise httpx2.ReadTimeout(str(error)) from error
        except aiohttp.ClientConnectorError as error:
            raise httpx2.ConnectError(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise httpx2.ReadError(str(error) or type(error).__name__) from error

    async def aclose(self) -> None:
        """Close the connections; the next request opens others."""
        if self._session:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        proxies = urllib.request.getproxies()
        proxy = proxies.get(self._place.scheme) or proxies.get("all")
        proxy = None if urllib.request.proxy_bypass(self._place.host) else proxy
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_S, ssl=httpx2.create_ssl_context())
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), proxy=proxy)


class OpenAI(openai.AsyncOpenAI):
    """openai's client, which sends each request once."""

    def __init__(self, base_url: str, key: str, timeout_s: float) -> None:
        self._wire = Wire(base_url)
        super().__init__(base_url=base_url, api_key=key, max_retries=0, timeout=timeout_s, http_client=self._wire)

    @cached_property
    def _headers(self) -> dict[str, str]:
        every = {**self.default_headers, **self.auth_headers, "accept-encoding": "gzip, deflate"}
        return {name: value for name, value in every.items() if isinstance(value, str)}

    async def post_json(self, path: str, body: Any) -> tuple[Mapping[bytes, bytes], bytes]:
        """Post JSON; return headers by lower-case name, and the body: what ``post`` does, without its copies and types.

        Raises:
            openai.APIError: no success; the same that ``post`` raises.
        """
        url = f"{str(self.base_url).rstrip('/')}{path}"
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        limit_s = self.timeout if isinstance(self.timeout, (int, float)) else None
        try:
            status, headers, told = await self._wire.exchange("POST", url, self._headers, content, limit_s)
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request=httpx2.Request("POST", url)) from error
        except httpx2.TransportError as error:
            raise openai.APIConnectionError(request=httpx2.Request("POST", url)) from error
        if status >= 300:
            response = response_of(status, headers, told, httpx2.Request("POST", url))
            raise openai.APIStatusError(f"HTTP {status}", response=response, body=_body(told))
        return {name.lower(): value for name, value in headers}, told


def response_of(
    status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, request: httpx2.Request
) -> httpx2.Response:
    """Return a response whose body is decoded already."""
    kept = [pair for pair in headers if pair[0].lower() not in _DECODED]
    return httpx2.Response(status, headers=kept, content=body, request=request)


def _body(told: bytes) -> Any:
    text = told.decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()
