"""From a training's file to its configuration: read, overridden, checked; each mistake in one line with key and mend."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.errors import UserError
from schemas.load import override
from schemas.strict_yaml import BadYaml, read_yaml
from trainers.fit.config import Training


def load_training(path: str | Path, overrides: tuple[str, ...] = ()) -> Training:
    """Read a training's file and lay ``a.b=c`` overrides over it. UserError says in one line what is wrong."""
    try:
        raw = read_yaml(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; name a training's YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({type(error).__name__})") from None
    except BadYaml as error:
        raise UserError(f"{path}{error.place}: cannot be read as YAML ({error})") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path}: holds no settings; it must be a YAML mapping with at least name, data and fit")
    for text in overrides:
        override(raw, text, "fit.steps=1000")
    return parse_training(raw, str(path))


def parse_training(raw: Any, origin: str) -> Training:
    """Check settings against the models; UserError says in one line what is wrong with which key, and how to mend it."""
    try:
        training = Training.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{origin}: {_explain(error)}") from None
    if training.fit.warm_up.shape == "linear" and training.fit.warm_up.steps > training.fit.steps:
        warm_up, steps = training.fit.warm_up.steps, training.fit.steps
        raise UserError(f"{origin}: fit.warm_up.steps: {warm_up} will not do: fit.steps is {steps}; warm up for fewer")
    return training


def _explain(error: ValidationError) -> str:
    # A misspelt key is also a missing one; the misspelling is what helps.
    problem = min(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
    path = [str(step) for step in problem["loc"]]
    key, shown = ".".join(path), problem["input"]
    if problem["type"] == "extra_forbidden":
        known = _keys_at(path[:-1])
        near = difflib.get_close_matches(path[-1], known, 1, 0.6)
        return f"{key}: unknown key; " + (f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}")
    if problem["type"] == "missing":
        return f"{key}: missing; add it"
    told = "" if isinstance(shown, dict) else f"{str(shown)[:60]!r} "
    return f"{key}: {told}will not do: {problem['msg']}"


def _keys_at(path: list[str]) -> list[str]:
    model: Any = Training
    for step in path:
        kinds = [model.model_fields[step].annotation] if step in model.model_fields else []
        kinds += getattr(kinds[0], "__args__", ()) if kinds else []
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
    return list(model.model_fields)
