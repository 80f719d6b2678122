"""The models of a recipe, as stages use them: found by name, made with their settings, loaded once per process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
import soxr
from numpy.typing import NDArray

from pipelines.core.stage import Context, Resources
from pipelines.ingest.store import from_store
from schemas.errors import RunStopped, UserError
from schemas.ids import canonical_json
from schemas.recipe import ModelChoice
from taggers import BadSettings, MissingExtra, MissingWeights, UnknownModel, create
from taggers.base import Model, Waveform

Kind = TypeVar("Kind", bound=Model)

CLIPS_AT_ONCE = 64
"""Clips that a model is given at once; it makes its own batches of them."""

SECONDS_AT_ONCE = 640.0
"""Seconds of sound that a model is given at once, unless one clip is longer: 64 clips of 10 s, 0.12 GB at 48 kHz."""


@dataclass(frozen=True)
class Chosen(Generic[Kind]):
    """A model that a recipe chose.

    Attributes:
        kind: ``Listener``, ``Embedder`` or ``Chat``.
        use: the model's name in the registry.
        name: its name in this run's tables.
        settings: what the recipe sets of it, as canonical JSON.
        device: device that it is loaded on.
        gpus: share of a GPU that the recipe gives it; None: the model's own.
    """

    kind: type[Kind]
    use: str
    name: str
    settings: str
    device: str
    gpus: float | None

    @property
    def model(self) -> Kind:
        """The model, not loaded.

        Raises:
            UserError: no such model, an extra or its weights are missing, a setting will not do, or its package is broken.
        """
        try:
            return _made(self)
        except (UnknownModel, MissingExtra, BadSettings, MissingWeights) as error:
            raise UserError(f"listen.{self.kind.__name__.lower()}s: {error.args[0]}") from None
        except UserError:
            raise
        except Exception as error:  # somebody's package is broken, or a path is none
            words = (str(error).strip().splitlines() or ["no message"])[0][:200]
            key = f"listen.{self.kind.__name__.lower()}s"
            raise UserError(f"{key}: {self.use!r} cannot be made ({type(error).__name__}: {words})") from error

    @property
    def loaded(self) -> Kind:
        """The model, loaded in this process: on the recipe's device if it occupies a share of one, else on the CPU."""
        return _loaded(self)

    def params(self) -> dict[str, Any]:
        """Return what of it determines what is heard: not the device."""
        return {"model": self.use, "name": self.name, "settings": json.loads(self.settings)}

    @property
    def resources(self) -> Resources:
        """An actor where loading is expensive, else a task."""
        return Resources(gpus=self.share, actor=self.model.stateful)

    @property
    def share(self) -> float:
        """Share of a GPU that it occupies; 0: it is loaded on the CPU."""
        share = self.model.gpus if self.gpus is None else self.gpus
        return 0.0 if self.device == "cpu" else share

    @property
    def crew(self) -> str:
        """Models of one rate on one device are heard by the same workers, so that each clip is decoded once for all."""
        rate = self.model.sample_rate
        return f"listeners at {f'{rate} Hz' if rate else 'any rate'}{'' if self.model.stateful else ', light'}"


def chosen(choice: ModelChoice, kind: type[Kind], device: str) -> Chosen[Kind]:
    """Return a model of the recipe's section ``listen``."""
    settings = canonical_json(choice.settings)
    return Chosen(kind, choice.use, choice.name or choice.use, settings, device, choice.gpus)


def waveforms(clips: pa.Table, context: Context, rate: int | None) -> list[Waveform]:
    """Return the clips from the store, at ``rate`` samples per second (None: as they are stored)."""
    return [_waveform(clip, context, rate) for clip in clips.select(["tar", "offset", "size"]).to_pylist()]


def _waveform(clip: dict[str, Any], context: Context, rate: int | None) -> Waveform:
    stored, stored_rate = from_store(context.workspace.read_range(clip["tar"], clip["offset"], clip["size"]))
    samples = stored.astype(np.float32) / np.float32(32768)
    if rate is None or rate == stored_rate:
        return Waveform(samples, stored_rate)
    return Waveform(resample(samples, stored_rate, rate), rate)


def resample(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """Return samples (n,) at another rate, within [-1, 1]: what overshoots full scale is clipped, as a converter would."""
    made = soxr.resample(samples, rate, wanted, "HQ")
    if not len(made):  # shorter than one sample at the new rate
        made = samples[:1]
    return np.clip(made, -1.0, 1.0).astype(np.float32, copy=False)


@lru_cache(maxsize=32)
def _made(choice: Chosen[Any]) -> Any:
    return create(choice.use, choice.kind, json.loads(choice.settings))


@lru_cache(maxsize=8)
def _loaded(choice: Chosen[Any]) -> Any:
    # A model of its own: what is made to be asked for its revision stays light.
    try:
        model = create(choice.use, choice.kind, json.loads(choice.settings))
        if model.revision == choice.model.revision:
            model.load(choice.device if choice.share else "cpu")
            return model
    except (UserError, RunStopped, MemoryError):
        raise
    except Exception as error:
        words = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise RunStopped(
            f"{choice.name}: cannot be loaded on {choice.device} ({words}); mend it and run the same command again"
        ) from error
    raise RunStopped(
        f"{choice.name}: its weights are not those that the run was planned with; run the same command again"
    )
