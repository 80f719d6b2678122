"""The stage that asks a model behind an endpoint about every clip: by ear, or by what its pictures show."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipelines.core.stage import Batch, Context, Refusal, Resources, Result, Stage
from pipelines.listen.answers import Heard, plain
from pipelines.listen.attachments import pictures, sound
from pipelines.listen.chain import Chain, Turn, answer_of, check_about_clips, evidence_of, load_chain
from pipelines.llm.chat import Chat
from pipelines.llm.client import Client
from pipelines.llm.prompt_files import prompt_hash
from pipelines.llm.request import Media, Message
from pipelines.llm.service import SHARES, Group, service
from pipelines.llm.transport import check_client
from schemas import endpoints
from schemas.endpoints import Endpoint
from schemas.errors import Reject

Answered = list[tuple[Turn, Heard]]

ASSUMED = " ".join(["something"] * 40)
"""What an estimate takes for an answer that is not there yet: AudioSetCaps' questions allow 50 words."""

_NO_ANSWER = "(no answer)"
"""What stands in the conversation for a refusal without words: servers reject empty messages."""


@dataclass(frozen=True)
class Ask(Stage):
    """Stage ``ask_<name>``: clips and what was heard in them -> answers, by the questions of a chain whose gates are open.

    One conversation per clip; the sound or the pictures go with its first question, and the model sees what it answered
    before. See :func:`pipelines.listen.chain.evidence_of` for the rows. A clip of which nothing is asked is a drop
    ``gate_closed``, one without pictures where they are asked about ``no_pictures``, one whose every question was refused
    ``refused``. A clip of which one question could not be had is a reject with the error of
    :meth:`pipelines.llm.client.Client.ask`; what was answered before stays in the ledger, so that asking again pays for the rest.

    While one batch is waited for, the conversations of the next are under way.
    """

    ask: endpoints.Ask
    endpoint: Endpoint

    writes = "evidence"
    batch_rows = 256
    crew = SHARES
    resources = Resources(actor=True, single=True)

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stage's name."""
        return f"ask_{self.ask.name}"

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """Clips, what was heard in them, and their pictures where those are asked about."""
        return ("clips", "evidence", *(["frames"] if self.ask.attach == "pictures" else []))

    @property
    def prepares(self) -> str:  # type: ignore[override]
        """Nobody shares its conversations."""
        return self.name

    @property
    def chain(self) -> Chain:
        """The questions."""
        return load_chain(self.ask.chain, f"listen.ask {self.ask.name}")

    def params(self) -> dict[str, Any]:
        """What is sent, and the parameters of the answer; not where to, nor how fast or at what price."""
        own = self.ask.model_dump(include={"name", "attach", "sample_rate", "encoding"})
        return {**own, **self.endpoint.identity()}

    def revisions(self) -> dict[str, str]:
        """The model's name and the hash of the questions."""
        key = f"listen.ask {self.ask.name}"
        return {"model": self.endpoint.model, "chain": prompt_hash(self.ask.chain, key)}

    def check(self) -> None:
        """Raise UserError for questions that cannot be used, or a client that is not installed."""
        check_client(f"listen.ask {self.ask.name}")
        check_about_clips(self.chain, self.ask.chain, f"listen.ask {self.ask.name}")

    @property
    def asked(self) -> tuple[str, Endpoint]:
        """Who is asked, by its name in the recipe."""
        return self.ask.endpoint, self.endpoint

    def requests(self, batch: Batch, context: Context) -> list[Chat]:
        """Return what is asked about a batch, for an estimate: with empty media, and :data:`ASSUMED` for what is answered."""
        evidence, chain = batch.grouped("evidence", "clip_id"), self.chain
        frames = batch.grouped("frames", "clip_id") if self.ask.attach == "pictures" else {}
        found = []
        for clip in batch.rows.to_pylist():
            seen = frames.get(clip["clip_id"], [])
            heard = Media("sound", self.ask.encoding, b"", clip["duration_s"])
            media = [Media("picture", "jpeg", b"")] * len(seen) if self.ask.attach == "pictures" else [heard]
            messages = [Message("system", (chain.file.system,))] if chain.file.system else []
            values = {"duration_s": round(clip["duration_s"], 1), "pictures": len(seen)}
            for number, turn in enumerate(chain.turns(evidence[clip["clip_id"]], clip["dataset"]) if media else []):
                words = chain.render(turn, values)
                messages.append(Message("user", (*media, words) if number == 0 else (words,)))
                found.append(Chat(tuple(messages), tuple(turn.fields.items())))
                messages.append(Message("assistant", (ASSUMED,)))
        return found

    def setup(self, context: Context) -> None:
        """Open the responses; UserError where the environment has no key."""
        service().open(self.ask.endpoint, self.endpoint, context.workspace)

    def prepare(self, batch: Batch, context: Context) -> Group[Answered | str]:
        """Begin the conversations of a batch."""
        client, chain = self._client(context), self.chain
        evidence = batch.grouped("evidence", "clip_id")
        frames = batch.grouped("frames", "clip_id") if self.ask.attach == "pictures" else {}
        jobs = [
            partial(
                self._converse,
                client,
                chain,
                clip,
                chain.turns(evidence[clip["clip_id"]], clip["dataset"]),
                frames.get(clip["clip_id"], []),
                context,
            )
            for clip in batch.rows.to_pylist()
        ]
        return service().start(client, jobs)

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        group: Group[Answered | str] = self.prepared(batch, context)
        revision = f"{self.endpoint.model}-{self.chain.sha256[:12]}"
        result = Result()
        for clip, outcome in zip(batch.rows.to_pylist(), group.results(), strict=True):
            key = clip["clip_id"]
            if isinstance(outcome, Reject):
                result.rejects.append(Refusal(key, outcome.error, outcome.message, clip["source_path"]))
            elif isinstance(outcome, str):
                result.drops.append((key, outcome))
            elif rows := evidence_of(key, self.ask.name, revision, outcome):
                result.rows += rows
            else:
                result.drops.append((key, "refused"))
        return result

    async def _converse(
        self,
        client: Client,
        chain: Chain,
        clip: dict[str, Any],
        turns: list[Turn],
        frames: list[dict[str, Any]],
        context: Context,
    ) -> Answered | str:
        """Return the answers of one clip, or why it is left out."""
        if not turns:
            return "gate_closed"
        if self.ask.attach == "pictures":
            if not frames:
                return "no_pictures"
            media = await asyncio.to_thread(pictures, frames, context)
        else:
            media = [await asyncio.to_thread(sound, clip, context, self.ask.sample_rate, self.ask.encoding)]
        values = {"duration_s": round(clip["duration_s"], 1), "pictures": len(frames)}
        return await converse(client, chain, turns, values, media)

    def _client(self, context: Context) -> Client:
        return service().client(self.ask.endpoint, self.endpoint, context.workspace)


async def converse(
    client: Client, chain: Chain, turns: Sequence[Turn], values: dict[str, object], media: Sequence[Media] = ()
) -> Answered:
    """Have a conversation and return what each of its questions was answered; raises as :meth:`Client.ask` does."""
    messages = [Message("system", (chain.file.system,))] if chain.file.system else []
    answered: Answered = []
    for number, turn in enumerate(turns):
        words = chain.render(turn, values)
        messages.append(Message("user", (*media, words) if number == 0 else (words,)))
        reply = await client.ask(Chat(tuple(messages), tuple(turn.fields.items())))
        answered.append((turn, answer_of(turn, reply.text, refused=reply.refused, cut=reply.cut)))
        messages.append(Message("assistant", (plain(reply.text) or _NO_ANSWER,)))
    return answered
