"""CLAP through laion_clap gives what the package gives, and the package asks no hub and leaves nothing changed."""

from __future__ import annotations

import io
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import random_models
import torch

from schemas.errors import UserError
from taggers import BadSettings, Embedder, MissingWeights, Waveform, create, embed
from taggers.checkpoints import read_checkpoint
from taggers.clap_laion import LaionClap, build

CLOSE = 1e-5
"""Largest difference from the package that float32 may make."""

TEXTS = ["a dog barks", "rain falls on a roof while birds sing", "a siren"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with checkpoint and tokenizer, made while no network can be reached."""
    asked: list[Any] = []

    def refuse(*arguments: Any) -> None:
        asked.append(arguments)
        raise OSError("no network in this test")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket.socket, "connect", refuse)
        patched.setattr(socket, "getaddrinfo", refuse)
        patched.delenv("HF_HUB_OFFLINE", raising=False)
        made = tmp_path_factory.mktemp("laion")
        path, said = list(sys.path), io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            random_models.laion(made)
        assert (sys.path, said.getvalue()) == (path, "")
        yield made
    assert asked == []


@pytest.fixture(scope="module")
def model(folder: Path) -> LaionClap:
    return loaded(folder)


@pytest.fixture(scope="module")
def by_hand(folder: Path) -> Any:
    """Return the package's own `CLAP_Module`, loaded by its own loader."""
    from transformers import RobertaTokenizer

    checkpoint = folder / LaionClap.weights.files[0]
    state = {name.removeprefix("module."): tensor for name, tensor in read_checkpoint(checkpoint, "state_dict").items()}
    module = build("HTSAT-tiny", state, RobertaTokenizer.from_pretrained(folder), "cpu")
    module.load_ckpt(str(checkpoint), verbose=False)
    return module


def loaded(folder: Path, **settings: Any) -> LaionClap:
    made = create("clap_laion", Embedder, {"weights": str(folder), **settings})
    assert isinstance(made, LaionClap)
    made.load("cpu")
    return made


def sound(seconds: float, seed: int = 0) -> Waveform:
    draw = np.random.default_rng(seed)
    count = round(seconds * 48000)
    tone = np.sin(np.arange(count) * draw.uniform(0.01, 1.0)) * np.sin(np.arange(count) * 1e-4 * (1 + seed))
    return Waveform((tone * draw.uniform(0.0, 0.9, count)).astype(np.float32), 48000)


def test_sounds_are_embedded_as_the_package_called_by_hand_does(model: LaionClap, by_hand: Any) -> None:
    batch = [sound(10.0, 1), sound(3.7, 2)]
    with torch.inference_mode():
        expected = [by_hand.get_audio_embedding_from_data([waveform.samples])[0] for waveform in batch]
    found = embed(model, batch)
    assert [rows.shape for rows in found] == [(1, 512), (1, 512)]
    for rows, row in zip(found, expected, strict=True):
        assert np.abs(rows[0] - row).max() <= CLOSE
    assert np.abs(expected[0] - expected[1]).max() > 1e-2  # or there is nothing to compare


def test_a_long_sound_is_embedded_window_by_window_never_by_a_random_crop(model: LaionClap, by_hand: Any) -> None:
    waveform = sound(10.5, 3)
    found = embed(model, [waveform])[0]
    with torch.inference_mode():
        expected = by_hand.get_audio_embedding_from_data([waveform.samples[:480000], waveform.samples[-480000:]])
    assert found.shape == (2, 512)
    assert np.abs(found - expected).max() <= CLOSE


def test_texts_are_embedded_as_the_package_called_by_hand_does(model: LaionClap, by_hand: Any) -> None:
    with torch.inference_mode():
        expected = by_hand.get_text_embedding(TEXTS)
    found = model.embed_text(TEXTS)
    assert np.abs(found - expected).max() <= CLOSE
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_a_text_that_the_package_would_cut_off_is_read_to_its_end(model: LaionClap, by_hand: Any) -> None:
    long = "a dog barks while a man speaks, " * 12
    with torch.inference_mode():
        cut = by_hand.get_text_embedding([long, long + "then a siren"])
    found = model.embed_text([long, long + "then a siren"])
    assert np.array_equal(cut[0], cut[1])
    assert np.abs(found[0] - found[1]).max() > 1e-4
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)


def test_a_batch_is_embedded_as_each_alone_and_twice_the_same(model: LaionClap) -> None:
    batch = [sound(1.0, 1), sound(10.0, 2), sound(1.0, 3)]
    together, again = embed(model, batch), embed(model, batch)
    for waveform, first, second in zip(batch, together, again, strict=True):
        assert np.array_equal(first, second)
        assert np.array_equal(first, embed(model, [waveform])[0])
    assert np.array_equal(model.embed_text(TEXTS), np.concatenate([model.embed_text([text]) for text in TEXTS]))


def test_loading_prints_nothing_and_puts_everything_back(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers import BertTokenizer, RobertaModel, RobertaTokenizer
    from transformers.utils import is_torchvision_available

    path = list(sys.path)
    made = loaded(folder)
    embed(made, [sound(1.0)])
    made.embed_text(["a dog barks " * 40])
    assert capfd.readouterr() == ("", "")
    assert sys.path == path
    assert not [name for name in sys.modules if name.split(".")[0] == "torchvision"]
    assert not is_torchvision_available()
    assert not any("from_pretrained" in vars(kind) for kind in (BertTokenizer, RobertaTokenizer, RobertaModel))


def test_a_tokenizer_of_its_own_folder_counts_in_the_revision_and_must_be_there(folder: Path, tmp_path: Path) -> None:
    from transformers import RobertaTokenizer

    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.symlink_to(folder / LaionClap.weights.files[0])
    with pytest.raises(MissingWeights, match=r"its tokenizer is not in .*; set `tokenizer` to a folder"):
        create("clap_laion", Embedder, {"weights": str(checkpoint)})
    beside = create("clap_laion", Embedder, {"weights": str(folder)})
    named = create("clap_laion", Embedder, {"weights": str(checkpoint), "tokenizer": str(folder)})
    assert named.revision == beside.revision
    assert (named.sample_rate, named.dimension, named.window_s) == (48000, 512, 10.0)
    RobertaTokenizer().save_pretrained(tmp_path / "empty")  # what transformers 5 makes where there are no files
    empty = create("clap_laion", Embedder, {"weights": str(checkpoint), "tokenizer": str(tmp_path / "empty")})
    assert empty.revision != beside.revision
    with pytest.raises(UserError, match="its tokenizer knows no words"):
        empty.load("cpu")


def test_a_checkpoint_of_another_network_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="does not fit CLAP: .*audio_branch"):
        loaded(folder, amodel="HTSAT-base")
    with pytest.raises(BadSettings, match="setting 'amodel': 'HTSAT-huge' will not do"):
        create("clap_laion", Embedder, {"weights": str(folder), "amodel": "HTSAT-huge"})


def test_missing_weights_say_where_they_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARLOOM_MODELS", str(tmp_path))
    with pytest.raises(MissingWeights, match=r"630k-audioset-best.pt.*earloom models pull clap_laion"):
        create("clap_laion", Embedder)
    shutil.rmtree(tmp_path)
