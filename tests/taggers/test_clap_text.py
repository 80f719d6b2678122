"""A text is cut into pieces that fit, and nothing of it is lost."""

from __future__ import annotations

import numpy as np
import pytest
import random_models
from hypothesis import given
from hypothesis import strategies as st

from taggers.clap import repeat_padded
from taggers.clap_text import Texts, pooled


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Texts:
    known = random_models.tokenizer(tmp_path_factory.mktemp("tokens"))
    return Texts("clap", known, 12, len(known))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<>"), max_size=200))
def test_pieces_fit_are_as_few_and_as_even_as_can_be_and_hold_the_whole_text(texts: Texts, text: str) -> None:
    whole = texts._ids(text)
    parts = [list(piece) for piece in texts.pieces(text)]
    assert all((part[0], part[-1]) == (0, 2) and len(part) <= 12 for part in parts)
    assert [token for part in parts for token in part[1:-1]] == whole
    assert len(parts) == max(1, -(-len(whole) // 10))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_pieces_are_pooled_to_a_vector_of_unit_length() -> None:
    x, y = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
    assert pooled([x]) is x
    assert pooled([x, y]) == pytest.approx([2**-0.5, 2**-0.5])
    assert np.array_equal(pooled([x, -x]), x)


@given(st.integers(1, 50), st.integers(1, 100))
def test_a_sound_is_repeated_whole_and_then_silent(count: int, length: int) -> None:
    count = min(count, length)
    samples = np.arange(1, count + 1, dtype=np.float32)
    made = repeat_padded(samples, length)
    times = length // count
    assert made.tolist() == samples.tolist() * times + [0.0] * (length - times * count)
