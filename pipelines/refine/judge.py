"""The stage that has a language model behind an endpoint say, claim by claim, whether a caption fits what is known of its clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipelines.core.stage import Batch, Context, Refusal, Resources, Result, Stage
from pipelines.describe.given import given_of
from pipelines.describe.grounds import same_words
from pipelines.describe.known import Known
from pipelines.describe.phrases import load_phrases, phrase_hash
from pipelines.listen.answers import plain, read_answer
from pipelines.llm.chat import Chat
from pipelines.llm.client import Client
from pipelines.llm.request import Message
from pipelines.llm.service import SHARES, Group, service
from pipelines.llm.transport import check_client
from pipelines.refine import score
from pipelines.refine.claims import Claim
from pipelines.refine.evidence import is_english
from pipelines.refine.judge_answers import Verdict, read_verdicts
from pipelines.refine.judge_prompt import JudgePrompt, claims_of, fields_of, load_judge
from pipelines.refine.judged import WRITES, Of, stage_name, written_by
from pipelines.refine.near import names_nearby
from pipelines.unify.names import default_index
from schemas import endpoints
from schemas.endpoints import Endpoint
from schemas.errors import Reject
from schemas.ontology import default_ontology
from taggers import sentences

SCORER = "judge"
KEY = "refine.judge"

MOST_CLAIMS = 60
"""Claims of a caption that is judged: one with more is none that anybody would want."""

Row = dict[str, Any]
Verdicts = tuple[Verdict, ...]


@dataclass(frozen=True)
class Question:
    """What is asked about one caption."""

    claims: tuple[Claim, ...]
    messages: tuple[Message, ...]

    def request(self, more: tuple[Message, ...] = ()) -> Chat:
        """Return the request; ``more`` are the turns since."""
        return Chat(self.messages + more, fields_of(len(self.claims)))


@dataclass(frozen=True)
class Judge(Stage):
    """Stage ``judge``: candidates -> scores, or ``judge_probes``: probes -> probe_scores.

    One request per caption. The claims are those that ``score`` counts, so that both can be compared; the evidence is what
    the prompt names, without the caption itself, see :func:`known_beside`. The score is the share of supported claims among
    those that are supported or contradicted, null where there are none of either. What this judge is worth, the gate learns
    from the probes: nothing is taken for right because a model says so.

    A caption is a drop ``no_claims`` (also in another language than English, which the rules that find claims do not read),
    ``too_many_claims``, ``speaks_to_models``, ``nothing_known`` where nothing that the prompt names tells what sounds, ``refused``
    by the model, or ``unreadable``, its answer having no verdict for each claim, twice. It is a reject with the error of
    :meth:`pipelines.llm.client.Client.ask`; what was answered stays in the ledger, so that asking again pays for the rest.

    Args:
        judge: its part of the recipe.
        endpoint: who answers.
        phrases: the grammar's phrase file, relative to ``configs/``; it says what measured values are called.
        of: whose captions are judged.
        round: of candidates, the round that they were written in; the name of a later round's stage ends in it.
        writers: stages whose candidates are judged; empty: all of them.
        sentences: whether sounds are also known by sentence embeddings of their names.
    """

    judge: endpoints.Judge
    endpoint: Endpoint
    phrases: str = "prompts/grammar.yaml"
    of: Of = "candidates"
    round: int = 1
    writers: tuple[str, ...] = ()
    sentences: bool = False

    key = "candidate_id"
    out_key = "candidate_id"
    batch_rows = 256
    crew = SHARES
    resources = Resources(actor=True, single=True)

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stage's name."""
        return stage_name("judge", self.of, self.round)

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """Captions, and what is known of their clips."""
        return (self.of, "evidence")

    @property
    def writes(self) -> str:  # type: ignore[override]
        """The scores of candidates and those of probes are apart."""
        return WRITES[self.of]

    @property
    def prepares(self) -> str:  # type: ignore[override]
        """Nobody shares its conversations."""
        return self.name

    @property
    def prompt(self) -> JudgePrompt:
        """The prompt."""
        return load_judge(self.judge.prompt, KEY)

    def reads_from(self) -> dict[str, tuple[str, ...]]:
        """The stages whose captions are judged."""
        return written_by(self.of, self.writers)

    def params(self) -> dict[str, Any]:
        """Which captions are judged, and the parameters of the answer; not where, nor how fast or at what price."""
        return {"of": self.of, "round": self.round, "writers": self.writers, **self.endpoint.identity()}

    def revisions(self) -> dict[str, str]:
        """The model's name, the hashes of the prompt and of the words for measured values, and the revision of the claims."""
        found = {"model": self.endpoint.model, "prompt": self.prompt.sha256, "phrases": phrase_hash(self.phrases)}
        found["claims"] = score.REVISION
        return found | ({"sentences": sentences.revision()} if self.sentences else {})

    def check(self) -> None:
        """Raise UserError for a prompt that cannot be used, or a client or a model of sentences that is not installed."""
        check_client(KEY)
        load_phrases(self.phrases)
        _ = self.revisions()

    @property
    def asked(self) -> tuple[str, Endpoint]:
        """Who is asked, by its name in the recipe."""
        return self.judge.endpoint, self.endpoint

    def requests(self, batch: Batch, context: Context) -> list[Chat]:
        """Return what is asked first of a batch, for an estimate; none of one without captions, which nobody has written yet."""
        if self.key not in batch.rows.schema.names:
            return []
        return [each.request() for each in self._questions(batch) if not isinstance(each, str)]

    def setup(self, context: Context) -> None:
        """Open the responses; UserError where the environment has no key."""
        default_index()  # before the event loop would wait for it
        service().open(self.judge.endpoint, self.endpoint, context.workspace)

    def prepare(self, batch: Batch, context: Context) -> tuple[list[Question | str], Group[Verdicts | str]]:
        """Begin the conversations of a batch."""
        client = service().client(self.judge.endpoint, self.endpoint, context.workspace)
        questions, prompt = self._questions(batch), self.prompt
        jobs = [partial(verdicts, client, prompt, each) for each in questions if not isinstance(each, str)]
        return questions, service().start(client, jobs)

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``candidates`` or ``probes``."""
        questions: list[Question | str]
        group: Group[Verdicts | str]
        questions, group = self.prepared(batch, context)
        answered = iter(group.results())
        revision = f"{self.endpoint.model}-{self.prompt.sha256[:12]}"
        result = Result()
        for caption, question in zip(
            batch.rows.select(["candidate_id", "clip_id"]).to_pylist(), questions, strict=True
        ):
            key = caption["candidate_id"]
            outcome = question if isinstance(question, str) else next(answered)
            if isinstance(outcome, Reject):
                result.rejects.append(Refusal(key, outcome.error, outcome.message))
            elif isinstance(outcome, str) or isinstance(question, str):
                result.drops.append((key, str(outcome)))
            else:
                result.rows.append(
                    caption | {"scorer": SCORER, "revision": revision} | _score(question.claims, outcome)
                )
        return result

    def _questions(self, batch: Batch) -> list[Question | str]:
        """Return what is asked about each caption of a batch, or why nothing is."""
        evidence, prompt = batch.grouped("evidence", "clip_id"), self.prompt
        return [self._question(prompt, row, evidence.get(row["clip_id"], [])) for row in batch.rows.to_pylist()]

    def _question(self, prompt: JudgePrompt, caption: Row, evidence: Sequence[Row]) -> Question | str:
        text = caption["text"]
        if Known(captions=[text]).speaks_to_models():
            return "speaks_to_models"
        claims = claims_of(text, names_nearby() if self.sentences else None) if is_english(caption) else []
        if not claims:
            return "no_claims"
        if len(claims) > MOST_CLAIMS:
            return "too_many_claims"
        beside = evidence_beside(caption, evidence)
        known = given_of(beside, load_phrases(self.phrases).file.acoustics, default_ontology()).known
        if not prompt.says(known):
            return "nothing_known"
        return Question(tuple(claims), prompt.messages(known, text, claims))


def evidence_beside(caption: Row, evidence: Sequence[Row]) -> list[Row]:
    """Return what a caption is held against: its clip's evidence without the caption itself.

    No caption judges itself: left out are the published captions that it is, or that a probe was made from, and whatever
    says the same as one of these or as the caption, in the same words. Left out is also what an uploader or a publisher
    wrote that seems to be meant for a model: whoever judges must not be told how to.

    Args:
        caption: a row of ``candidates`` or ``probes``.
        evidence: its clip's rows of ``evidence``.
    """
    own = set(caption["evidence_ids"]) if caption["method"] == "published" else set()
    words = {same_words(caption["text"])}
    words |= {same_words(row["text"]) for row in evidence if row["evidence_id"] in own and row["text"]}
    beside = [row for row in evidence if row["evidence_id"] not in own]
    return [row for row in beside if not (row["text"] and same_words(row["text"]) in words) and not _sways(row)]


async def verdicts(client: Client, prompt: JudgePrompt, question: Question) -> Verdicts | str:
    """Return the verdicts on the claims of one caption, or why there are none.

    Raises:
        Reject: as :meth:`Client.ask` does, but for what the server's own filter declines.
        RunStopped: likewise.
    """
    more: tuple[Message, ...] = ()
    count = len(question.claims)
    try:
        for _ in range(2):
            reply = await client.ask(question.request(more))
            found = None if reply.refused else read_verdicts(reply.text, count)
            if found is not None:
                return found
            if read_answer(reply.text, refused=reply.refused).refused:
                return "refused"
            more = prompt.again(plain(reply.text) or reply.text, count)
    except Reject as reject:
        if reject.error == "refused":
            return "refused"
        raise
    return "unreadable"


def _sways(row: Row) -> bool:
    """Say whether words of others seem to be meant for a model; answers are a model's own, and a transcript tells who speaks."""
    said = row["name"] if row["kind"] == "keyword" else row["text"]
    return row["kind"] in ("text", "caption", "keyword") and Known(captions=[said or ""]).speaks_to_models()


def _score(claims: Sequence[Claim], told: Verdicts) -> Row:
    contradicted = [claim.text for claim, verdict in zip(claims, told, strict=True) if verdict == "contradicted"]
    supported = told.count("supported")
    checked = supported + len(contradicted)
    return {
        "score": supported / checked if checked else None,
        "claims": len(claims),
        "supported": supported,
        "unsupported": contradicted,
        "evidence_ids": [],
    }
