"""The stage that asks a language model behind an endpoint what labels mean that no table knows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from pipelines.core.stage import Batch, Context, Refusal, Resources, Result, Stage
from pipelines.llm.chat import Chat
from pipelines.llm.prompt_files import prompt_hash
from pipelines.llm.service import SHARES, Group, service
from pipelines.llm.transport import check_client
from pipelines.unify import near
from pipelines.unify.asking import Answered, Outcome, packs, request_of, told_of
from pipelines.unify.meaning import UNKNOWN, meaning_of
from pipelines.unify.names import default_index, labels_revision
from pipelines.unify.prompt import ClassesPrompt, load_classes_prompt
from pipelines.unify.reviewed import read_review, review_digest
from schemas.endpoints import Endpoint
from schemas.errors import Reject
from schemas.recipe import Unify

NAME = "categorise"
KEY = "unify.prompt"


@dataclass(frozen=True)
class Categorise(Stage):
    """Stage ``categorise``: names that are still unknown -> what a language model says that they mean.

    A name is asked about once, whatever the number of datasets that use it, :mod:`many at a time <pipelines.unify.asking>`. A
    name is a drop ``known`` where a review, a table or an embedding tells its class, ``not_known`` where the model does not know
    it or names nothing that is a class, ``refused`` or ``unreadable``. It is a reject with the error of
    :meth:`pipelines.llm.client.Client.ask`; it then stays unknown, and asking again pays for the rest.

    Args:
        unify: its part of the recipe.
        endpoint: who answers.
    """

    unify: Unify
    endpoint: Endpoint

    name = NAME
    reads = ("vocabulary",)
    writes = "categories"
    key = out_key = "name_id"
    waits = True
    crew = SHARES
    resources = Resources(actor=True, single=True)

    @property
    def prompt(self) -> ClassesPrompt:
        """The prompt."""
        return load_classes_prompt(self.unify.prompt, KEY)

    @property
    def asked(self) -> tuple[str, Endpoint]:
        """Who is asked, by its name in the recipe."""
        assert self.unify.endpoint is not None
        return self.unify.endpoint, self.endpoint

    def params(self) -> dict[str, Any]:
        """What counts as known, and the parameters of the answer; not where, nor how fast or at what price."""
        own = {"embeddings": self.unify.embeddings, "review": self.unify.review}
        return {**own, **self.endpoint.identity()}

    def revisions(self) -> dict[str, str]:
        """The model's name, and the hashes of the prompt and of the tables."""
        found = {
            "model": self.endpoint.model,
            "prompt": prompt_hash(self.unify.prompt, KEY),
            "labels": labels_revision(),
        }
        return found | ({"sentences": near.revision()} if self.unify.embeddings is not None else {})

    def check(self) -> None:
        """Raise UserError for a prompt that cannot be used, or a client or a model of sentences that is not installed."""
        check_client("unify.endpoint")
        _ = self.prompt, self.revisions()

    def sources(self, context: Context) -> str:
        """The digest of the review file; UserError where it cannot be used."""
        return review_digest(self.unify.review, context.data_root)

    def setup(self, context: Context) -> None:
        """Open the responses; UserError where the environment has no key."""
        service().open(*self.asked, context.workspace)

    def requests(self, batch: Batch, context: Context) -> list[Chat]:
        """Return what is asked first of a batch, for an estimate; none of one that holds no names yet."""
        if self.key not in batch.rows.schema.names:
            return []
        return [
            request_of(self.prompt, pack) for pack in packs(list(dict.fromkeys(self._open(batch, context).values())))
        ]

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve all rows of ``vocabulary``."""
        open_ = self._open(batch, context)
        answers = self._answers(list(dict.fromkeys(open_.values())), context)
        result = Result()
        for key in batch.rows.column("name_id").to_pylist():
            outcome = answers[open_[key]] if key in open_ else "known"
            if isinstance(outcome, Reject):
                result.rejects.append(Refusal(key, outcome.error, outcome.message))
            elif isinstance(outcome, str):
                result.drops.append((key, outcome))
            elif outcome.told.class_ids is None:
                result.drops.append((key, "not_known"))
            else:
                result.rows.append({"name_id": key, "class_ids": list(outcome.told.class_ids)} | self._told(outcome))
        return result

    def _open(self, batch: Batch, context: Context) -> dict[str, str]:
        """Return the names that are still unknown, as they are to be asked, by key."""
        review, index = read_review(self.unify.review, context.data_root), default_index()
        rows = batch.rows.sort_by("name_id").to_pylist()
        unknown = (row for row in rows if meaning_of(row, index, review, self.unify.embeddings).origin == UNKNOWN)
        return {row["name_id"]: row["name"] for row in unknown}

    def _answers(self, names: list[str], context: Context) -> dict[str, Outcome]:
        client, prompt = service().client(*self.asked, context.workspace), self.prompt
        group: Group[dict[str, Outcome]] = service().start(
            client, [partial(told_of, client, prompt, pack) for pack in packs(names)]
        )
        found: dict[str, Outcome] = {}
        for outcomes in group.results():
            if isinstance(outcomes, Reject):
                raise outcomes  # a conversation keeps its own
            found |= outcomes
        return found

    def _told(self, outcome: Answered) -> dict[str, Any]:
        return {
            "answer": outcome.told.words,
            "model": self.endpoint.model,
            "prompt_hash": self.prompt.sha256,
            "request": outcome.request,
        }
