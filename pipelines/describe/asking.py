"""What is asked of a writer about a pack of clips, and what becomes of it for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.describe.given import Given
from pipelines.describe.packing import own_words, read_numbered
from pipelines.describe.prompts import Prompt
from pipelines.describe.rules import Answered
from pipelines.listen.answers import plain
from pipelines.llm.cache import Entry
from pipelines.llm.chat import Chat
from pipelines.llm.client import Client, Reply
from pipelines.llm.request import Message
from pipelines.unify.names import default_index
from schemas.errors import Reject

FAILED = ("no_sound_described", "breaks_rules", "refused")
"""Why nothing was written of a clip; where its answers failed in several ways, the first of these."""

_WHY = {"failure": "no_sound_described", "broken": "breaks_rules", "refused": "refused"}


@dataclass(frozen=True)
class Wish:
    """One caption that every clip is to get: its style and language, and its number among those of the same."""

    style: str
    language: str
    number: int


@dataclass(frozen=True)
class Written:
    """A caption, the ledger's entry of the request that gave it, and how many clips that asked about."""

    text: str
    entry: Entry
    shared: int


Outcome = Written | str | Reject
"""What became of one wish for one clip: a caption, why there is none, or what went wrong."""


@dataclass(frozen=True)
class Job:
    """One wish for the clips of one pack.

    Attributes:
        pack: the clips that are asked about together, with what is known of them.
        own: those whose outcome is wanted here; the others belong to another batch, which asks the same.
        wish: what is wanted.
        messages: the conversation.
        seeds: of a request about each of them alone, by clip; the first one's is the pack's. None: none is sent.
    """

    pack: tuple[tuple[str, Given], ...]
    own: tuple[str, ...]
    wish: Wish
    messages: tuple[Message, ...]
    seeds: Mapping[str, int | None]

    def request(self) -> Chat:
        """Return what is asked first."""
        return Chat(self.messages, seed=self.seeds[self.pack[0][0]])


async def write_for(client: Client, prompt: Prompt, job: Job) -> dict[str, Outcome]:
    """Return what became of one wish for each own clip of a pack.

    Raises:
        RunStopped: as :meth:`Client.ask` does. What it rejects is an outcome.
    """
    told: dict[int, str] = {}
    reply = None
    if len(job.pack) > 1:
        try:
            reply = await client.ask(job.request())
            answers = {} if reply.refused else read_numbered(reply.text, len(job.pack), cut=reply.cut)
            told = own_words(answers, [prompt.block(given.known) for _, given in job.pack], default_index())
        except Reject:  # one of them may be to blame: each is asked about alone
            pass
    own = [(number, clip_id, given) for number, (clip_id, given) in enumerate(job.pack, 1) if clip_id in job.own]
    outcomes = await asyncio.gather(
        *(_write(client, prompt, job, clip_id, given, reply, told.get(number)) for number, clip_id, given in own)
    )
    return {clip_id: outcome for (_, clip_id, _), outcome in zip(own, outcomes, strict=True)}


async def _write(
    client: Client, prompt: Prompt, job: Job, clip_id: str, given: Given, packed: Reply | None, told: str | None
) -> Outcome:
    """Return what became of one wish for one clip; ``told`` is its answer in the reply to the pack."""
    wish, seed = job.wish, job.seeds[clip_id]

    def alone() -> tuple[Message, ...]:
        return job.messages if len(job.pack) == 1 else prompt.messages([given.known], wish.style, wish.language)

    def judged(answer: str, reply: Reply | None = None) -> Answered:
        refused, cut = (reply.refused, reply.cut) if reply else (False, False)
        return prompt.judged(answer, given.known, wish.style, wish.language, refused=refused, cut=cut)

    try:
        reply, shared, answer = packed, len(job.pack), told
        came = judged(answer) if answer is not None else None
        if reply is None or answer is None or came is None or came.what == "refused":
            reply, shared = await client.ask(Chat(alone(), seed=seed)), 1
            answer = reply.text
            came = judged(answer, reply)
        if came.what == "broken":
            again = prompt.again(plain(answer) or answer, came.reason, wish.style, wish.language)
            reply, shared = await client.ask(Chat(alone() + again, seed=seed)), 1
            came = judged(reply.text, reply)
    except Reject as reject:
        return "refused" if reject.error == "refused" else reject
    return Written(came.text, reply.entry, shared) if came.what == "caption" else _WHY[came.what]
