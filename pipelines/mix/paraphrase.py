"""The stage that has a language model behind an endpoint say the instruction patterns in other words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from pipelines.core.stage import Batch, Context, Refusal, Resources, Result, Stage
from pipelines.listen.answers import plain, read_answer
from pipelines.llm.cache import Entry
from pipelines.llm.chat import Chat
from pipelines.llm.client import Client
from pipelines.llm.request import Message
from pipelines.llm.service import SHARES, Group, service
from pipelines.llm.transport import check_client
from pipelines.mix.paraphrase_prompt import ParaphrasePrompt, fields_of, load_paraphrase, read_wordings
from pipelines.mix.patterns import Patterns, Task
from pipelines.unify.names import default_index
from schemas.endpoints import Endpoint
from schemas.errors import Reject
from schemas.mixing import Paraphrase

KEY = "mix.paraphrase"

Worded = tuple[list[str], Entry]
"""The wordings that are kept, and the ledger's entry of the request that gave them."""


@dataclass(frozen=True)
class ParaphrasePatterns(Stage):
    """Stage ``paraphrase``: the files' patterns -> further rows of ``patterns``, in a model's words.

    One request per pattern. A wording is kept only where it asks for the same by rule, for any sound, and names none
    (`pipelines.mix.meaning`): a model that turns "remove" round would otherwise teach the opposite.

    A pattern is a drop ``no_wording_fits``, ``refused`` by the model, or ``unreadable``, its answer having no wordings, twice. It
    is a reject with the error of :meth:`pipelines.llm.client.Client.ask`. Whatever becomes of it, the file's own pattern stays.

    Args:
        paraphrase: its part of the recipe.
        endpoint: who answers.
    """

    paraphrase: Paraphrase
    endpoint: Endpoint

    name = "paraphrase"
    reads = ("patterns",)
    writes = "patterns"
    key = "pattern_id"
    out_key = "original_id"
    prepares = "paraphrase"
    batch_rows = 256
    crew = SHARES
    resources = Resources(actor=True, single=True)

    @property
    def prompt(self) -> ParaphrasePrompt:
        """The prompt."""
        return load_paraphrase(self.paraphrase.prompt, KEY)

    def reads_from(self) -> dict[str, tuple[str, ...]]:
        """The files' patterns."""
        return {"patterns": (Patterns.name,)}

    def params(self) -> dict[str, Any]:
        """How many wordings are asked for, and the parameters of the answer; not where, nor how fast or at what price."""
        return {"per_pattern": self.paraphrase.per_pattern, **self.endpoint.identity()}

    def revisions(self) -> dict[str, str]:
        """The model's name, and the hash of the prompt."""
        return {"model": self.endpoint.model, "prompt": self.prompt.sha256}

    def check(self) -> None:
        """Raise UserError for a prompt that cannot be used, or a client that is not installed."""
        check_client(KEY)
        _ = self.prompt

    @property
    def asked(self) -> tuple[str, Endpoint]:
        """Who is asked, by its name in the recipe."""
        return self.paraphrase.endpoint, self.endpoint

    def requests(self, batch: Batch, context: Context) -> list[Chat]:
        """Return what is asked first of a batch, for an estimate; none of one without patterns."""
        if self.key not in batch.rows.schema.names:
            return []
        return [self._request(text, task) for _, text, task in _patterns(batch)]

    def setup(self, context: Context) -> None:
        """Open the responses; UserError where the environment has no key."""
        default_index()  # before the event loop would wait for it
        service().open(self.paraphrase.endpoint, self.endpoint, context.workspace)

    def prepare(self, batch: Batch, context: Context) -> Group[Worded | str]:
        """Begin the conversations of a batch."""
        client = service().client(self.paraphrase.endpoint, self.endpoint, context.workspace)
        prompt, count = self.prompt, self.paraphrase.per_pattern
        jobs = [
            partial(worded, client, prompt, self._request(text, task), text, task, count)
            for _, text, task in _patterns(batch)
        ]
        return service().start(client, jobs)

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``patterns``."""
        group: Group[Worded | str] = self.prepared(batch, context)
        result = Result()
        for pattern, outcome in zip(batch.rows.to_pylist(), group.results(), strict=True):
            key = pattern["pattern_id"]
            if isinstance(outcome, Reject):
                result.rejects.append(Refusal(key, outcome.error, outcome.message))
            elif isinstance(outcome, str):
                result.drops.append((key, outcome))
            else:
                result.rows += self._rows(pattern, *outcome)
        return result

    def _request(self, pattern: str, task: Task) -> Chat:
        count = self.paraphrase.per_pattern
        return Chat(self.prompt.messages(pattern, task, count), fields_of(count))

    def _rows(self, pattern: dict[str, Any], texts: list[str], entry: Entry) -> list[dict[str, Any]]:
        own = {"origin": self.endpoint.model, "prompt_hash": self.prompt.sha256, "request": entry["key"]}
        return [
            pattern | own | {"pattern_id": f"{pattern['pattern_id']}:{number}", "text": text}
            for number, text in enumerate(texts)
        ]


async def worded(
    client: Client, prompt: ParaphrasePrompt, request: Chat, pattern: str, task: Task, count: int
) -> Worded | str:
    """Return the further wordings of one pattern, or why there are none.

    Raises:
        Reject: as :meth:`Client.ask` does, but for what the server's own filter declines.
        RunStopped: likewise.
    """
    more: tuple[Message, ...] = ()
    try:
        for _ in range(2):
            reply = await client.ask(Chat(request.messages + more, request.fields))
            kept = None if reply.refused else read_wordings(reply.text, pattern, task, count)
            if kept is not None:
                return (kept, reply.entry) if kept else "no_wording_fits"
            if read_answer(reply.text, refused=reply.refused).refused:
                return "refused"
            more = prompt.again(plain(reply.text) or reply.text, count)
    except Reject as reject:
        if reject.error == "refused":
            return "refused"
        raise
    return "unreadable"


def _patterns(batch: Batch) -> list[tuple[str, str, Task]]:
    """Return id, text and task of the patterns of a batch."""
    columns = (batch.rows.column(name).to_pylist() for name in ("pattern_id", "text", "task"))
    return list(zip(*columns, strict=True))
