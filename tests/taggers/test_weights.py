"""Weights are looked for where the user says, are told apart by their bytes, and what is missing is said with the mend."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taggers.weights import MissingWeights, Weights, digest, locate, models_folder

TWO = Weights("toy", ("model.bin", "parts/labels.csv"), "hub:owner/toy")


def written(folder: Path, files: tuple[str, ...] = TWO.files) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(file)
    return folder


def test_the_models_folder_is_the_users_word_else_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("EARLOOM_MODELS", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert models_folder() == tmp_path / ".cache" / "earloom" / "models"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert models_folder() == tmp_path / ".cache" / "earloom" / "models"
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert models_folder() == Path("/caches/earloom/models")
    monkeypatch.setenv("EARLOOM_MODELS", "~/weights")
    assert models_folder() == tmp_path / "weights"
    assert not any(tmp_path.iterdir())  # asking makes nothing


def test_weights_are_found_in_the_models_folder_in_a_given_one_or_in_a_given_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARLOOM_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HOME", str(tmp_path))
    own = written(tmp_path / "models" / "toy")
    assert locate("toy", TWO, None) == own
    given = written(tmp_path / "given")
    assert locate("toy", TWO, str(given)) == locate("toy", TWO, "~/given") == given
    assert locate("toy", TWO, str(given / "model.bin")) == given / "model.bin"


def test_what_is_missing_is_said_with_the_place_and_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARLOOM_MODELS", str(tmp_path / "models"))
    with pytest.raises(MissingWeights) as caught:
        locate("toy", TWO, None)
    assert caught.value.args[0] == (
        f"'toy': its weights are not in {tmp_path}/models/toy (model.bin, parts/labels.csv); "
        "fetch them with `earloom models pull toy`, or set `weights` to where they are"
    )
    half = written(tmp_path / "half", ("model.bin",))
    with pytest.raises(
        MissingWeights, match=r"'toy': its weights are not at .*/half \(parts/labels\.csv\); set `weights`"
    ):
        locate("toy", TWO, str(half))
    (half / "parts").mkdir()
    (half / "parts" / "labels.csv").mkdir()  # a folder of that name is not the file
    with pytest.raises(MissingWeights, match=r"\(parts/labels\.csv\)"):
        locate("toy", TWO, str(half))
    assert not (tmp_path / "models").exists()


def test_a_files_digest_is_its_sha256_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    for second, content in enumerate((b"", b"one", b"two", b"x" * 3_000_000)):
        path.write_bytes(content)
        os.utime(path, (second, second))  # a coarse clock would give two of one length the same time
        assert digest(path) == hashlib.sha256(content).hexdigest()


def test_a_folders_digest_is_of_names_and_bytes_wherever_and_whenever_it_was_written(tmp_path: Path) -> None:
    first = written(tmp_path / "first")
    found = digest(first)
    assert digest(written(tmp_path / "second", TWO.files[::-1])) == found
    assert digest(shutil.copytree(first, tmp_path / "third")) == found
    (first / ".lock").write_text("a note of a downloader")
    assert digest(first) == found
    (first / "parts" / "labels.csv").write_text("other")
    changed = digest(first)
    (first / "parts" / "labels.csv").rename(first / "labels.csv")
    moved = digest(first)
    (first / "more").write_text("")
    assert len({found, changed, moved, digest(first)}) == 4


NAMES = st.text("abc", min_size=1, max_size=3)


@settings(deadline=None)
@given(
    one=st.dictionaries(NAMES, st.binary(max_size=4), max_size=4),
    other=st.dictionaries(NAMES, st.binary(max_size=4), max_size=4),
)
def test_two_folders_have_one_digest_only_if_they_are_alike(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    def folder(files: dict[str, bytes]) -> Path:
        made = tmp_path_factory.mktemp("folder")
        for name, content in files.items():
            (made / name).write_bytes(content)
        return made

    assert (digest(folder(one)) == digest(folder(other))) == (one == other)


def test_what_a_downloader_hides_beside_the_weights_does_not_change_what_they_hash_to(tmp_path: Path) -> None:
    folder = written(tmp_path / "model")
    before = digest(folder)
    (folder / ".cache" / "hub").mkdir(parents=True)
    (folder / ".cache" / "hub" / "model.bin.metadata").write_text("when it came")
    (folder / ".gitattributes").write_text("*")
    assert digest(folder) == before
