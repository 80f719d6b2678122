"""What requests will come to before they are sent: tokens, dollars and seconds, each as a bound or as the ledger measured it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipelines.core.workspace import Workspace
from pipelines.llm.account import price
from pipelines.llm.cache import STEM
from pipelines.llm.journal import Journal
from pipelines.llm.request import PER_MESSAGE, Most, Request
from schemas.endpoints import Endpoint

BYTES_PER_TOKEN = 3.0
"""Bytes of text that a token is taken for where the ledger has no measurement: English has about four, other scripts fewer."""

LATENCY_S = 2.0
"""Seconds that an answer is taken to need where the ledger has no measurement."""

MOST_LINES = 10_000
"""Lines of the ledger, of the endpoint and the model, that are looked at: the last ones."""


@dataclass(frozen=True)
class Measured:
    """What an endpoint's ledger says of its answers so far.

    Attributes:
        answers: lines that state their tokens.
        bytes_per_token: bytes of canonical messages per token of a request without media; None: there was none.
        tokens_out: mean tokens of an answer; None where there is no answer, like the next.
        latency_s: mean seconds from the sending to the last byte.
    """

    answers: int = 0
    bytes_per_token: float | None = None
    tokens_out: float | None = None
    latency_s: float | None = None


@dataclass(frozen=True)
class Estimate:
    """What so many requests will come to.

    Attributes:
        requests: how many.
        tokens_in: expected.
        tokens_out: expected; the bound where ``measured`` has none.
        usd: expected.
        most_usd: what budgets hold, below which the sum stays.
        seconds: at the endpoint's limits; None: a batch, which is answered within a day.
        slowest: which limit sets the pace.
        measured: what the expectation is taken from.
        max_usd: the endpoint's, if it has one.
    """

    requests: int
    tokens_in: int
    tokens_out: int
    usd: float
    most_usd: float
    seconds: float | None
    slowest: str
    measured: Measured
    max_usd: float | None = None

    def words(self) -> str:
        """Return all of it as one line, which says what is measured and what is a bound."""
        known = self.measured
        told_in = "measured ratio" if known.bytes_per_token else f"at {BYTES_PER_TOKEN:g} bytes a token"
        told_out = f"mean of {known.answers:,} answers" if known.tokens_out is not None else "bound: max_tokens"
        dollars = (
            f"{self.usd:.2f} dollars expected, {self.most_usd:.2f} at most (bound)" if self.most_usd else "no price"
        )
        if self.max_usd is not None and self.usd > self.max_usd:
            dollars += f", more than max_usd = {self.max_usd:g}: the run will stop there"
        if self.seconds is None:
            pace = "answered in batches, within a day each"
        else:
            latency = "measured latency" if known.latency_s is not None else f"at {LATENCY_S:g} s an answer"
            pace = f"{_span(self.seconds)} at the least, set by {self.slowest} ({latency})"
        return (
            f"{self.requests:,} requests, {self.tokens_in:,} tokens in ({told_in}), "
            f"{self.tokens_out:,} out ({told_out}); {dollars}; {pace}"
        )


def estimate(sample: Sequence[Request], count: int, endpoint: Endpoint, measured: Measured | None = None) -> Estimate:
    """Return what ``count`` requests like those of a sample will come to.

    Args:
        sample: some of them, of which each stands for as many; none where ``count`` is 0.
        count: how many will be asked.
        endpoint: who is asked.
        measured: see :func:`measure`; None: nothing is known.
    """
    known = measured or Measured()
    if not count or not sample:
        return Estimate(0, 0, 0, 0.0, 0.0, 0.0, "nothing to ask", known, endpoint.max_usd)
    most = [request.most(endpoint) for request in sample]
    share = count / len(sample)
    ratio = known.bytes_per_token or BYTES_PER_TOKEN
    tokens_in = share * sum(
        text_bytes(request.content()) / ratio + media_tokens(request.content(), each, endpoint)
        for request, each in zip(sample, most, strict=True)
    )
    tokens_out = share * sum(min(known.tokens_out or each.tokens_out, each.tokens_out) for each in most)
    seconds = share * sum(each.seconds for each in most)
    usd = price(endpoint, Most(round(tokens_in), round(tokens_out), seconds))
    most_usd = sum((price(endpoint, each) for each in most), Decimal(0)) * Decimal(share)
    pace, slowest = _pace(endpoint, count, tokens_in + tokens_out, known.latency_s or LATENCY_S)
    return Estimate(
        count, round(tokens_in), round(tokens_out), float(usd), float(most_usd), pace, slowest, known, endpoint.max_usd
    )


def measure(workspace: Workspace, folder: str, name: str, endpoint: Endpoint) -> Measured:
    """Return what the ledger in a folder says of an endpoint's model; of other models' answers nothing is taken."""
    lines: list[bytes] = []
    for _, data in Journal(workspace, folder, STEM).lines():
        if f'"endpoint":{json.dumps(name)}'.encode() in data[:400]:
            lines.append(data)
            lines = lines[-MOST_LINES:] if len(lines) >= 2 * MOST_LINES else lines
    return measured_in(filter(None, map(_entry, lines[-MOST_LINES:])), endpoint.model)


def measured_in(entries: Iterable[dict[str, Any]], model: str) -> Measured:
    """Return what lines of a ledger say of one model."""
    size = tokens_of_texts = answers = 0
    tokens_out = latency_s = 0.0
    for entry in entries:
        if entry.get("model") != model or entry.get("tokens_in") is None or entry.get("tokens_out") is None:
            continue
        answers += 1
        tokens_out += entry["tokens_out"]
        latency_s += entry["latency_s"]
        if not _media(entry["request"]):
            size += text_bytes(entry["request"])
            tokens_of_texts += entry["tokens_in"]
    if not answers:
        return Measured()
    ratio = size / tokens_of_texts if tokens_of_texts else None
    return Measured(answers, ratio, tokens_out / answers, latency_s / answers)


def text_bytes(content: dict[str, Any]) -> int:
    """Return the bytes of all texts of a canonical request's messages."""
    return sum(len(part.encode()) for part in _parts(content) if isinstance(part, str))


def media_tokens(content: dict[str, Any], most: Most, endpoint: Endpoint) -> float:
    """Return the tokens that the sounds and pictures of a request are taken for, by the endpoint's settings.

    They are what the bound of a request (:meth:`Request.most`) holds beside its texts, which it counts a token per byte.
    """
    media = _media(content)
    pictures = sum(part["type"] == "picture" for part in media)
    sounds = len(media) - pictures
    if not sounds:
        return float(pictures * endpoint.tokens_per_picture)
    messages = len(content.get("messages", ()))
    return float(max(0, most.tokens_in - text_bytes(content) - PER_MESSAGE * (messages + 1)))


def _parts(content: dict[str, Any]) -> list[Any]:
    found: list[Any] = [content["sound"]] if "sound" in content else []
    for message in content.get("messages", ()):
        said = message["content"]
        parts = [said] if isinstance(said, str) else said
        found += [part["text"] if isinstance(part, dict) and part.get("type") == "text" else part for part in parts]
    return found


def _media(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in _parts(content) if isinstance(part, dict)]


def _pace(endpoint: Endpoint, count: int, tokens: float, latency_s: float) -> tuple[float | None, str]:
    """Return the seconds that the endpoint's limits leave, and which of them is the slowest."""
    if endpoint.transport == "batch":
        return None, "the batches"
    paces = {"in_flight": count * latency_s / endpoint.in_flight}
    if endpoint.requests_per_minute:
        paces["requests_per_minute"] = 60.0 * count / endpoint.requests_per_minute
    if endpoint.tokens_per_minute:
        paces["tokens_per_minute"] = 60.0 * tokens / endpoint.tokens_per_minute
    slowest = max(paces, key=lambda name: paces[name])
    return paces[slowest], slowest


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
