"""Importing model libraries that do more on import than they should: what they may not do, and what is put back."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any

IMPORTS = RLock()
"""Held while modules or attributes are replaced, so that no other thread meets a stand-in."""


class StandIn(ModuleType):
    """A module that has every public name: each is an empty class, enough to be imported and never called."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def needed(*names: str) -> None:
    """Raise ModuleNotFoundError for the first of these libraries that is not installed; none is imported."""
    for name in names:
        if name not in sys.modules and find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@contextmanager
def stand_ins(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """Let these modules be imported as given, where they are not imported already; afterwards they are gone again."""
    absent = {name: module for name, module in modules.items() if name not in sys.modules}
    sys.modules.update(absent)
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute of a class or module; afterwards it is what it was, inherited if it was inherited."""
    own = name in vars(owner)
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextmanager
def same_path() -> Iterator[None]:
    """Take from `sys.path` what an import has added to it."""
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = [place for place in sys.path if place in before]
