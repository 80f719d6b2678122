"""What a person asks of the models: which there are, where their weights are looked for, and whether one works here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from schemas.errors import UserError
from taggers.base import Embedder, Listener, Model, Waveform, embed, hear
from taggers.registry import MissingExtra, UnknownModel, available, create, extras, find
from taggers.weights import MissingWeights, Weights, digest, models_folder

KINDS = {"listener": "listen", "embedder": "embed_audio", "chat": "converse"}
"""Kind of a model -> the method that makes it one."""

CHECK_S = 10.0
"""Seconds of noise that a model hears when it is checked."""


@dataclass(frozen=True)
class Shown:
    """One model as it is listed.

    Attributes:
        name: the name a recipe uses.
        kind: ``listener``, ``embedder`` or ``chat``; ``?`` where it cannot be imported.
        rate: samples per second that it hears; None: any, or told by its weights.
        settings: what a recipe may set.
        state: ``ready``, ``no weights``, or the command that installs what is missing.
        weights: where its weights are looked for; None: it has none.
        sha256: file -> sha256 in hexadecimal, of those that are there.
    """

    name: str
    kind: str
    rate: int | None
    settings: tuple[str, ...]
    state: str
    weights: Path | None
    sha256: dict[str, str]


@dataclass(frozen=True)
class Checked:
    """What a model did when it was checked: seconds to load it, seconds to hear 10 s of noise, and what it gave."""

    revision: str
    load_s: float
    hear_s: float
    gave: str


def listing() -> list[Shown]:
    """Return all models, sorted by name; one whose libraries are missing says so."""
    return [show(name) for name in available()]


def show(name: str) -> Shown:
    """Return one model as it is listed; UnknownModel if there is none of this name."""
    try:
        made = find(name)
    except MissingExtra:
        return Shown(name, "?", None, (), f"pip install 'earloom[{','.join(extras(name))}]'", None, {})
    except UnknownModel:
        raise
    except UserError as error:
        return Shown(name, "?", None, (), str(error), None, {})
    except (Exception, SystemExit) as error:  # somebody's package is broken; the others are still there
        return Shown(name, "?", None, (), f"cannot be imported: {type(error).__name__}: {error}", None, {})
    kind = next((kind for kind, method in KINDS.items() if hasattr(made, method)), "?")
    weights: Weights | None = getattr(made, "weights", None)
    folder = models_folder() / weights.folder if weights else None
    found = {file: folder / file for file in weights.files if (folder / file).is_file()} if weights and folder else {}
    whole = len(found) == len(weights.files) if weights else _complete(made)
    rate = getattr(made, "sample_rate", None)
    return Shown(
        name,
        kind,
        rate if isinstance(rate, int) else None,
        tuple(getattr(getattr(made, "settings_type", None), "model_fields", ())),
        "ready" if whole else "no weights",
        folder,
        {file: digest(path) for file, path in found.items()},
    )


def _complete(made: Callable[..., Model]) -> bool:
    """Say whether a model whose weights no publisher has, if it needs any, is whole."""
    try:
        made()
    except MissingWeights:
        return False
    except Exception:  # it cannot be made without settings, or not at all: `check` tells
        return True
    return True


def check(name: str, settings: Mapping[str, Any], device: str) -> Checked:
    """Load a model and let it hear noise; raises what making it, loading it or hearing raises."""
    model: Model
    made = find(name)
    kind = next((kind for kind, method in KINDS.items() if hasattr(made, method)), None)
    if kind == "listener":
        model = create(name, Listener, settings)
    elif kind == "embedder":
        model = create(name, Embedder, settings)
    elif kind == "chat":
        raise UnknownModel(f"{name!r} answers questions; it is checked by the run that asks it")
    else:
        methods = ", ".join(f"`{method}`" for method in KINDS.values())
        raise UserError(f"{name!r} leads to {_called(made)}, which is no model: it has none of {methods}")
    began = time.perf_counter()
    model.load(device)
    loaded = time.perf_counter()
    rate = model.sample_rate or 32000
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, int(CHECK_S * rate)).astype(np.float32)
    wave = Waveform(noise, rate)
    if isinstance(model, Listener):
        gave = f"{len(hear(model, [wave])[0])} findings"
    else:
        shape = embed(model, [wave])[0].shape
        gave = f"{shape[0]} embeddings of length {shape[1]}"
    return Checked(model.revision, loaded - began, time.perf_counter() - loaded, gave)


def _called(made: object) -> str:
    """Return how a package calls what it declares as a model."""
    module, name = getattr(made, "__module__", ""), getattr(made, "__qualname__", "")
    return f"{module}.{name}" if module and name else repr(made)[:80]


def verify(weights: Weights, folder: Path) -> list[str]:
    """Return what is wrong with weights on disk, in words: a file that is missing, or is not what its publisher states."""
    import hashlib

    wrong = []
    stated = dict(weights.digests)
    for file in weights.files:
        path = folder / file
        if not path.is_file():
            wrong.append(f"{path}: is missing")
            continue
        algorithm, _, expected = stated.get(file, "").partition(":")
        if expected:
            with path.open("rb") as opened:
                found = hashlib.file_digest(opened, algorithm).hexdigest()
            if found != expected:
                wrong.append(f"{path}: {algorithm} is {found}, the publisher states {expected}")
    return wrong
