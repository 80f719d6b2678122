"""Embeddings that were kept come back bit for bit, also after a kill, a power cut, and beside another process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.errors import RunStopped
from schemas.ids import seed_for
from trainers.lass.vectors import Vectors

E = 5


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return vectors of unit length that follow from the texts."""
    rows = [np.random.default_rng(seed_for(0, "test", text)).standard_normal(E) for text in texts]
    return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def counting(asked: list[str]) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    def made(texts: Sequence[str]) -> NDArray[np.float32]:
        asked.extend(texts)
        return embed(texts)

    return made


def never(texts: Sequence[str]) -> NDArray[np.float32]:
    pytest.fail(f"{list(texts)} were embedded again")


def test_a_text_is_embedded_once_also_where_it_stands_twice_and_in_the_next_process(tmp_path: Path) -> None:
    asked: list[str] = []
    kept = Vectors(tmp_path, "r", E)
    first = kept.of(["a", "b", "a"], counting(asked))
    assert asked == ["a", "b"]
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, embed(["a", "b", "a"]))
    kept.of(["b", "c"], counting(asked))
    assert asked == ["a", "b", "c"]
    np.testing.assert_array_equal(Vectors(tmp_path, "r", E).of(["c", "a"], never), embed(["c", "a"]))


def test_no_texts_have_no_vectors(tmp_path: Path) -> None:
    assert Vectors(tmp_path, "r", E).of([], never).shape == (0, E)


def test_another_revision_and_another_length_are_kept_apart(tmp_path: Path) -> None:
    Vectors(tmp_path, "r", E).of(["a"], embed)
    asked: list[str] = []
    Vectors(tmp_path, "s", E).of(["a"], counting(asked))
    Vectors(tmp_path, "r", 1).of(["b"], lambda texts: np.ones((len(texts), 1), np.float32))
    assert asked == ["a"]
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("left", [1, 32, 33, 51])
def test_a_row_that_a_kill_cut_off_is_written_again_and_costs_no_other(tmp_path: Path, left: int) -> None:
    Vectors(tmp_path, "r", E).of(["a", "b"], embed)
    (path,) = tmp_path.iterdir()
    row = path.stat().st_size // 2
    with path.open("r+b") as file:
        file.truncate(row + left)
    asked: list[str] = []
    kept = Vectors(tmp_path, "r", E)
    np.testing.assert_array_equal(kept.of(["b", "a", "c"], counting(asked)), embed(["b", "a", "c"]))
    assert asked == ["b", "c"]
    assert path.stat().st_size == 3 * row
    np.testing.assert_array_equal(Vectors(tmp_path, "r", E).of(["a", "b", "c"], never), embed(["a", "b", "c"]))


def test_a_row_of_zeros_or_of_no_numbers_counts_as_absent(tmp_path: Path) -> None:
    Vectors(tmp_path, "r", E).of(["a", "b", "c"], embed)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    row = len(data) // 3
    data[32:row] = bytes(row - 32)
    data[row + 32 : 2 * row] = np.full(E, np.nan, "<f4").tobytes()
    path.write_bytes(bytes(data))
    asked: list[str] = []
    np.testing.assert_array_equal(Vectors(tmp_path, "r", E).of(list("abc"), counting(asked)), embed(list("abc")))
    assert asked == ["a", "b"]


def _fill(folder: Path, number: int) -> None:
    kept = Vectors(folder, "r", E)
    for turn in range(20):
        kept.of([f"own {number} {turn}", f"shared {turn}"], embed)


def test_processes_write_side_by_side_and_read_what_others_wrote(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    running = [context.Process(target=_fill, args=(tmp_path, number)) for number in range(3)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
        assert process.exitcode == 0
    texts = [f"own {number} {turn}" for number in range(3) for turn in range(20)]
    texts += [f"shared {turn}" for turn in range(20)]
    kept = Vectors(tmp_path, "r", E)
    np.testing.assert_array_equal(kept.of(texts, never), embed(texts))
    assert len(kept) == 80


def test_vectors_of_another_shape_are_refused_and_not_kept(tmp_path: Path) -> None:
    kept = Vectors(tmp_path, "r", E)
    with pytest.raises(ValueError, match=r"must have shape \(1, 5\), not \(1, 4\)"):
        kept.of(["a"], lambda texts: np.ones((len(texts), E - 1), np.float32))
    assert len(kept) == 0


def test_a_folder_that_cannot_be_made_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunStopped, match="embeddings cannot be kept there"):
        Vectors(tmp_path / "file" / "kept", "r", E)
