"""The stage that has a language model behind an endpoint write captions from what is known of each clip."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from pipelines.core.stage import Batch, Context, Refusal, Resources, Result, Stage
from pipelines.describe.asking import FAILED, Job, Outcome, Wish, Written, write_for
from pipelines.describe.given import Given, given_of, may_tell
from pipelines.describe.packing import packs
from pipelines.describe.phrases import load_phrases, phrase_hash
from pipelines.describe.prompts import Prompt, load_prompt
from pipelines.describe.rounds import GOOD_ENOUGH, settled, so_far
from pipelines.llm.chat import Chat
from pipelines.llm.prompt_files import prompt_hash
from pipelines.llm.service import SHARES, Group, service
from pipelines.llm.transport import check_client
from pipelines.unify.names import default_index
from schemas.endpoints import Endpoint
from schemas.errors import Reject, UserError
from schemas.ontology import default_ontology
from schemas.recipe import Writer

NOTHING_KNOWN = "nothing_known"
"""Why a clip is not asked about."""

_SEEDS = 1 << 30
"""Seeds are below this: servers that keep them in 32 bits take them, and the client may move them on."""


@dataclass(frozen=True)
class Write(Stage):
    """Stage ``write_<name>``, from the second round on ``write_<name>_<round>``: evidence -> candidates.

    Each clip is asked about once per style, language and candidate, each time with a seed of its own; ``pack`` clips are asked
    about in one request. An answer that may be another clip's (:func:`pipelines.describe.packing.read_numbered`, ``own_words``) is
    not used: the clip is asked about alone, as one is whose texts seem to speak to the model. A caption that breaks a rule of
    the prompt is sent back once with the reason, in a conversation about this clip alone, and left out if it breaks one again.

    A clip is a drop ``nothing_known`` where nothing that the prompt names tells what sounds; ``no_sound_described`` where the model
    says so (``Failure.``), ``breaks_rules`` or ``refused`` where it comes to no caption (the first that occurred, in this order);
    ``good_enough`` in a later round. It is a reject with the error of :meth:`pipelines.llm.client.Client.ask` if one of its
    requests failed; what was answered stays in the ledger, so that asking again pays for the rest.

    In later rounds the prompt is told the best caption so far and what nothing supports of it, see
    :mod:`pipelines.describe.rounds`.

    Which clips share a request depends on the partition alone, never on the rows that are served together: a row that is
    served again by itself finds the same answer in the ledger.

    Args:
        writer: its part of the recipe.
        endpoint: who answers.
        phrases: the grammar's phrase file, relative to ``configs/``; it says what measured values are called.
        round: from 1.
    """

    writer: Writer
    endpoint: Endpoint
    phrases: str = "prompts/grammar.yaml"
    round: int = 1

    writes = "candidates"
    seeded = True
    batch_rows = 256
    crew = SHARES
    resources = Resources(actor=True, single=True)

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stage's name."""
        return f"write_{self.writer.name}" + (f"_{self.round}" if self.round > 1 else "")

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """Clips and their evidence; in later rounds what was written of them, and how it was judged."""
        return ("clips", "evidence", *(["candidates", "verdicts", "scores"] if self.round > 1 else []))

    @property
    def prepares(self) -> str:  # type: ignore[override]
        """Nobody shares its conversations."""
        return self.name

    @property
    def prompt(self) -> Prompt:
        """The prompt."""
        return load_prompt(self.writer.prompt, self._key)

    @property
    def _key(self) -> str:
        return f"describe.write {self.writer.name}"

    def params(self) -> dict[str, Any]:
        """What is asked for, and the parameters of the answer; not where, nor how fast or at what price."""
        own = self.writer.model_dump(exclude={"endpoint", "prompt"})
        return {**own, "round": self.round, **self.endpoint.identity()}

    def revisions(self) -> dict[str, str]:
        """The model's name, and the hashes of the prompt and of the words for measured values."""
        prompt = prompt_hash(self.writer.prompt, self._key)
        return {"model": self.endpoint.model, "prompt": prompt, "phrases": phrase_hash(self.phrases)}

    def check(self) -> None:
        """Raise UserError for a prompt that cannot be used, and for candidates that could not but be the same."""
        check_client(self._key)
        load_phrases(self.phrases)
        known = self.prompt.file.styles
        for style in self.writer.styles:
            if style not in known:
                near = difflib.get_close_matches(style, known, 1)
                mend = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
                raise UserError(f"{self._key}: {self.writer.prompt} has no style {style!r}; {mend}")
        place = f"endpoints.{self.writer.endpoint}"
        if self.writer.candidates > 1 and (self.endpoint.seed is None or self.endpoint.temperature == 0.0):
            what = "seed: 0" if self.endpoint.seed is None else "temperature above 0"
            raise UserError(f"{self._key}: all its candidates would be the same; give {place} a {what}")
        if self.round > 1 and "best" not in self.prompt.file.variables:
            raise UserError(
                f"{self._key}: {self.writer.prompt} does not name `best`, without which a second round is asked as the first; "
                "name it there, or set describe.rounds to 1"
            )

    def setup(self, context: Context) -> None:
        """Open the responses; UserError where the environment has no key."""
        default_index()  # before the event loop would wait for it
        service().open(self.writer.endpoint, self.endpoint, context.workspace)

    @property
    def asked(self) -> tuple[str, Endpoint]:
        """Who is asked, by its name in the recipe."""
        return self.writer.endpoint, self.endpoint

    def requests(self, batch: Batch, context: Context) -> list[Chat]:
        """Return what is asked first of a batch, for an estimate: neither what is asked again, nor singly after a fault.

        Args:
            batch: rows of ``clips`` with the side tables that :attr:`reads` names.
            context: its seed is used, and nothing else.
        """
        jobs, _ = self._jobs(batch, context)
        return [job.request() for job in jobs]

    def prepare(self, batch: Batch, context: Context) -> tuple[list[Job], dict[str, str], Group[dict[str, Outcome]]]:
        """Begin the conversations of a batch."""
        client = service().client(self.writer.endpoint, self.endpoint, context.workspace)
        (jobs, drops), prompt = self._jobs(batch, context), self.prompt
        group = service().start(client, [partial(write_for, client, prompt, job) for job in jobs])
        return jobs, drops, group

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        jobs, drops, group = self.prepared(batch, context)
        found: dict[str, list[tuple[Job, Outcome]]] = {}
        for job, outcomes in zip(jobs, group.results(), strict=True):
            if isinstance(outcomes, Reject):
                raise outcomes  # a conversation keeps its own
            for clip_id, outcome in outcomes.items():
                found.setdefault(clip_id, []).append((job, outcome))
        result, prompt = Result(), self.prompt
        for clip in batch.rows.select(["clip_id", "source_path"]).to_pylist():
            clip_id = clip["clip_id"]
            if clip_id in drops:
                result.drops.append((clip_id, drops[clip_id]))
                continue
            came = found[clip_id]
            failed = next((outcome for _, outcome in came if isinstance(outcome, Reject)), None)
            rows = [self._row(prompt, clip_id, job, each) for job, each in came if isinstance(each, Written)]
            if failed:
                result.rejects.append(Refusal(clip_id, failed.error, failed.message, clip["source_path"]))
            elif rows:
                result.rows += rows
            else:
                reasons = {outcome for _, outcome in came}
                result.drops.append((clip_id, next(reason for reason in FAILED if reason in reasons)))
        return result

    def _jobs(self, batch: Batch, context: Context) -> tuple[list[Job], dict[str, str]]:
        """Return what is to be asked of a batch, and why nothing is asked of some of its clips."""
        own = batch.rows.column("clip_id").to_pylist()
        wanted, prompt = set(own), self.prompt
        drops: dict[str, str] = {}
        groups: list[tuple[tuple[str, Given], ...]] = []
        for pack in self._packs(prompt, batch, own):
            together: list[tuple[str, Given]] = []
            for clip_id in pack:
                given = self._given(prompt, clip_id, batch)
                if isinstance(given, str):
                    drops[clip_id] = given
                elif given.known.speaks_to_models():
                    groups.append(((clip_id, given),))
                else:
                    together.append((clip_id, given))
            groups.append(tuple(together))
        groups = [group for group in groups if any(clip_id in wanted for clip_id, _ in group)]
        jobs = []
        for group, style, language in product(groups, self._styles(prompt), self.writer.languages):
            messages = prompt.messages([given.known for _, given in group], style, language)
            mine = tuple(clip_id for clip_id, _ in group if clip_id in wanted)
            for number in range(self.writer.candidates):
                wish = Wish(style, language, number)
                seeds = {clip_id: self._seed(clip_id, wish, context) for clip_id, _ in group}
                jobs.append(Job(group, mine, wish, messages, seeds))
        return jobs, {clip_id: drops[clip_id] for clip_id in own if clip_id in drops}

    def _styles(self, prompt: Prompt) -> Sequence[str]:
        return self.writer.styles or list(prompt.file.styles)

    def _given(self, prompt: Prompt, clip_id: str, batch: Batch) -> Given | str:
        """Return what is known of a clip, or why it is not asked about."""
        evidence = batch.grouped("evidence", "clip_id").get(clip_id, [])
        given = given_of(evidence, load_phrases(self.phrases).file.acoustics, default_ontology())
        if not prompt.says(given.known):
            return NOTHING_KNOWN
        return given if self.round == 1 else so_far(given, clip_id, batch) or GOOD_ENOUGH

    def _packs(self, prompt: Prompt, batch: Batch, own: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the packs, of all clips of the partition that may be asked about, that a batch's clips belong to."""
        if self.writer.pack == 1:
            return [(clip_id,) for clip_id in own]
        done = settled(batch.sides["verdicts"]) if self.round > 1 else set()
        telling = may_tell(batch.sides["evidence"], prompt.file.variables, prompt.file.answers)
        members = dict.fromkeys(clip_id for clip_id in telling if clip_id not in done)
        wanted = set(own)
        found = [pack for pack in packs(list(members), self.writer.pack) if not wanted.isdisjoint(pack)]
        return found + [(clip_id,) for clip_id in own if clip_id not in members]

    def _seed(self, clip_id: str, wish: Wish, context: Context) -> int | None:
        if self.endpoint.seed is None:
            return None
        drawn = context.seed(self.name, f"{clip_id}:{wish.style}:{wish.language}:{wish.number}")
        return (drawn + self.endpoint.seed) % _SEEDS

    def _row(self, prompt: Prompt, clip_id: str, job: Job, written: Written) -> dict[str, Any]:
        wish, entry, file = job.wish, written.entry, prompt.file
        later = f"-{self.round}" if self.round > 1 else ""
        tokens_in, tokens_out, usd = (entry[name] for name in ("tokens_in", "tokens_out", "usd"))
        return {
            "candidate_id": f"{clip_id}:{self.writer.name}-{wish.style}-{wish.language}{later}:{wish.number}",
            "clip_id": clip_id,
            "method": self.writer.name,
            "style": wish.style,
            "language": wish.language,
            "round": self.round,
            "text": written.text,
            "model": self.endpoint.model,
            "prompt_hash": prompt.sha256,
            "seed": entry["request"]["parameters"].get("seed"),
            "request": entry["key"],
            "request_id": entry["request_id"],
            "tokens_in": None if tokens_in is None else tokens_in / written.shared,
            "tokens_out": None if tokens_out is None else tokens_out / written.shared,
            "usd": None if usd is None else usd / written.shared,
            "evidence_ids": dict(job.pack)[clip_id].rests_on(file.variables, file.answers),
        }
