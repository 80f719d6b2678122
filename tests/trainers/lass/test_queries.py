"""A separator is asked by words or by sound, in one space, by a draw that only seed, epoch and sample determine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_models import Pitch

from pipelines.mix.embedded import embedded
from pipelines.mix.levels import Mixed
from schemas.errors import UserError
from schemas.recipe import ModelChoice
from trainers.lass.config import QueriesConfig
from trainers.lass.queries import QUERY, TARGET, Embedded, Queries, Stored, by_sound, queries
from trainers.lass.vectors import Vectors

RATE = 8000


def records(*words: str, rate: int = RATE) -> list[dict[str, Any]]:
    return [{"mixture_id": f"mix-{n:016x}", "query": word, "sample_rate": rate} for n, word in enumerate(words)]


def tone(pitch: float, rate: int = RATE) -> np.ndarray:
    return (0.2 * np.sin(2 * np.pi * pitch * np.arange(rate) / rate)).astype(np.float32)


def pitched(folder: Path, text: float = 1.0, seed: int = 0) -> Embedded:
    return Embedded(Pitch(), Vectors(folder, "1", 2), text, seed)


def same(made: Tensor, wanted: Tensor | np.ndarray, within: float = 0.0) -> None:
    torch.testing.assert_close(made, torch.as_tensor(wanted), rtol=0, atol=within, equal_nan=True)


def test_words_are_embedded_as_the_model_embeds_them_and_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = records("low", "high", "low")
    wanted = Pitch().embed_text([record["query"] for record in asked])
    made = pitched(tmp_path)(asked, 0)
    assert made.dtype == torch.float32
    same(made, wanted)
    monkeypatch.setattr(Pitch, "embed_text", lambda *_: pytest.fail("embedded again"))
    same(pitched(tmp_path)(asked, 7), wanted)


def test_a_sound_is_embedded_as_the_shards_hold_it_at_the_models_own_rate(tmp_path: Path) -> None:
    sounds = [tone(500.0, 16000), tone(3000.0, 16000), np.zeros(16000, np.float32)]
    integers = [np.round(32768 * sound).astype(np.int16) for sound in sounds]
    asked = records("low", "high", "low", rate=16000)
    held = embedded(Pitch(), asked, [mixed(each) for each in integers])
    heard = pitched(tmp_path).heard(asked, torch.from_numpy(np.stack(integers) / np.float32(32768)))
    stored = Stored().heard([record | own for record, own in zip(asked, held, strict=True)])
    same(heard, stored, within=1e-3)
    assert heard[2].isnan().all()
    assert heard[0, 0] > heard[1, 0]


def mixed(target: np.ndarray) -> Mixed:
    """Return a mixture of which only the target is looked at."""
    made = object.__new__(Mixed)
    object.__setattr__(made, "target", target)
    return made


@pytest.mark.parametrize("text", [0.0, 0.25, 1.0])
def test_so_many_samples_ask_by_words_as_were_asked_for_and_the_others_by_sound(tmp_path: Path, text: float) -> None:
    asked = records(*["high"] * 400)
    made = pitched(tmp_path, text)(asked, 0, torch.from_numpy(tone(300.0)).repeat(400, 1))
    words = pitched(tmp_path).read(["high"])[0]
    by_words = (made - words).abs().amax(dim=1) < 1e-6
    assert by_words.float().mean().item() == pytest.approx(text, abs=0.06 * (0 < text < 1))
    assert (~by_words).nonzero()[:, 0].tolist() == by_sound(asked, text, 0, 0)


def test_the_draw_depends_on_seed_epoch_and_sample_and_not_on_order() -> None:
    asked = records(*["low"] * 200)
    drawn = by_sound(asked, 0.5, 1, 2)
    assert [199 - at for at in reversed(by_sound(asked[::-1], 0.5, 1, 2))] == drawn
    assert by_sound(asked, 0.5, 1, 3) != drawn
    assert by_sound(asked, 0.5, 2, 2) != drawn


def test_a_silent_target_is_asked_for_by_words(tmp_path: Path) -> None:
    made = pitched(tmp_path, 0.0)(
        records("low", "low"), 0, torch.stack([torch.zeros(RATE), torch.from_numpy(tone(3500.0))])
    )
    same(made[0], pitched(tmp_path).read(["low"])[0])
    assert not torch.allclose(made[1], made[0], atol=0.1)


def test_asking_by_sound_without_sounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give the targets"):
        pitched(tmp_path, 0.0)(records("low"), 0)
    with pytest.raises(ValueError, match="give the targets"):
        pitched(tmp_path).heard(records("low"))


def test_what_samples_hold_is_asked_by_words_or_sound_and_of_unit_length_again() -> None:
    words, sound = np.array([0.6, 0.8], np.float16), np.array([1.0, 0.0], np.float16)
    held = [record | {QUERY: words, TARGET: sound} for record in records(*["low"] * 100)]
    del held[0][TARGET]
    assert by_sound(held, 0.0, 0, 0)[0] == 0
    made = Stored(text=0.0)(held, 0)
    same(made, torch.tensor([[0.6, 0.8], *[[1.0, 0.0]] * 99]), within=1e-3)
    same(made.norm(dim=1), torch.ones(100), within=1e-6)
    same(replace(Stored(), text=1.0)(held, 0), torch.tensor([[0.6, 0.8]] * 100), within=1e-3)
    assert Stored().heard(held).isnan().all(dim=1).nonzero()[:, 0].tolist() == [0]


def test_a_sound_that_is_heard_and_has_no_embedding_is_named_rather_than_asked_for_by_words() -> None:
    held = [record | {QUERY: np.array([0.6, 0.8], np.float16)} for record in records("a", "b")]
    silent, heard = torch.zeros(2, RATE), torch.stack([torch.zeros(RATE), torch.from_numpy(tone(300.0))])
    assert Stored(text=0.0)(held, 0, silent).shape == (2, 2)
    assert Stored().heard(held, silent).isnan().all()
    for ask in (lambda: Stored(text=0.0)(held, 0, heard), lambda: Stored().heard(held, heard)):
        with pytest.raises(UserError, match=r"mix-0000000000000001: has no target.npy; mix with shards.embedder"):
            ask()


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ([{}], "mix-0000000000000000: has no query.npy; mix with shards.embedder, or name queries.embedder"),
        ([{QUERY: b"nothing"}], "query.npy is no array of NumPy's; write the shard again"),
        ([{QUERY: np.zeros(4, np.float16)}], "query.npy is no vector of unit length"),
        ([{QUERY: np.full(4, np.nan, np.float16)}], "query.npy is no vector of unit length"),
        ([{QUERY: np.eye(2, dtype=np.float16)}], "query.npy is no vector of unit length"),
        ([{QUERY: np.eye(2)[0]}, {QUERY: np.eye(3)[0]}], r"lengths \[2, 3\] are of several models"),
    ],
)
def test_embeddings_that_samples_lack_or_that_are_none_are_named(held: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Stored()([record | own for record, own in zip(records("a", "b"), held, strict=False)], 0)


def test_samples_cannot_embed_other_words() -> None:
    with pytest.raises(UserError, match="name queries.embedder"):
        Stored().read(["a dog"])


def test_the_demo_clap_asks_by_words_and_by_sound_in_one_space(tmp_path: Path) -> None:
    made = queries(QueriesConfig(embedder=ModelChoice(use="demo_clap"), text=0.5), tmp_path, "cpu", 0)
    assert isinstance(made, Embedded)
    asked: Queries = made
    assert asked.dimension == 128
    assert asked.revision
    assert asked.revision.startswith("demo_clap")
    batch = records("a dog barks", "a siren wails")
    both = asked(batch, 0, torch.from_numpy(np.stack([tone(500.0), tone(900.0)])))
    assert both.shape == (2, 128)
    same(both.norm(dim=1), torch.ones(2), within=1e-3)


def test_without_an_embedder_the_samples_own_are_taken(tmp_path: Path) -> None:
    assert queries(QueriesConfig(text=0.25), tmp_path, "cpu", 3) == Stored(0.25, 3)


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (ModelChoice(use="demo_clip"), "queries.embedder: no listener is named 'demo_clip'; did you mean 'demo_clap'"),
        (ModelChoice(use="signal"), "queries.embedder: 'signal' is no embedder"),
        (ModelChoice(use="demo_clap", settings={"hop": 1}), "queries.embedder: 'demo_clap' has no setting 'hop'"),
    ],
)
def test_an_embedder_that_cannot_be_had_is_one_line(tmp_path: Path, choice: ModelChoice, says: str) -> None:
    with pytest.raises(UserError, match=says):
        queries(QueriesConfig(embedder=choice), tmp_path, "cpu", 0)
