"""Checkpoints are read in every form that publishers use, and nothing in them is run."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pytest
import torch

from schemas.errors import UserError
from taggers.base import Settings
from taggers.checkpoints import load_into, read_checkpoint, reading, revision

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3), "half": torch.ones(2).half()}


class Chosen(Settings):
    weights: str | None = None
    top: int = 3


@pytest.mark.parametrize("options", [{}, {"pickle_protocol": 4}, {"_use_new_zipfile_serialization": False}])
def test_tensors_come_back_from_every_form_of_file(tmp_path: Path, options: dict[str, Any]) -> None:
    held = {"epoch": 3, "best": np.float64(0.5), "state_dict": {**TENSORS, "own": torch.nn.Parameter(torch.ones(1))}}
    torch.save(held, tmp_path / "c.pt", **options)
    read = read_checkpoint(tmp_path / "c.pt", "state_dict")
    assert list(read) == ["weight", "count", "half", "own"]
    assert all(torch.equal(read[name], tensor) for name, tensor in TENSORS.items())


@pytest.mark.parametrize("options", [{}, {"pickle_protocol": 4}, {"_use_new_zipfile_serialization": False}])
def test_what_a_pickle_would_run_is_refused_and_not_run(tmp_path: Path, options: dict[str, Any]) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"model": TENSORS, "bomb": Bomb()}, tmp_path / "c.pt", **options)
    with pytest.raises(UserError, match=r"is no checkpoint of PyTorch, or a damaged one \(it holds posix.mkdir\)"):
        read_checkpoint(tmp_path / "c.pt", "model")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut short"])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"c.pt: is no checkpoint of PyTorch, or a damaged one .* fetch it again"):
        read_checkpoint(tmp_path / "c.pt", "model")


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_a_damaged_file_is_named_in_one_line_or_read_whatever_its_damage_makes_torch_raise(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    torch.save({"state_dict": TENSORS, "epoch": 3}, tmp_path / "whole.pt", **options)
    whole, rng = (tmp_path / "whole.pt").read_bytes(), np.random.default_rng(0)
    said: list[str] = []
    for number in range(150):
        data = bytearray(whole)
        for place in rng.integers(min(len(whole), 1500) if number % 2 else len(whole), size=3):
            data[place] = rng.integers(256)
        path = tmp_path / f"{number}.pt"
        path.write_bytes(data if number % 5 else data[: rng.integers(len(data))])
        try:
            read_checkpoint(path, "state_dict")
        except UserError as error:
            said.append(str(error))
    assert all(words.startswith(str(tmp_path)) and "\n" not in words for words in said)
    assert all("`earloom models pull`" in words or "has no 'state_dict'" in words for words in said)
    assert len(set(re.findall(r"one \((\w+):", " ".join(said)))) >= 3  # damage shows in more ways than one


@pytest.mark.parametrize(
    "error",
    [BadZipFile("bad magic"), AssertionError(), AttributeError("no"), MemoryError(), EOFError(), LookupError("a\nb")],
)
def test_whatever_a_library_raises_of_weights_names_their_file(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(UserError) as caught, reading(tmp_path / "w", "checkpoint of PyTorch"):
        raise error
    kind, words = type(error).__name__, str(error).splitlines()[0] if str(error) else "no message"
    said = f"{tmp_path / 'w'}: is no checkpoint of PyTorch, or a damaged one ({kind}: {words}); fetch it again "
    assert str(caught.value).startswith(said)
    assert "`earloom models check`" in str(caught.value)


def test_a_disk_that_cannot_be_read_is_no_fault_of_the_weights(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        read_checkpoint(tmp_path / "folder", "model")
    with pytest.raises(OSError, match="Input/output error"), reading(tmp_path, "checkpoint of PyTorch"):
        raise OSError(errno.EIO, "Input/output error")
    # transformers says so of a file that it cannot make sense of.
    with pytest.raises(UserError, match="OSError: Unable to load"), reading(tmp_path, "CLAP of transformers"):
        raise OSError("Unable to load weights")


def test_a_checkpoint_of_something_else_is_named(tmp_path: Path) -> None:
    torch.save({"state_dict": TENSORS}, tmp_path / "c.pt")
    with pytest.raises(UserError, match="has no 'model'"):
        read_checkpoint(tmp_path / "c.pt", "model")
    with pytest.raises(UserError, match=r"c.pt: does not fit Linear: .*bias"):
        load_into(torch.nn.Linear(2, 2), TENSORS, tmp_path / "c.pt")


def test_a_revision_counts_content_and_settings_but_no_place(tmp_path: Path) -> None:
    for name, text in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).write_text(text)
    a, b, c = (revision("m", 1, (tmp_path / name,), Chosen(weights=str(tmp_path / name)), "weights") for name in "abc")
    assert a == b != c
    assert a.startswith("m-1-6b86b273ff34-")  # the first twelve digits of the file's sha256
    assert revision("m", 1, (tmp_path / "a",), Chosen(top=4), "weights") != a
    assert revision("m", 1, (tmp_path / "a", tmp_path / "c"), Chosen(), "weights") != a
