"""What is asked of a language model about texts, many at a time, and what becomes of each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.describe.known import Known
from pipelines.listen.answers import plain
from pipelines.llm.chat import Chat
from pipelines.llm.client import Client
from pipelines.llm.request import Message
from pipelines.unify.answers import Told, read_told
from pipelines.unify.prompt import ClassesPrompt, fields_of
from schemas.errors import Reject

PACK = 16
"""Texts of one request: the list of classes goes with each, and is many times as long as they are."""


@dataclass(frozen=True)
class Answered:
    """What a model says of a text, and the key of the request in the ledger."""

    told: Told
    request: str


Outcome = Answered | str | Reject
"""What became of one text: an answer; ``refused`` or ``unreadable``; or what went wrong."""


def packs(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Return texts in packs of :data:`PACK`; one that seems to speak to a model is alone, where it can sway no other."""
    alone = [text for text in texts if Known(captions=[text]).speaks_to_models()]
    together = [text for text in texts if text not in set(alone)]
    return [tuple(together[i : i + PACK]) for i in range(0, len(together), PACK)] + [(text,) for text in alone]


def request_of(prompt: ClassesPrompt, texts: Sequence[str], more: tuple[Message, ...] = ()) -> Chat:
    """Return the request about a pack; ``more`` are the turns since."""
    return Chat(prompt.messages(texts) + more, fields_of(len(texts)))


async def told_of(client: Client, prompt: ClassesPrompt, texts: tuple[str, ...]) -> dict[str, Outcome]:
    """Return what became of each text of a pack; where the pack comes to nothing, each is asked about alone.

    Raises:
        RunStopped: as :meth:`Client.ask` does. What it rejects is an outcome.
    """
    outcome: list[Answered] | str | Reject
    try:
        outcome = await _asked(client, prompt, texts)
    except Reject as reject:
        outcome = "refused" if reject.error == "refused" else reject
    if isinstance(outcome, list):
        return dict(zip(texts, outcome, strict=True))
    if len(texts) == 1:
        return {texts[0]: outcome}
    each = await asyncio.gather(*(told_of(client, prompt, (text,)) for text in texts))
    return {text: found for one in each for text, found in one.items()}


async def _asked(client: Client, prompt: ClassesPrompt, texts: tuple[str, ...]) -> list[Answered] | str:
    more: tuple[Message, ...] = ()
    for _ in range(2):
        reply = await client.ask(request_of(prompt, texts, more))
        if reply.refused:
            return "refused"
        found = read_told(reply.text, len(texts))
        if found is not None:
            return [Answered(told, reply.entry["key"]) for told in found]
        more = prompt.again(plain(reply.text) or reply.text, len(texts))
    return "unreadable"
