"""The parts of a small CLAP: words in a fixed order, bands that hear silence apart, files that ask for no padding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
pytest.importorskip("transformers", reason="the extra `train` is not installed")
import torch

from trainers.clap_parts import BANDS, DIMENSION, SPECIAL, TOKENS, Parts, config, hear_silence_apart, parts, tokenizer


@pytest.fixture(scope="module")
def made() -> Parts:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return parts(["A dog barks.", "Rain falls."])


def test_words_are_numbered_in_alphabetical_order_after_the_special_ones() -> None:
    for texts in (["A dog barks."], ["barks dog", "a .", "DOG"]):
        words = tokenizer(texts)
        assert words.convert_ids_to_tokens(range(len(words))) == [*SPECIAL, ".", "a", "barks", "dog"]
        assert (words.pad_token_id, words.model_max_length) == (1, TOKENS)


def test_the_text_network_has_a_place_for_each_word_and_each_position(made: Parts) -> None:
    text = made.model.config.text_config
    assert text.vocab_size == len(made.tokenizer) == len(SPECIAL) + len({"a", "dog", "barks", ".", "rain", "falls"})
    assert text.max_position_embeddings - text.pad_token_id - 1 == TOKENS
    assert config(9).projection_dim == DIMENSION
    assert made.extractor.padding == "repeatpad"


def test_the_same_seed_draws_the_same_weights(made: Parts) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        again = parts(["Rain falls.", "A dog barks."])
    assert all(torch.equal(a, b) for a, b in zip(made.model.parameters(), again.model.parameters(), strict=True))


def test_each_band_has_the_mean_and_the_variance_of_what_is_sound(made: Parts) -> None:
    offsets = torch.arange(BANDS, dtype=torch.float32)
    hear_silence_apart(made.model, torch.stack([offsets - 2, offsets, offsets + 2]))
    norm = made.model.audio_model.audio_encoder.batch_norm
    assert torch.equal(norm.running_mean, offsets)
    assert torch.allclose(norm.running_var, torch.full((BANDS,), 4.0))  # of a sample: 8 / 2


def test_what_training_asks_of_the_tokenizer_is_not_written_down(made: Parts, tmp_path: Path) -> None:
    made.tokenizer(["a dog", "rain"], padding=True, truncation=True, max_length=4)
    made.write(tmp_path)
    written = json.loads((tmp_path / "tokenizer.json").read_text())
    assert (written["padding"], written["truncation"]) == (None, None)
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o644
