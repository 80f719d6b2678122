"""Answers are kept as they come; one is taken again only where system, mixture and words are the same, whatever became of the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")
from evaluation_sets import Asked, dataset_of

from pipelines.core.workspace import Workspace
from trainers.evaluating.fitting import Estimate
from trainers.evaluating.items import Item
from trainers.evaluating.kept import LEDGER, Kept
from trainers.evaluating.sets import open_sets
from trainers.evaluating.systems import Function, System

SYSTEM = Function("evaluation_sets:band")


def items_of(folder: Path, *asked: Asked) -> list[Item]:
    return list(open_sets([str(dataset_of(folder / "set", *asked))], "test")[0])


def known(folder: Path, items: list[Item], system: System = SYSTEM) -> list[bool]:
    with Kept(Workspace(str(folder)), system) as kept:
        return [kept.get(item) is not None for item in items]


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    items = items_of(tmp_path / "a", Asked(1), Asked(2), Asked(3))
    with Kept(Workspace(str(tmp_path)), SYSTEM) as kept:
        for item, notes in zip(items[:2], [(), ("averaged", "cut")], strict=True):
            assert kept.get(item) is None
            kept.put(item, Estimate(item.target * 2, notes))
    return items


def test_what_was_kept_comes_back_with_its_very_bits_and_notes(tmp_path: Path, items: list[Item]) -> None:
    with Kept(Workspace(str(tmp_path)), SYSTEM) as kept:
        one, two, three = map(kept.get, items)
    assert one is not None
    assert two is not None
    assert three is None
    np.testing.assert_array_equal(one.samples, items[0].target * 2)
    assert (one.notes, two.notes) == ((), ("averaged", "cut"))
    assert (tmp_path / "estimates" / "set" / "mix" / "test" / f"{items[0].key}.wav").exists()


def test_another_system_another_version_and_other_sound_are_answered_anew(tmp_path: Path, items: list[Item]) -> None:
    assert known(tmp_path, items, Function("evaluation_sets:same")) == [False, False, False]
    later = Function("evaluation_sets:band")
    later.revision = "another"
    assert known(tmp_path, items, later) == [False, False, False]
    assert known(tmp_path, items_of(tmp_path / "b", Asked(1, "high"), Asked(2))) == [False, True]
    assert known(tmp_path, items_of(tmp_path / "c", Asked(1), Asked(2, silent=True))) == [True, False]


@pytest.mark.parametrize("cut", [1, 20, 70])
def test_a_line_that_was_cut_off_costs_its_answer_alone(tmp_path: Path, items: list[Item], cut: int) -> None:
    ledger = tmp_path / LEDGER
    ledger.write_bytes(ledger.read_bytes()[:-cut])
    assert known(tmp_path, items) == [True, False, False]
    with Kept(Workspace(str(tmp_path)), SYSTEM) as kept:
        kept.put(items[2], Estimate(items[2].target))
    assert known(tmp_path, items) == [True, False, True]


def test_a_file_that_is_lost_or_damaged_is_answered_anew(tmp_path: Path, items: list[Item]) -> None:
    folder = tmp_path / "estimates" / "set" / "mix" / "test"
    (folder / f"{items[0].key}.wav").unlink()
    data = (folder / f"{items[1].key}.wav").read_bytes()
    (folder / f"{items[1].key}.wav").write_bytes(data[: len(data) // 2])
    assert known(tmp_path, items) == [False, False, False]
