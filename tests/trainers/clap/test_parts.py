"""The parts of a small CLAP: words in a fixed order, bands that hear silence apart, files that ask for no padding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
pytest.importorskip("transformers", reason="the extra `train` is not installed")
import torch
from transformers import ClapModel

from trainers.clap.parts import (
    BANDS,
    DIMENSION,
    SPECIAL,
    TOKENS,
    config,
    extractor,
    hear_silence_apart,
    network,
    tokenizer,
    write,
)

TEXTS = ["A dog barks.", "Rain falls."]


@pytest.fixture(scope="module")
def clap() -> ClapModel:
    return drawn(0)


def drawn(seed: int) -> ClapModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network(len(tokenizer(TEXTS)))


def test_words_are_numbered_in_alphabetical_order_after_the_special_ones() -> None:
    for texts in (["A dog barks."], ["barks dog", "a .", "DOG"]):
        words = tokenizer(texts)
        assert words.convert_ids_to_tokens(range(len(words))) == [*SPECIAL, ".", "a", "barks", "dog"]
        assert (words.pad_token_id, words.model_max_length) == (1, TOKENS)


def test_a_tokenizer_knows_words_and_not_their_letters() -> None:
    words = tokenizer(["A dog barks, then a cat's meow."])
    assert words("dog barks")["input_ids"][1:-1] == words("DOG Barks")["input_ids"][1:-1]
    assert words("dogs bark")["input_ids"][1:-1] == [words.unk_token_id] * 2


def test_the_text_network_has_a_place_for_each_word_and_each_position(clap: ClapModel) -> None:
    text = clap.config.text_config
    assert text.vocab_size == len(SPECIAL) + len({"a", "dog", "barks", ".", "rain", "falls"})
    assert text.max_position_embeddings - text.pad_token_id - 1 == TOKENS
    assert config(9).projection_dim == DIMENSION
    assert extractor().padding == "repeatpad"


def test_the_same_seed_draws_the_same_weights(clap: ClapModel) -> None:
    def same(other: ClapModel) -> bool:
        return all(torch.equal(a, b) for a, b in zip(clap.parameters(), other.parameters(), strict=True))

    assert same(drawn(0))
    assert not same(drawn(1))


def test_each_band_has_the_mean_and_the_variance_of_what_is_sound(clap: ClapModel) -> None:
    offsets = torch.arange(BANDS, dtype=torch.float32)
    hear_silence_apart(clap, offsets, offsets + 4.0)
    norm = clap.audio_model.audio_encoder.batch_norm
    assert torch.equal(norm.running_mean, offsets)
    assert torch.equal(norm.running_var, offsets + 4.0)


def test_what_training_asks_of_the_tokenizer_is_not_written_down(clap: ClapModel, tmp_path: Path) -> None:
    words = tokenizer(TEXTS)
    words("a dog and so on", truncation=True, max_length=4)
    write(clap, words, tmp_path)
    written = json.loads((tmp_path / "tokenizer.json").read_text())
    assert (written["padding"], written["truncation"]) == (None, None)
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o644
