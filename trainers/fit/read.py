"""From a training's file to its configuration: read, overridden, checked; each mistake in one line with key and mend."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from schemas.errors import UserError
from schemas.load import parse_settings, read_settings
from trainers.fit.config import Training
from trainers.fit.tasks import TASKS, config_of


def load_training(path: str | Path, overrides: tuple[str, ...] = ()) -> Training:
    """Read a training's file and lay ``a.b=c`` overrides over it. UserError says in one line what is wrong."""
    raw = read_settings("training", path, overrides, "task, name, data and fit", "fit.steps=1000")
    return parse_training(raw, str(path))


def parse_training(raw: dict[str, Any], origin: str) -> Training:
    """Check settings against those of the task that they name; UserError says in one line what is wrong and how to mend it."""
    task = raw.get("task")
    if not isinstance(task, str) or task not in TASKS:
        told, known = f"{task!r} is no task" if "task" in raw else "missing", ", ".join(TASKS)
        near = difflib.get_close_matches(str(task), TASKS, 1, 0.6)
        mend = f"did you mean {near[0]!r}?" if near else f"name one of {known}"
        raise UserError(f"training {origin}: task: {told}; {mend}")
    training = parse_settings("training", raw, origin, config_of(task))
    warm_up, steps = training.fit.warm_up, training.fit.steps
    if warm_up.shape == "linear" and warm_up.steps > steps:
        raise UserError(
            f"training {origin}: fit.warm_up.steps: {warm_up.steps} will not do: fit.steps is {steps}; warm up for fewer"
        )
    return training
