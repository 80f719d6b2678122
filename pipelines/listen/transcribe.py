"""The stage that has what is said in a clip written down, and keeps of it what the recipe's privacy allows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipelines.core.stage import Batch, Context, Refusal, Resources, Result, Stage
from pipelines.listen.ask import converse
from pipelines.listen.attachments import sound
from pipelines.listen.chain import load_chain
from pipelines.listen.evidence import evidence_row
from pipelines.listen.gates import check_gate, opened
from pipelines.llm.client import Client, Reply
from pipelines.llm.prompt_files import prompt_hash
from pipelines.llm.request import Media
from pipelines.llm.service import SHARES, Group, service
from pipelines.llm.texts import readable
from pipelines.llm.transcription import Transcription
from pipelines.llm.transport import check_client
from schemas import endpoints
from schemas.endpoints import Endpoint
from schemas.errors import Reject, UserError

KEY = "listen.transcribe"

LONGEST_NAME = 40
"""Characters of the longest name of a language that is taken for one."""


@dataclass(frozen=True)
class Said:
    """What is kept of a transcript: words where they may be, their number and language, and from when to when, in seconds."""

    text: str | None
    words: int
    language: str | None
    onset_s: float | None
    offset_s: float | None


@dataclass(frozen=True)
class Transcribe(Stage):
    """Stage ``transcribe``: clips in which speech was heard -> what is said in them.

    A row ``transcript`` named ``speech`` has the number of words as its value (as white space separates them), when they
    begin and end where the server tells, and as its text: under ``quote`` the words, under ``summarise`` what the summariser
    makes of them, under ``withhold`` null. A second one, ``language``, has the language as the server names it, where it does.

    Under ``withhold`` the words reach no file. Under ``quote`` and ``summarise`` they lie in the ledger, ``llm/`` of the run
    folder, which belongs to no dataset and is not to be published.

    A clip in which no speech was heard is a drop ``gate_closed``, one in which the recogniser hears no words
    ``nothing_heard``; one that could not be transcribed or summarised is a reject.
    """

    transcribe: endpoints.Transcribe
    endpoint: Endpoint
    summariser: Endpoint | None = None

    name = "transcribe"
    reads = ("clips", "evidence")
    writes = "evidence"
    batch_rows = 256
    crew = SHARES
    prepares = "transcribe"
    resources = Resources(actor=True, single=True)

    def params(self) -> dict[str, Any]:
        """What is sent and what is kept, and the parameters of the answers."""
        own = self.transcribe.model_dump(exclude={"endpoint", "summariser", "summary"})
        summary = self.summariser.identity() if self.summariser else None
        return {**own, **self.endpoint.identity(), "summariser": summary}

    def revisions(self) -> dict[str, str]:
        """The models' names, and the hash of the prompt where there is a summary."""
        found = {"model": self.endpoint.model}
        if self.summariser:
            summary = prompt_hash(self.transcribe.summary, f"{KEY}.summary")
            found |= {"summariser": self.summariser.model, "summary": summary}
        return found

    def check(self) -> None:
        """Raise UserError for a gate or a prompt that cannot be used, or a client that is not installed."""
        check_client(KEY)
        check_gate(self.transcribe.gate, f"{KEY}.gate")
        if self.summariser:
            chain = load_chain(self.transcribe.summary, f"{KEY}.summary")
            if "transcript" not in chain.file.variables or len(chain.file.turns) != 1:
                raise UserError(f"{KEY}.summary: must have one turn and name `transcript` among its variables")

    @property
    def asked(self) -> tuple[str, Endpoint]:
        """Who is asked, by its name in the recipe; a summariser is asked besides."""
        return self.transcribe.endpoint, self.endpoint

    def requests(self, batch: Batch, context: Context) -> list[Transcription]:
        """Return what is asked about a batch, for an estimate: with empty sounds, and no summaries."""
        evidence, wanted = batch.grouped("evidence", "clip_id"), self.transcribe
        return [
            Transcription(Media("sound", wanted.encoding, b"", clip["duration_s"]), wanted.language, wanted.timed)
            for clip in batch.rows.to_pylist()
            if opened(wanted.gate, evidence[clip["clip_id"]], clip["dataset"])
        ]

    def setup(self, context: Context) -> None:
        """Open the responses; UserError where the environment has no key."""
        service().open(self.transcribe.endpoint, self.endpoint, context.workspace)
        self._clients(context)

    def prepare(self, batch: Batch, context: Context) -> Group[Said | str]:
        """Begin the transcriptions of a batch."""
        clients, evidence = self._clients(context), batch.grouped("evidence", "clip_id")
        jobs = [
            partial(self._serve, *clients, clip, evidence[clip["clip_id"]], context) for clip in batch.rows.to_pylist()
        ]
        return service().start(clients[0], jobs)

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        group: Group[Said | str] = self.prepared(batch, context)
        result = Result()
        for clip, outcome in zip(batch.rows.to_pylist(), group.results(), strict=True):
            key = clip["clip_id"]
            if isinstance(outcome, Reject):
                result.rejects.append(Refusal(key, outcome.error, outcome.message, clip["source_path"]))
            elif isinstance(outcome, str):
                result.drops.append((key, outcome))
            else:
                result.rows += self._rows(key, outcome)
        return result

    async def _serve(
        self,
        client: Client,
        summariser: Client | None,
        clip: dict[str, Any],
        evidence: list[dict[str, Any]],
        context: Context,
    ) -> Said | str:
        """Return what is kept of one clip's transcript, or why it is left out."""
        wanted = self.transcribe
        if not opened(wanted.gate, evidence, clip["dataset"]):
            return "gate_closed"
        media = await asyncio.to_thread(sound, clip, context, wanted.sample_rate, wanted.encoding)
        withhold = wanted.privacy == "withhold"
        reply = await client.ask(Transcription(media, wanted.language, wanted.timed, withhold))
        said = said_in(reply, clip["duration_s"])
        if not said.words:
            return "nothing_heard"
        if summariser is None:
            return said
        chain = load_chain(wanted.summary, f"{KEY}.summary")
        ((_, summary),) = await converse(summariser, chain, chain.file.turns, {"transcript": said.text or ""})
        return Said(summary.text, said.words, said.language, said.onset_s, said.offset_s)

    def _rows(self, clip_id: str, said: Said) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [
            {
                "name": "speech",
                "text": said.text,
                "value": float(said.words),
                "unit": "words",
                "onset_s": said.onset_s,
                "offset_s": said.offset_s,
            }
        ]
        if said.language:
            found.append({"name": "language", "text": said.language})
        return [
            evidence_row(clip_id, self.name, self.endpoint.model, number, kind="transcript", **each)
            for number, each in enumerate(found)
        ]

    def _clients(self, context: Context) -> tuple[Client, Client | None]:
        client = service().client(self.transcribe.endpoint, self.endpoint, context.workspace)
        if self.summariser is None or self.transcribe.summariser is None:
            return client, None
        return client, service().client(self.transcribe.summariser, self.summariser, context.workspace)


def said_in(reply: Reply, duration_s: float) -> Said:
    """Return what a transcription tells; times are those of its first and last segment, within the clip."""
    body = reply.entry["response"]
    text = " ".join(reply.text.split())
    words = int(body["words_counted"]) if "words_counted" in body else len(text.split())
    language = body.get("language")
    told = language if isinstance(language, str) and len(language) <= LONGEST_NAME and readable(language) else None
    spans = [(each.get("start"), each.get("end")) for each in body.get("segments") or () if isinstance(each, dict)]
    times = [(float(a), float(b)) for a, b in spans if isinstance(a, (int, float)) and isinstance(b, (int, float))]
    onset_s = round(min(max(0.0, times[0][0]), duration_s), 3) if times else None
    offset_s = round(min(max(times[-1][1], onset_s or 0.0), duration_s), 3) if times else None
    return Said(text or None, words, told, onset_s, offset_s)
