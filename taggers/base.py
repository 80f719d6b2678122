"""The one seam to models: what a listener is given, what it answers, and how a recipe finds it by name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

GROUP = "earloom.listeners"

Kind = Literal["tag", "event", "fact"]


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
        (measured).
        name: the class or measurement in words.
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


@runtime_checkable
class Listener(Protocol):
    """What every model looks like from outside. Subclass it to inherit the defaults, or just match it.

    Attributes:
        name: the name a recipe uses.
        revision: what fully determines the answers (weights, rules, version); part of a stage's fingerprint.
        sample_rate: the one rate in Hz that `listen` accepts; None accepts any.
        gpus: GPUs that one loaded instance occupies; a fraction shares one.
        stateful: True when loading is expensive, so that the instance lives in an actor pool and is reused.

    """

    name: str
    revision: str
    sample_rate: int | None = None
    gpus: float = 0.0
    stateful: bool = False

    def load(self, device: str) -> None:
        """Make ready to listen on `device` ("cpu", "cuda:0"); called once, before the first `listen`."""
        return

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        """Hear each waveform: one list of findings per waveform, in order.

        A waveform's findings never depend on what else is in its batch.
        """
        ...


def hear(listener: Listener, batch: Sequence[Waveform]) -> list[list[Finding]]:
    """`listener.listen(batch)`, having checked what a type cannot: the rates given and the number of answers.

    Raises:
        ValueError: a waveform is not at the listener's rate, or the answers are not one per waveform.

    """
    rates = {waveform.rate for waveform in batch}
    if listener.sample_rate is not None and rates - {listener.sample_rate}:
        raise ValueError(f"{listener.name!r} hears {listener.sample_rate} Hz only, not {sorted(rates)}")
    answers = listener.listen(batch)
    if len(answers) != len(batch):
        raise ValueError(f"{listener.name!r} gave {len(answers)} answers to {len(batch)} waveforms")
    return answers


class UnknownListener(LookupError):
    """No listener has this name; the message says which names are near or known."""


class MissingExtra(ImportError):
    """The listener exists, but its libraries are not installed; the message says which extra brings them."""


# Built-ins are entry points too, so that a user's package and this one are loaded by the same lines. One that
# needs more than the core writes the extra that brings it in brackets: "module:Class [extra]".
BUILT_IN: tuple[EntryPoint, ...] = (
    EntryPoint("facts", "taggers.descriptors:FactsListener", GROUP),
    EntryPoint("signal", "taggers.signal:SignalListener", GROUP),
)

_registered: dict[str, Callable[[], Listener]] = {}


def register(name: str, factory: Callable[[], Listener]) -> None:
    """Make a listener known to this process, for a notebook or a test; workers find only entry points.

    Raises:
        ValueError: the name is taken.

    """
    if name in available():
        raise ValueError(f"a listener named {name!r} is already known")
    _registered[name] = factory


def available() -> list[str]:
    """Names that `create` knows, sorted; nothing is imported to tell."""
    return sorted({*_registered, *_installed()})


def create(name: str) -> Listener:
    """Make a listener, not yet loaded, importing its module only now.

    Raises:
        UnknownListener: nothing has this name.
        MissingExtra: its libraries are not installed.
        TypeError: what the name leads to is not a listener.

    """
    installed = _installed()
    if name in _registered:
        listener = _registered[name]()
    elif name in installed:
        listener = _load(installed[name])()
    else:
        near = difflib.get_close_matches(name, available(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(available())}"
        raise UnknownListener(f"no listener is named {name!r}; {hint}")
    if not isinstance(listener, Listener):
        raise TypeError(f"{name!r} leads to {listener!r}, which does not have the attributes of a Listener")
    return listener


def _installed() -> dict[str, EntryPoint]:
    """Built-in and installed entry points by name; one name that leads to two places is an error."""
    found: dict[str, EntryPoint] = {}
    for point in (*BUILT_IN, *entry_points(group=GROUP)):
        if found.setdefault(point.name, point).value != point.value:
            raise ValueError(f"{point.name!r} names both {found[point.name].value} and {point.value}")
    return found


def _load(point: EntryPoint) -> Callable[[], Listener]:
    try:
        return point.load()
    except ModuleNotFoundError as error:
        if not point.extras or error.name == point.module:
            raise
        package = point.dist.name if point.dist else "earloom"
        extra = ",".join(point.extras)
        raise MissingExtra(
            f"listener {point.name!r} needs {error.name!r}: pip install '{package}[{extra}]'", name=error.name
        ) from error
