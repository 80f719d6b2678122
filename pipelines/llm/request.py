"""What is asked of an endpoint: its canonical form, by whose hash the response is kept, and its form on the wire."""

from __future__ import annotations

import base64
import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from schemas.endpoints import Endpoint
from schemas.ids import fingerprint

AGAIN_TEMPERATURE = 0.3
"""Least temperature with which an unreadable answer is asked for again: at 0 it would come out the same."""

PER_MESSAGE = 64
"""Tokens that a chat template may put around one message: a bound, not a measurement."""


@dataclass(frozen=True, eq=False)
class Media:
    """A sound or a picture that is sent along.

    Attributes:
        kind: what it is.
        encoding: ``wav``, ``flac`` or ``jpeg``.
        data: the file's bytes.
        seconds: length of a sound.
    """

    kind: Literal["sound", "picture"]
    encoding: str
    data: bytes
    seconds: float = 0.0

    @cached_property
    def sha256(self) -> str:
        """The hash that stands for the bytes in the canonical request."""
        return hashlib.sha256(self.data).hexdigest()

    def canonical(self) -> dict[str, str]:
        """Return it as it stands in the canonical request."""
        return {"type": self.kind, "encoding": self.encoding, "sha256": self.sha256}

    def wire(self) -> dict[str, Any]:
        """Return it as a part of a message in OpenAI's protocol."""
        text = base64.b64encode(self.data).decode()
        if self.kind == "sound":
            return {"type": "input_audio", "input_audio": {"data": text, "format": self.encoding}}
        return {"type": "image_url", "image_url": {"url": f"data:image/{self.encoding};base64,{text}"}}


@dataclass(frozen=True)
class Message:
    """One message of a conversation: its role, and texts and media in order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | Media, ...]

    def canonical(self) -> dict[str, Any]:
        """Return it with the hashes of its media."""
        return self._with([part if isinstance(part, str) else part.canonical() for part in self.parts])

    def wire(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return self._with([part if isinstance(part, str) else part.wire() for part in self.parts])

    def _with(self, parts: list[Any]) -> dict[str, Any]:
        if len(parts) == 1 and isinstance(parts[0], str):
            return {"role": self.role, "content": parts[0]}
        typed = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
        return {"role": self.role, "content": typed}


@dataclass(frozen=True)
class Most:
    """The most that one request can come to: tokens in and out, and seconds of sound that is transcribed."""

    tokens_in: int
    tokens_out: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Said:
    """What a response says.

    Attributes:
        text: the words; empty where there are none.
        refused: the server says that its model, or a filter before it, declined.
        cut: the words end where the limit of tokens was reached.
        broken: the words cannot be read.
    """

    text: str
    refused: bool = False
    cut: bool = False
    broken: bool = False


class Request(ABC):
    """One request."""

    kind: ClassVar[str]

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """Return what is asked, with hashes in place of media."""

    @abstractmethod
    def said(self, body: dict[str, Any]) -> Said | None:
        """Return what a response says, as it was received or as it was kept; None if it is no response to such a request."""

    @abstractmethod
    def parameters(self, endpoint: Endpoint) -> dict[str, Any]:
        """Return what determines the answer beside model and content, by the names of the protocol."""

    @abstractmethod
    def wire(self, endpoint: Endpoint) -> dict[str, Any]:
        """Return the arguments of the call."""

    @abstractmethod
    def most(self, endpoint: Endpoint) -> Most:
        """Return a bound on what it can come to."""

    @abstractmethod
    def again(self) -> Request:
        """Return the request that is asked once more when this one's answer cannot be read: another one, with a key of its own."""

    def kept(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what of a response is kept on disk."""
        return body

    def canonical(self, endpoint: Endpoint) -> dict[str, Any]:
        """Return what the response is a function of; equal requests, equal values."""
        parameters = self.parameters(endpoint)
        return {"kind": self.kind, "model": endpoint.model, **self.content(), "parameters": parameters}

    def key(self, endpoint: Endpoint) -> str:
        """Return the sha256 of the canonical request, in hexadecimal."""
        return fingerprint(self.canonical(endpoint))


@dataclass(frozen=True)
class Posed:
    """A request as one endpoint is asked it, with its canonical form and its key, which are reckoned once."""

    request: Request
    canonical: dict[str, Any]
    key: str


def pose(request: Request, endpoint: Endpoint) -> Posed:
    """Return a request with what one endpoint knows it by."""
    canonical = request.canonical(endpoint)
    return Posed(request, canonical, fingerprint(canonical))
