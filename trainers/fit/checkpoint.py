"""Checkpoints of a training, each whole or not there, and the weights that a training leaves behind."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from pipelines.core.workspace import TMP, Workspace
from schemas.errors import UserError
from schemas.ids import canonical_json

FOLDER = "checkpoints"
KEPT = 2
"""Checkpoints that are kept: should the disk damage the last one, the one before it may be left alone."""

_NAME = re.compile(r"step-(\d{9})\.pt")


def save(workspace: Workspace, state: dict[str, Any]) -> None:
    """Write a checkpoint of ``state["step"]`` at once and durably, then remove those that are too many.

    Args:
        workspace: the training's folder.
        state: tensors and plain values, as ``torch.load(weights_only=True)`` reads them.
    """
    buffer = io.BytesIO()
    torch.save(_named_once(state), buffer)
    with workspace.create(f"{FOLDER}/step-{state['step']:09d}.pt") as file:
        file.write(buffer.getbuffer())
    for name in _names(workspace)[:-KEPT]:
        workspace.remove(f"{FOLDER}/{name}")


def latest(workspace: Workspace) -> dict[str, Any] | None:
    """Return the newest checkpoint, on the CPU; None if there is none.

    Raises:
        UserError: it cannot be read; the one before it may be used by removing it.
    """
    names = _names(workspace)
    if not names:
        return None
    try:
        state: dict[str, Any] = torch.load(
            io.BytesIO(workspace.read(f"{FOLDER}/{names[-1]}")), map_location="cpu", weights_only=True
        )
    except Exception as error:  # torch tells a damaged file by many kinds of errors
        path = workspace.path(f"{FOLDER}/{names[-1]}")
        raise UserError(
            f"{path}: cannot be read ({type(error).__name__}); remove it to go on from the one before"
        ) from None
    return state


def sweep(workspace: Workspace) -> None:
    """Remove files that a killed training left unfinished."""
    for name in workspace.sizes():
        if name.rpartition("/")[2].startswith(TMP):
            workspace.remove(name)


def write_weights(
    workspace: Workspace, name: str, module: nn.Module, config: dict[str, Any], told: Mapping[str, str]
) -> None:
    """Write a module's weights and batch statistics as ``name``, a safetensors file, with what it was built from and what more is told."""
    state: dict[str, Tensor] = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
    # One key, for safetensors writes several in any order.
    workspace.write(name, to_safetensors(state, {"earloom": canonical_json({**told, "training": config})}))


def read_weights(path: str | Path) -> tuple[dict[str, Any], dict[str, str], dict[str, Tensor]]:
    """Return what a module was built from, what more is told, and its weights.

    Raises:
        UserError: the file is none that :func:`write_weights` wrote.
    """
    try:
        with safe_open(path, "pt") as file:
            told = json.loads((file.metadata() or {})["earloom"])
            return told.pop("training"), told, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise UserError(
            f"{path}: cannot be read as weights ({type(error).__name__}); name a file of a training"
        ) from None


def _named_once(value: Any) -> Any:
    """Return dicts and lists in which equal strings are one object, since pickle writes what is one object once.

    Without this a checkpoint's bytes would tell whether its optimiser was itself read from a checkpoint.
    """
    if isinstance(value, str):
        return sys.intern(value)
    if type(value) is dict:  # a module's, which is a subclass, has a version beside its tensors and is always made anew
        return {_named_once(key): _named_once(each) for key, each in value.items()}
    return [_named_once(each) for each in value] if isinstance(value, list) else value


def _names(workspace: Workspace) -> list[str]:
    names = (path.rpartition("/")[2] for path in workspace.sizes(FOLDER))
    return sorted(name for name in names if _NAME.fullmatch(name))
