"""Read a dataset folder with numpy and soundfile alone, by the reader that lies in it: ``python read_plain.py FOLDER``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any


def reader(folder: str | Path) -> ModuleType:
    """Return the folder's own ``read.py``; in a program of your own, copy it and ``remix.py`` beside the program and import it."""
    path = Path(folder) / "read.py"
    spec = importlib.util.spec_from_file_location("read", path)
    assert spec is not None
    assert spec.loader is not None
    sys.path.insert(0, str(path.parent))  # it imports remix.py, which lies beside it
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def samples(folder: str | Path, split: str = "train", name: str = "mix") -> Iterator[dict[str, Any]]:
    """Yield samples: ``key``, ``json``, ``mixture`` and ``target`` as int16 of shape (n,), and what else the shards hold."""
    yield from reader(folder).samples(folder, name, split)


if __name__ == "__main__":
    for sample in samples(sys.argv[1]):
        print(sample["key"], len(sample["mixture"]), sample["json"]["query"])
