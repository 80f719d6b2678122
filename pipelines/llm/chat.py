"""A conversation that waits for the assistant's next message: what a chat completion is asked with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pipelines.llm.request import AGAIN_TEMPERATURE, PER_MESSAGE, Message, Most, Request, Said
from pipelines.llm.texts import readable
from schemas.endpoints import Endpoint

_SEED_STEP = 1 << 20
"""What an answer that is asked for again adds to its seed: far from the seeds of neighbouring candidates."""


@dataclass(frozen=True)
class Chat(Request):
    """A conversation that waits for the assistant's next message.

    Attributes:
        messages: the conversation so far.
        fields: name -> description of what is asked for as JSON; empty: words are.
        seed: in place of the endpoint's, e.g. for several candidates.
        times: how often an unreadable answer was asked for again; moves the seed.
    """

    kind = "chat"

    messages: tuple[Message, ...]
    fields: tuple[tuple[str, str], ...] = ()
    seed: int | None = None
    times: int = 0

    def content(self) -> dict[str, Any]:
        """Return the messages, and which time they are asked if it is not the first."""
        again = {"times": self.times} if self.times else {}
        return {"messages": [message.canonical() for message in self.messages]} | again

    def said(self, body: dict[str, Any]) -> Said | None:
        """Return the first choice."""
        try:
            choice = body["choices"][0]
            message, ended = choice["message"], choice.get("finish_reason")
            text, declined = _words(message.get("content")), message.get("refusal")
        except (KeyError, IndexError, TypeError, AttributeError):
            return None
        if declined or ended == "content_filter":
            return Said(text, refused=True)
        return Said(text, cut=ended == "length", broken=not readable(text))

    def parameters(self, endpoint: Endpoint) -> dict[str, Any]:
        """Return limits, temperature, seed and response format."""
        seed = endpoint.seed if self.seed is None else self.seed
        warmth = endpoint.temperature
        if self.times:
            seed = None if seed is None else seed + _SEED_STEP * self.times
            warmth = max(warmth or 0.0, AGAIN_TEMPERATURE)
        found = {
            endpoint.limit: endpoint.max_tokens,
            "temperature": warmth,
            "seed": seed,
            "response_format": _format(endpoint.structured, self.fields),
            **endpoint.extra,
        }
        return {name: value for name, value in found.items() if value is not None}

    def wire(self, endpoint: Endpoint) -> dict[str, Any]:
        """Return the body of the request."""
        messages = [message.wire() for message in self.messages]
        return {"model": endpoint.model, "messages": messages, **self.parameters(endpoint)}

    def most(self, endpoint: Endpoint) -> Most:
        """Return a bound: a token is at least a byte of text, and media are as the endpoint's settings say."""
        tokens = PER_MESSAGE * (len(self.messages) + 1)
        for message in self.messages:
            for part in message.parts:
                if isinstance(part, str):
                    tokens += len(part.encode())
                elif part.kind == "sound":
                    tokens += round(part.seconds * endpoint.tokens_per_second) + 1
                else:
                    tokens += endpoint.tokens_per_picture
        return Most(tokens, endpoint.max_tokens)

    def again(self) -> Chat:
        """Return it with the seed moved on by one and a temperature at which that matters."""
        return replace(self, times=self.times + 1)


def _words(content: Any) -> str:
    """Return the text of a message, which some servers give in parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    return content if isinstance(content, str) else ""


def _format(structured: str, fields: tuple[tuple[str, str], ...]) -> dict[str, Any] | None:
    if not fields or structured == "none":
        return None
    if structured == "json_object":
        return {"type": "json_object"}
    schema = {
        "type": "object",
        "properties": {name: {"type": ["string", "null"], "description": words} for name, words in fields},
        "required": [name for name, _ in fields],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
