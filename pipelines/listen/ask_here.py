"""The stage that asks a model of ``taggers`` about every clip, in the run's own workers: for those with a GPU and no server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Context, Refusal, Resources, Result, Stage
from pipelines.listen.chain import Chain, answer_of, check_about_clips, evidence_of, load_chain
from pipelines.listen.models import CLIPS_AT_ONCE, SECONDS_AT_ONCE, Chosen, waveforms
from pipelines.llm.prompt_files import prompt_hash
from taggers.base import Waveform
from taggers.chat import Chat, Conversation, NoAnswer


@dataclass(frozen=True)
class AskHere(Stage):
    """Stage ``ask_<name>``: clips and what was heard in them -> answers, by the questions of a chain whose gates are open.

    Rows, drops and rejects are those of :class:`pipelines.listen.ask.Ask`, which asks a server: a clip of which nothing is asked
    is dropped as ``gate_closed``, one whose every question was refused as ``refused``; a conversation that could not be had is
    a reject with the model's own word for it.
    """

    chat: Chosen[Chat]
    questions: str

    reads = ("clips", "evidence")
    writes = "evidence"
    batch_rows = CLIPS_AT_ONCE
    batch_s = SECONDS_AT_ONCE

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stage's name."""
        return f"ask_{self.chat.name}"

    @property
    def resources(self) -> Resources:  # type: ignore[override]
        """What the model occupies."""
        return self.chat.resources

    @property
    def prepares(self) -> str:  # type: ignore[override]
        """Nobody shares what it decodes: it waits for what others heard."""
        return self.name

    @property
    def chain(self) -> Chain:
        """The questions."""
        return load_chain(self.questions, f"listen.chats {self.chat.name}")

    def params(self) -> dict[str, Any]:
        """The model and its settings; not the device, which must not change what is answered."""
        return self.chat.params()

    def revisions(self) -> dict[str, str]:
        """The model's revision and the hash of the questions."""
        key = f"listen.chats {self.chat.name}"
        return {self.chat.name: self.chat.model.revision, "chain": prompt_hash(self.questions, key)}

    def check(self) -> None:
        """Raise UserError for a model or for questions that cannot be used."""
        _ = self.chat.model
        check_about_clips(self.chain, self.questions, f"listen.chats {self.chat.name}")

    def setup(self, context: Context) -> None:
        """Load the model, once per process."""
        _ = self.chat.loaded

    def prepare(self, batch: Batch, context: Context) -> list[Waveform]:
        """Decode the clips and bring them to the model's rate."""
        return waveforms(batch.rows, context, self.chat.model.sample_rate)

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        model, chain, waves = self.chat.loaded, self.chain, self.prepared(batch, context)
        evidence = batch.grouped("evidence", "clip_id")
        result, asked = Result(), []
        for clip, wave in zip(batch.rows.to_pylist(), waves, strict=True):
            turns = chain.turns(evidence[clip["clip_id"]], clip["dataset"])
            if not turns:
                result.drops.append((clip["clip_id"], "gate_closed"))
                continue
            values = {"duration_s": round(clip["duration_s"], 1), "pictures": 0}
            words = tuple(chain.render(turn, values) for turn in turns)
            asked.append((clip, turns, Conversation(words, wave, system=chain.file.system)))
        answers = model.converse([conversation for _, _, conversation in asked])
        revision = f"{model.revision}-{chain.sha256[:12]}"
        for (clip, turns, _), answered in zip(asked, answers, strict=True):
            key = clip["clip_id"]
            if isinstance(answered, NoAnswer):
                result.rejects.append(Refusal(key, answered.error, answered.message, clip["source_path"]))
                continue
            told = zip(turns, answered, strict=True)
            heard = [(turn, answer_of(turn, answer.text, cut=answer.cut)) for turn, answer in told]
            if rows := evidence_of(key, self.chat.name, revision, heard):
                result.rows += rows
            else:
                result.drops.append((key, "refused"))
        return result
