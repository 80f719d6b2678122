"""What is replaced while a library is imported is put back, whatever happens meanwhile."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from taggers.containment import StandIn, needed, replaced, same_path, stand_ins


class Parent:
    def ask(self) -> str:
        return "the hub"


class Child(Parent): ...


def test_a_stand_in_is_there_while_it_is_needed_and_has_every_public_name() -> None:
    with stand_ins({"nobody_has_this": StandIn("nobody_has_this")}):
        from nobody_has_this import Anything  # type: ignore[import-not-found]

        assert isinstance(Anything, type)
        assert not hasattr(sys.modules["nobody_has_this"], "__path__")
    assert "nobody_has_this" not in sys.modules


def test_what_fails_meanwhile_leaves_nothing_behind() -> None:
    def fail() -> None:
        with stand_ins({"nobody_has_this": StandIn("nobody_has_this")}), replaced(Child, "ask", len), same_path():
            sys.path.append("somewhere")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert "nobody_has_this" not in sys.modules
    assert "somewhere" not in sys.path
    assert Child().ask() == "the hub"


def test_a_library_that_is_imported_already_is_kept() -> None:
    with stand_ins({"json": ModuleType("json")}):
        import json

        assert json.dumps(1) == "1"
    assert "json" in sys.modules


def test_an_attribute_is_what_it_was_inherited_if_it_was_inherited() -> None:
    with replaced(Child, "ask", lambda _: "nobody"):
        assert Child().ask() == "nobody"
    assert "ask" not in vars(Child)
    with replaced(Parent, "ask", lambda _: "nobody"):
        assert Child().ask() == "nobody"
    assert Child().ask() == "the hub"


def test_places_that_an_import_adds_are_taken_from_the_path() -> None:
    before = list(sys.path)
    with same_path():
        sys.path.append("somewhere")
    assert sys.path == before


def test_a_library_that_is_missing_is_named() -> None:
    needed("json", "zoneinfo")
    with pytest.raises(ModuleNotFoundError, match="nobody_has_this") as caught:
        needed("json", "nobody_has_this")
    assert caught.value.name == "nobody_has_this"
