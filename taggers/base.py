"""The one seam to models: what a model that hears is given, and what it answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeVar, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from taggers.windows import starts

Answer = TypeVar("Answer")

Kind = Literal["tag", "event", "fact", "answer", "transcript"]


@dataclass(frozen=True, eq=False)
class Waveform:
    """A mono waveform that carries its own rate.

    Attributes:
        samples: float32, shape (n,) with n >= 1, finite, in [-1, 1]; held as a read-only view.
        rate: sampling rate in Hz, >= 1.

    Raises:
        TypeError: `samples` is not a float32 array or `rate` is not an integer.
        ValueError: the wrong shape, no samples, a sample outside [-1, 1] or not finite, or a rate below 1.

    """

    samples: NDArray[np.float32]
    rate: int

    def __post_init__(self) -> None:
        if not isinstance(self.samples, np.ndarray) or self.samples.dtype != np.float32:
            given = getattr(self.samples, "dtype", type(self.samples).__name__)
            raise TypeError(f"samples must be a float32 array, not {given}")
        if isinstance(self.rate, bool) or not isinstance(self.rate, int):
            raise TypeError(f"rate must be an integer of Hz, not {self.rate!r}")
        if self.rate < 1:
            raise ValueError(f"rate must be at least 1 Hz, not {self.rate}")
        if self.samples.ndim != 1 or not len(self.samples):
            raise ValueError(f"samples must have shape (n,) with n >= 1, not {self.samples.shape}")
        low, high = float(self.samples.min()), float(self.samples.max())
        if not (low >= -1.0 and high <= 1.0):  # NaN fails both comparisons
            raise ValueError(f"samples must be finite and in [-1, 1]; they span [{low}, {high}]")
        view = self.samples.view()
        view.flags.writeable = False
        object.__setattr__(self, "samples", view)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that one listener heard in one waveform. None means "not stated" or "not known", never 0.

    Attributes:
        kind: "tag" (the waveform has this class), "event" (it has it from onset to offset), "fact"
            (measured), "answer" (to the question `name`), "transcript" (speech).
        name: the class, the measurement or the question in words.
        value: the measurement, in `unit`; None when it does not exist for this waveform.
        unit: the unit of `value`, as SI or common symbol.
        text: words that were heard or answered.
        class_id: AudioSet ontology id, such as "/m/028v0c".
        onset_s: start in seconds from the waveform's first sample; an event must state it.
        offset_s: end in seconds, >= onset; an event must state it.
        confidence: the listener's own score in [0, 1].

    Raises:
        ValueError: an unknown kind, an empty name, a number that is not finite, a confidence outside [0, 1],
            an offset before its onset, or an event without times.

    """

    kind: Kind
    name: str
    value: float | None = None
    unit: str | None = None
    text: str | None = None
    class_id: str | None = None
    onset_s: float | None = None
    offset_s: float | None = None
    confidence: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {get_args(Kind)}, not {self.kind!r}")
        if not self.name:
            raise ValueError("a finding needs a name")
        for field in ("value", "onset_s", "offset_s", "confidence"):
            number = getattr(self, field)
            if number is not None and not math.isfinite(number):
                raise ValueError(f"{field} of {self.name!r} must be finite or None, not {number}")
        if self.confidence is not None and not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence of {self.name!r} must be in [0, 1], not {self.confidence}")
        if self.kind == "event" and (self.onset_s is None or self.offset_s is None):
            raise ValueError(f"event {self.name!r} must state its onset and its offset")
        if self.onset_s is not None and self.onset_s < 0:
            raise ValueError(f"onset of {self.name!r} must not be negative: {self.onset_s}")
        if self.offset_s is not None and self.offset_s < (self.onset_s or 0.0):
            raise ValueError(f"{self.name!r} ends at {self.offset_s} s, before its onset at {self.onset_s} s")


class Settings(BaseModel):
    """What a recipe may set of a model. A subclass has a field per setting; unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@runtime_checkable
class Model(Protocol):
    """What every model looks like from outside. Making one is cheap and reads no more than its weights' bytes.

    A class whose `settings_type` has fields is made as `Class(settings)`; one without as `Class()`.

    Attributes:
        settings_type: what a recipe may set.
        name: the name a recipe uses.
        revision: what fully determines the answers (weights, rules, version, settings); part of a stage's fingerprint.
        sample_rate: the one rate in Hz that it hears; None: any. Waveforms are resampled to it before they come here.
        gpus: GPUs that one loaded instance occupies where it is loaded on one; a fraction shares one.
        stateful: True when loading is expensive, so that the instance lives in an actor pool and is reused.
        batch_s: seconds of audio that one call is given at most on a GPU.

    """

    settings_type: ClassVar[type[Settings]] = Settings
    name: str
    revision: str
    sample_rate: int | None = None
    gpus: float = 0.0
    stateful: bool = False
    batch_s: float = 320.0

    def load(self, device: str) -> None:
        """Make ready on `device` ("cpu", "cuda", "cuda:0"); called once, before anything is heard."""
        return


@runtime_checkable
class Listener(Model, Protocol):
    """Hears sounds: tags, timed events, facts."""

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        """Hear each waveform: one list of findings per waveform, in order.

        A waveform's findings never depend on what else is in its batch.
        """
        ...


@runtime_checkable
class Embedder(Model, Protocol):
    """Puts sounds and words into one space, where near means alike.

    Attributes:
        dimension: length of an embedding.
        window_s: seconds of audio that one embedding hears.
        hop_s: seconds from one window's start to the next's.

    """

    dimension: int
    window_s: float
    hop_s: float

    def embed_audio(self, batch: Sequence[Waveform]) -> list[NDArray[np.float32]]:
        """Embed each waveform's windows, those of `taggers.windows.starts`, in order.

        Returns:
            Per waveform, shape (windows, dimension), each row of unit length, whatever else is in the batch.

        """
        ...

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: shape (n, dimension), each row of unit length, whatever else is in the batch.

        A text longer than the model reads is embedded in pieces whose mean is its embedding.
        """
        ...


def hear(listener: Listener, batch: Sequence[Waveform]) -> list[list[Finding]]:
    """`listener.listen(batch)`, having checked what a type cannot: the rates given and the number of answers.

    Raises:
        ValueError: a waveform is not at the listener's rate, or the answers are not one per waveform.

    """
    _check_rates(listener, batch)
    return _one_each(listener, listener.listen(batch), batch)


def embed(embedder: Embedder, batch: Sequence[Waveform]) -> list[NDArray[np.float32]]:
    """`embedder.embed_audio(batch)`, having checked rates, shapes and lengths.

    Raises:
        ValueError: a waveform is not at the embedder's rate, or an embedding is not finite, of unit length and of its
            dimension, one per window.

    """
    _check_rates(embedder, batch)
    found = _one_each(embedder, embedder.embed_audio(batch), batch)
    for waveform, vectors in zip(batch, found, strict=True):
        shape = (len(starts(waveform.duration_s, embedder.window_s, embedder.hop_s)), embedder.dimension)
        if vectors.shape != shape:
            raise ValueError(f"{embedder.name!r} gave embeddings of shape {vectors.shape}, not {shape}")
        if not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3):  # NaN fails it too
            raise ValueError(f"{embedder.name!r} gave an embedding that is not of unit length")
    return found


def _check_rates(model: Model, batch: Sequence[Waveform]) -> None:
    rates = {waveform.rate for waveform in batch}
    if model.sample_rate is not None and rates - {model.sample_rate}:
        raise ValueError(f"{model.name!r} hears {model.sample_rate} Hz only, not {sorted(rates)}")


def _one_each(model: Model, answers: list[Answer], batch: Sequence[Waveform]) -> list[Answer]:
    if len(answers) != len(batch):
        raise ValueError(f"{model.name!r} gave {len(answers)} answers to {len(batch)} waveforms")
    return answers
