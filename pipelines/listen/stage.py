"""The stage that lets one listener of ``taggers`` hear every clip."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from pipelines.core.stage import Batch, Context, Refusal, Resources, Result, Stage
from pipelines.core.workspace import is_host_fault
from pipelines.ingest.store import from_store
from pipelines.listen.evidence import evidence_row
from schemas.errors import UserError
from taggers.base import Listener, MissingExtra, UnknownListener, Waveform, create, hear


@dataclass(frozen=True)
class Listen(Stage):
    """Stage ``listen_<listener>``: decodes each clip from the store and keeps what the listener finds.

    A clip in which the listener finds nothing is dropped from its evidence with the reason ``nothing_heard``; a clip that
    it cannot serve alone is a reject ``listener_failed``.
    """

    listener: str
    device: str = "cpu"

    reads = ("clips",)
    writes = "evidence"
    batch_rows = 16

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stage's name."""
        return f"listen_{self.listener}"

    @property
    def resources(self) -> Resources:  # type: ignore[override]
        """An actor where loading is expensive, else a task."""
        listener = _find(self.listener)
        return Resources(gpus=listener.gpus if self.device != "cpu" else 0.0, actor=listener.stateful)

    def params(self) -> dict[str, Any]:
        """The listener; not the device, which must not change what is heard."""
        return {"listener": self.listener}

    def revisions(self) -> dict[str, str]:
        """The listener's revision."""
        return {self.listener: _find(self.listener).revision}

    def check(self) -> None:
        """Raise UserError for a listener that is not known or not installed."""
        _find(self.listener)

    def setup(self, context: Context) -> None:
        """Load the listener, once per process."""
        _loaded(self.listener, self.device)

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        listener, clips = _loaded(self.listener, self.device), batch.rows.to_pylist()
        waves = [_waveform(clip, context) for clip in clips]
        result = Result()
        try:
            answers: list[Any] = list(hear(listener, waves))
        except Exception as error:
            if len(clips) > 1 or is_host_fault(error):
                raise
            words = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            return Result(rejects=[Refusal(clips[0]["clip_id"], "listener_failed", words, clips[0]["source_path"])])
        for clip, findings in zip(clips, answers, strict=True):
            result.rows += [
                evidence_row(clip["clip_id"], self.listener, listener.revision, n, **dataclasses.asdict(finding))
                for n, finding in enumerate(findings)
            ]
            if not findings:
                result.drops.append((clip["clip_id"], "nothing_heard"))
        return result


def _waveform(clip: dict[str, Any], context: Context) -> Waveform:
    samples, rate = from_store(context.workspace.read_range(clip["tar"], clip["offset"], clip["size"]))
    return Waveform(samples.astype(np.float32) / np.float32(32768), rate)


def _find(name: str) -> Listener:
    try:
        return create(name)
    except (UnknownListener, MissingExtra) as error:
        raise UserError(f"listen.listeners: {error.args[0]}") from None


@lru_cache(maxsize=4)
def _loaded(name: str, device: str) -> Listener:
    listener = _find(name)
    listener.load(device)
    return listener
