"""The stage that asks a language model behind an endpoint which classes published captions tell of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipelines.core.stage import Batch, Context, Refusal, Resources, Result, Stage
from pipelines.listen.publisher import LISTENER as PUBLISHER
from pipelines.llm.chat import Chat
from pipelines.llm.prompt_files import prompt_hash
from pipelines.llm.service import SHARES, Group, service
from pipelines.llm.transport import check_client
from pipelines.unify.asking import Answered, Outcome, packs, request_of, told_of
from pipelines.unify.names import default_index, labels_revision
from pipelines.unify.prompt import ClassesPrompt, load_classes_prompt
from schemas.endpoints import Endpoint
from schemas.errors import Reject
from schemas.recipe import Unify

NAME = "extract_tags"
KEY = "unify.tags_prompt"

Row = dict[str, Any]


@dataclass(frozen=True)
class ExtractTags(Stage):
    """Stage ``extract_tags``: published captions -> the classes that a language model says they tell of, as HSM-TSS does.

    A caption is asked about once in a partition, :mod:`many at a time <pipelines.unify.asking>`; which captions share a request
    depends on the partition alone. A clip is a drop ``no_caption``, ``no_tags`` where its captions tell of no class, or
    ``refused`` or ``unreadable`` where they came to nothing else. It is a reject with the error of
    :meth:`pipelines.llm.client.Client.ask` if one of its requests failed; what was answered stays in the ledger.

    The rows are no evidence: captions are judged by evidence, and each would bear out itself.

    Args:
        unify: its part of the recipe.
        endpoint: who answers.
    """

    unify: Unify
    endpoint: Endpoint

    name = NAME
    reads = ("clips", "evidence")
    writes = "caption_tags"
    batch_rows = 256
    crew = SHARES
    resources = Resources(actor=True, single=True)
    prepares = NAME

    @property
    def prompt(self) -> ClassesPrompt:
        """The prompt."""
        return load_classes_prompt(self.unify.tags_prompt, KEY)

    @property
    def asked(self) -> tuple[str, Endpoint]:
        """Who is asked, by its name in the recipe."""
        assert self.unify.tags is not None
        return self.unify.tags, self.endpoint

    def reads_from(self) -> dict[str, tuple[str, ...]]:
        """Captions are the publisher's alone."""
        return {"evidence": (PUBLISHER,)}

    def params(self) -> dict[str, Any]:
        """The parameters of the answer; not where, nor how fast or at what price."""
        return self.endpoint.identity()

    def revisions(self) -> dict[str, str]:
        """The model's name, and the hashes of the prompt and of the tables."""
        prompt = prompt_hash(self.unify.tags_prompt, KEY)
        return {"model": self.endpoint.model, "prompt": prompt, "labels": labels_revision()}

    def check(self) -> None:
        """Raise UserError for a prompt that cannot be used, or a client that is not installed."""
        check_client("unify.tags")
        _ = self.prompt

    def setup(self, context: Context) -> None:
        """Open the responses; UserError where the environment has no key."""
        default_index()  # before the event loop would wait for it
        service().open(*self.asked, context.workspace)

    def requests(self, batch: Batch, context: Context) -> list[Chat]:
        """Return what is asked first of a batch, for an estimate."""
        return [request_of(self.prompt, pack) for pack in self._packs(batch)]

    def prepare(self, batch: Batch, context: Context) -> Group[dict[str, Outcome]]:
        """Begin the conversations about a batch's captions."""
        client, prompt = service().client(*self.asked, context.workspace), self.prompt
        return service().start(client, [partial(told_of, client, prompt, pack) for pack in self._packs(batch)])

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        group: Group[dict[str, Outcome]] = self.prepared(batch, context)
        answers: dict[str, Outcome] = {}
        for outcomes in group.results():
            if isinstance(outcomes, Reject):
                raise outcomes  # a conversation keeps its own
            answers |= outcomes
        evidence, result = batch.grouped("evidence", "clip_id"), Result()
        for clip in batch.rows.select(["clip_id", "source_path"]).to_pylist():
            clip_id = clip["clip_id"]
            told = [(row["evidence_id"], answers[row["text"]]) for row in _captions(evidence[clip_id])]
            failed = next((outcome for _, outcome in told if isinstance(outcome, Reject)), None)
            rows = list(self._rows(clip_id, told))
            if failed:
                result.rejects.append(Refusal(clip_id, failed.error, failed.message, clip["source_path"]))
            elif rows:
                result.rows += rows
            else:
                reasons = {outcome for _, outcome in told if isinstance(outcome, str)}
                result.drops.append((clip_id, min(reasons, default="no_tags") if told else "no_caption"))
        return result

    def _rows(self, clip_id: str, told: list[tuple[str, Outcome]]) -> Iterator[Row]:
        number, prompt_hash = 0, self.prompt.sha256
        for evidence_id, outcome in told:
            if not isinstance(outcome, Answered):
                continue
            for class_id in outcome.told.class_ids or ():
                yield {
                    "tag_id": f"{clip_id}:{number}",
                    "clip_id": clip_id,
                    "evidence_id": evidence_id,
                    "class_id": class_id,
                    "answer": outcome.told.words,
                    "model": self.endpoint.model,
                    "prompt_hash": prompt_hash,
                    "request": outcome.request,
                }
                number += 1

    def _packs(self, batch: Batch) -> list[tuple[str, ...]]:
        """Return the packs, of all captions of the partition, that a batch's captions belong to."""
        evidence = batch.grouped("evidence", "clip_id")
        texts = dict.fromkeys(row["text"] for rows in evidence.values() for row in _captions(rows))
        own = (evidence.get(clip_id, []) for clip_id in batch.rows.column("clip_id").to_pylist())
        wanted = {row["text"] for rows in own for row in _captions(rows)}
        return [pack for pack in packs(list(texts)) if not wanted.isdisjoint(pack)]


def _captions(evidence: list[Row]) -> list[Row]:
    return [row for row in evidence if row["kind"] == "caption" and row["listener"] == PUBLISHER and row["text"]]
