"""One line of the ledger: what was asked, what came back, and what it cost."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

from pipelines.llm.account import price
from pipelines.llm.request import Most, Posed, Request
from pipelines.llm.transport import Received
from schemas.endpoints import Endpoint


def entry_of(
    name: str, endpoint: Endpoint, posed: Posed, received: Received, attempts: int, usd: Decimal
) -> dict[str, Any]:
    """Return the line of a response; see :class:`pipelines.llm.cache.Responses` for what it holds.

    Args:
        name: the endpoint's, in the recipe.
        endpoint: the endpoint.
        posed: what was asked.
        received: what came back.
        attempts: sendings that it took, this one included.
        usd: what it cost, or the most that it can have cost.
    """
    body = received.body
    tokens_in, tokens_out = _stated(body)
    return {
        "key": posed.key,
        "endpoint": name,
        "model": endpoint.model,
        "served": body.get("model"),
        "request_id": received.request_id or body.get("id"),
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "attempts": attempts,
        "latency_s": round(received.latency_s, 4),
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "usd": float(usd),
        "request": posed.canonical,
        "response": posed.request.kept(body),
    }


def usd_of(endpoint: Endpoint, request: Request, received: Received) -> Decimal | None:
    """Return what a response cost; None where tokens have a price and the server does not say how many there were."""
    tokens_in, tokens_out = _stated(received.body)
    seconds = request.most(endpoint).seconds
    if tokens_in is not None and tokens_out is not None:
        return price(endpoint, Most(tokens_in, tokens_out, seconds))
    free = not endpoint.usd_per_million_in and not endpoint.usd_per_million_out
    return price(endpoint, Most(0, 0, seconds)) if free else None


def tokens_of(received: Received) -> int | None:
    """Return the tokens of a response, in and out; None: the server does not say."""
    tokens_in, tokens_out = _stated(received.body)
    return None if tokens_in is None or tokens_out is None else tokens_in + tokens_out


def _stated(body: dict[str, Any]) -> tuple[int | None, int | None]:
    """Return tokens in and out by the names that chat completions and transcriptions give them."""
    usage = body.get("usage")
    stated = usage if isinstance(usage, dict) else {}
    found = [
        next((stated[name] for name in names if isinstance(stated.get(name), int)), None)
        for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    ]
    return found[0], found[1]
