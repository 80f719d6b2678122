"""The stage that lets one listener of ``taggers`` hear every clip."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Context, Refusal, Resources, Result, Stage
from pipelines.core.workspace import is_host_fault
from pipelines.listen.evidence import evidence_row
from pipelines.listen.models import CLIPS_AT_ONCE, SECONDS_AT_ONCE, Chosen, waveforms
from schemas.errors import Reject, RunStopped
from taggers.base import Finding, Listener, Waveform, hear

FAILED = "listener_failed"
"""Error of a clip of which a model gave no reason for failing."""

FIELDS = tuple(field.name for field in dataclasses.fields(Finding))


@dataclass(frozen=True)
class Listen(Stage):
    """Stage ``listen_<name>``: decodes each clip from the store and keeps what the listener finds.

    A clip in which the listener finds nothing is dropped from its evidence with the reason ``nothing_heard``; a clip that
    it cannot serve alone is a reject ``listener_failed``.
    """

    listener: Chosen[Listener]

    reads = ("clips",)
    writes = "evidence"
    batch_rows = CLIPS_AT_ONCE
    batch_s = SECONDS_AT_ONCE

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stage's name."""
        return f"listen_{self.listener.name}"

    @property
    def resources(self) -> Resources:  # type: ignore[override]
        """What the model occupies."""
        return self.listener.resources

    @property
    def crew(self) -> str:  # type: ignore[override]
        """Models of one rate are heard by the same workers."""
        return self.listener.crew

    prepares = crew

    def params(self) -> dict[str, Any]:
        """The listener and its settings; not the device, which must not change what is heard."""
        return self.listener.params()

    def revisions(self) -> dict[str, str]:
        """The listener's revision."""
        return {self.listener.name: self.listener.model.revision}

    def check(self) -> None:
        """Raise UserError for a listener that is not known, not installed, without weights or wrongly set."""
        _ = self.listener.model

    def setup(self, context: Context) -> None:
        """Load the listener, once per process."""
        _ = self.listener.loaded

    def prepare(self, batch: Batch, context: Context) -> list[Waveform]:
        """Decode the clips and bring them to the listener's rate."""
        return waveforms(batch.rows, context, self.listener.model.sample_rate)

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        clips, waves = batch.rows.select(["clip_id", "source_path"]).to_pylist(), self.prepared(batch, context)
        listener, name = self.listener.loaded, self.listener.name
        result = Result()
        try:
            answers = hear(listener, waves)
        except Exception as error:
            if len(clips) > 1 or is_host_fault(error) or isinstance(error, RunStopped):
                raise
            return Result(rejects=[failed(clips[0], error)])
        for clip, findings in zip(clips, answers, strict=True):
            result.rows += [
                evidence_row(
                    clip["clip_id"], name, listener.revision, n, **{key: getattr(finding, key) for key in FIELDS}
                )
                for n, finding in enumerate(findings)
            ]
            if not findings:
                result.drops.append((clip["clip_id"], "nothing_heard"))
        return result


def failed(clip: dict[str, Any], error: Exception) -> Refusal:
    """Return the reject of a clip that a model could not serve alone.

    Raises:
        RunStopped: the accelerator is lost; once it is, it fails for every clip that follows.
    """
    if isinstance(error, Reject):  # the model's own word for it
        return Refusal(clip["clip_id"], error.error, error.message, clip["source_path"])
    words = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    if type(error).__name__ == "AcceleratorError" or "CUDA error" in words:
        raise RunStopped(f"the accelerator failed ({words[:200]}); run the same command again") from error
    return Refusal(clip["clip_id"], FAILED, words, clip["source_path"])
