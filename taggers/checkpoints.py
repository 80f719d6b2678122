"""Weights in PyTorch's own format, read without running what a pickle may hold, and the revision they give a model."""

from __future__ import annotations

import errno
import hashlib
import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import is_zipfile

from schemas.errors import UserError
from taggers.base import Settings
from taggers.weights import digest

# A checkpoint of training holds a few numbers of numpy beside its tensors: an epoch's score, for one.
HARMLESS = frozenset(
    {
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch", "Size"),
        ("torch", "device"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "scalar"),
        ("_codecs", "encode"),
    }
)


class _Unpickler(pickle.Unpickler):
    """Finds what tensors and numbers are made of, and nothing that could act."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of `HARMLESS`, or a storage or dtype of torch; UnpicklingError for anything else."""
        storage = module == "torch" and (name.endswith("Storage") or name in ("float32", "float16", "int64"))
        if storage or (module, name) in HARMLESS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}")


def _load(file: Any, **options: Any) -> Any:
    return _Unpickler(file, **options).load()


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Tell what reading weights raises in one line that names their file or folder, whatever a damaged one makes a library raise.

    Raises:
        UserError: they are damaged, or not `what` they should be.
        OSError: the machine cannot read them, which is no fault of theirs.

    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # transformers' own OSErrors have no number and tell of what is in a file; a damaged one has torch seek before its start.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        words = str(error).strip().splitlines()[0][:120] if str(error).strip() else "no message"
        if not isinstance(error, pickle.UnpicklingError):
            words = f"{type(error).__name__}: {words}"
        raise UserError(
            f"{path}: is no {what}, or a damaged one ({words}); fetch it again (`earloom models pull`, or from where you have it), "
            "and try it with `earloom models check`"
        ) from None


def read_checkpoint(path: Path, key: str) -> dict[str, Any]:
    """Return the tensors by name that a checkpoint of PyTorch holds under `key`, on the CPU.

    PyTorch's own safe reader knows no pickle protocol 4, in which LAION's checkpoints are written, hence this one. A file of
    the newer form is mapped, so that an optimiser's tensors beside those that are wanted are never read.

    Raises:
        UserError: the file is no such checkpoint, is damaged, or holds something else than tensors and plain values.
        OSError: it cannot be read.

    """
    import torch

    restricted = SimpleNamespace(__name__="pickle", Unpickler=_Unpickler, load=_load)
    with reading(path, "checkpoint of PyTorch"):
        read = torch.load(path, map_location="cpu", pickle_module=restricted, weights_only=False, mmap=is_zipfile(path))
    if not isinstance(read, dict) or not isinstance(read.get(key), dict):
        raise UserError(f"{path}: has no {key!r}, as the publisher's checkpoints do; fetch it again")
    return dict(read[key])


def load_into(network: Any, state: dict[str, Any], path: Path) -> None:
    """Put tensors into a network; UserError if they are not this network's."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise UserError(f"{path}: does not fit {type(network).__name__}: {first[:200]}") from None


def revision(name: str, version: int, weights: tuple[Path, ...], settings: Settings, *places: str) -> str:
    """Return what determines a model's answers: its name, its version, its weights' digest and its settings' hash.

    Args:
        name: the model.
        version: raised with every change of what it answers.
        weights: files or folders that it is loaded from.
        settings: what the recipe set of it.
        places: settings that say where files are: their content counts, and is in `weights`.

    """
    hashes = "".join(digest(path) for path in weights)
    tensors = hashlib.sha256(hashes.encode()).hexdigest() if len(weights) > 1 else hashes
    chosen = json.dumps(settings.model_dump(mode="json", exclude=set(places)), sort_keys=True)
    return f"{name}-{version}-{tensors[:12]}-{hashlib.sha256(chosen.encode()).hexdigest()[:8]}"
