"""What went wrong with one sending of a request, and who has to act: the run stops, the clip is rejected, or it is sent again."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.llm.texts import one_line
from schemas.endpoints import Endpoint


class NoResponse(Exception):
    """The server answered with success, and what it sent is no whole response."""


@dataclass(frozen=True)
class Fault:
    """One sending that gave no response.

    Attributes:
        act: ``stop``: no request is to blame, and another sending would not help; ``reject``: the request is to blame;
            ``doubt``: it is, if the endpoint has ever answered one; ``retry``: nobody can tell yet.
        error: snake_case class of the error.
        message: what was found, in words.
        wait_s: seconds that the server asks to wait; None: it does not.
        lost: whether the server may have served it, and charged for it, all the same.
    """

    act: Literal["stop", "reject", "doubt", "retry"]
    error: str
    message: str
    wait_s: float | None = None
    lost: bool = False


_QUOTA = re.compile(r"insufficient_quota|billing|exceeded your current quota|out of credits", re.IGNORECASE)
_MODERATED = re.compile(r"content_filter|content_policy|content management policy|moderation|flagged", re.IGNORECASE)
_TOO_LARGE = re.compile(r"request too large|context_length|maximum context", re.IGNORECASE)
_NO_MODEL = re.compile(r"model_not_found|model\b.{0,200}?(?:not|n't)\b.{0,20}(?:exist|found|available)", re.I | re.S)


def fault_of(error: Exception, secret: str | None = None) -> Fault | None:
    """Return what an exception of a sending means; None: it is none of the server's or the network's.

    Args:
        error: raised by ``openai``'s client, by a time limit, or :class:`NoResponse`.
        secret: the key, which no message may show.
    """
    import openai

    if isinstance(error, openai.APIStatusError):
        return _of_status(error.status_code, _told(error, secret), error.response.headers)
    if isinstance(error, (TimeoutError, openai.APITimeoutError)):
        return Fault("retry", "timed_out", "no answer within timeout_s", lost=True)
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__ or error
        words = one_line(f"{type(cause).__name__}: {cause}", secret=secret)
        return Fault("retry", "connection_failed", words, lost=type(cause).__name__ != "ConnectError")
    if isinstance(error, NoResponse):
        return Fault("retry", "broken_response", one_line(str(error), secret=secret), lost=True)
    return None


def fault_of_line(line: dict[str, Any], secret: str | None = None) -> Fault | None:
    """Return what went wrong with one request of a batch, by its line of the output or the error file; None: nothing."""
    response, problem = line.get("response"), line.get("error")
    if isinstance(response, dict) and response.get("status_code") == 200 and not problem:
        return None
    if isinstance(response, dict) and isinstance(status := response.get("status_code"), int) and status != 200:
        return _of_status(status, _words(response.get("body"), "", secret), {})
    return Fault("retry", "expired", _words({"error": problem}, "no answer", secret))


def _of_status(status: int, told: str, headers: Mapping[str, str]) -> Fault:
    message = f"HTTP {status}: {told}"
    if status == 402 or (status in (403, 429) and _QUOTA.search(told)):
        return Fault("stop", "quota", message)
    if 400 <= status < 500 and _MODERATED.search(told):
        return Fault("reject", "refused", message)
    if status in (401, 403, 407):
        return Fault("stop", "not_allowed", f"HTTP {status}")
    if status == 404:
        return Fault("stop" if _NO_MODEL.search(told) else "doubt", "bad_request", message)
    if status == 429 and not _TOO_LARGE.search(told):
        return Fault("retry", "rate_limited", message, retry_after(headers))
    if status == 408:
        return Fault("retry", "timed_out", message, retry_after(headers))
    if status in (409, 425) or status >= 500:
        return Fault("retry", "server_error", message, retry_after(headers))
    return Fault("reject", "bad_request", message)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait, as RFC 9110 (section 10.2.3) or OpenAI's own header writes them."""
    try:
        if (given := headers.get("retry-after-ms")) is not None:
            return max(0.0, float(given) / 1000) if math.isfinite(float(given)) else None
        given = headers.get("retry-after")
        if given is None:
            return None
        if re.fullmatch(r"[0-9.]+", given):
            return float(given)
        return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - time.time())
    except ValueError:
        return None


def mend(place: str, endpoint: Endpoint, fault: Fault) -> str:
    """Return in words what stopped the run and what mends it; ``place`` is the endpoint's in the recipe."""
    url, key = endpoint.base_url, endpoint.key_env
    if fault.error == "not_allowed":
        return (
            f"{url} does not let us in ({fault.message}); {f'mend the key in {key}' if key else f'set {place}.key_env'}"
        )
    if fault.error == "quota":
        return f"the quota{f' of the key in {key}' if key else ''} is used up ({fault.message}); raise it"
    return f"{url} has no such model or path ({fault.message}); mend base_url or model, which is {endpoint.model!r}"


def outage(place: str, endpoint: Endpoint, fault: Fault) -> str:
    """Return in words that nobody was answered within the deadline, and what mends it."""
    if fault.error == "rate_limited":
        return f"is limited for longer than deadline_s ({fault.message}); wait, or set {place}.requests_per_minute"
    url = endpoint.base_url
    return f"nobody is answered at {url} ({fault.error}: {fault.message}); start the server or mend {place}.base_url"


def _told(error: Any, secret: str | None) -> str:
    """Return the server's words: code, type and message of OpenAI's form of an error, else the start of what it sent."""
    return _words(error.body, str(error.message), secret)


def _words(body: Any, otherwise: str, secret: str | None) -> str:
    if isinstance(body, dict):
        inner = body.get("error", body)
        inner = inner if isinstance(inner, dict) else body | {"message": str(inner)}
        parts = [inner.get(name) for name in ("code", "type", "message", "detail")]
        return one_line(" ".join(str(part) for part in parts if part), 300, secret)
    return one_line(str(body or otherwise), 300, secret)
