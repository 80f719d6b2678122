"""Sentence embeddings: offline, silent, the same alone and among others."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from schemas.errors import UserError
from taggers import sentences

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(sentences.PACKAGE) is None, reason="the extra `text` is not installed"
)

TEXTS = ["a dog barks", "loud rain falls on a roof while thunder rumbles", "hound", "piano", "bicycle", "a cat meows"]


def test_a_text_has_the_same_bytes_alone_and_among_others() -> None:
    model = sentences.loaded()
    together = model.embed(TEXTS)
    assert together.shape == (len(TEXTS), sentences.DIMENSION)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    for number, text in enumerate(TEXTS):
        assert model.embed([text]).tobytes() == together[number : number + 1].tobytes()
    assert model.embed(TEXTS[::-1]).tobytes() == together[::-1].tobytes()
    assert model.embed([]).shape == (0, sentences.DIMENSION)


def test_a_table_is_embedded_as_its_texts_are_but_for_the_last_bits() -> None:
    model = sentences.loaded()
    assert np.abs(model.embed_table(TEXTS) - model.embed(TEXTS)).max() < 1e-6
    assert model.embed_table(TEXTS).tobytes() == model.embed_table(TEXTS).tobytes()


def test_near_means_alike_and_a_long_text_is_cut() -> None:
    model = sentences.loaded()
    bike, bicycle, cat = model.embed(["bike", "bicycle", "cat"])
    assert bike @ bicycle > 0.85
    assert bike @ cat < 0.5
    assert np.isfinite(model.embed(["bark " * 1000])).all()


def test_it_agrees_with_the_library_that_its_publishers_use() -> None:
    library = pytest.importorskip("sentence_transformers")
    model = library.SentenceTransformer(str(sentences._folder()), device="cpu")
    theirs = model.encode(TEXTS, normalize_embeddings=True)
    assert np.abs(theirs - sentences.loaded().embed(TEXTS)).max() < 1e-5


def test_loading_prints_nothing_and_leaves_the_environment_as_it_was() -> None:
    code = (
        "import os; import torch; before = dict(os.environ)\n"  # torch leaves a variable of its own
        "from taggers.sentences import loaded; loaded().embed(['dog'])\n"
        "assert dict(os.environ) == before"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_revision_tells_the_weights() -> None:
    name, version, *hashes = sentences.revision().split("-")
    assert (name, version) == (sentences.NAME, str(sentences.VERSION))
    assert [len(each) for each in hashes] == [12, 12]


def test_a_missing_extra_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "PACKAGE", "no_such_package_of_ours")
    with pytest.raises(UserError, match=r"refine\.sentences: .* pip install 'earloom\[text\]'"):
        sentences._folder()
