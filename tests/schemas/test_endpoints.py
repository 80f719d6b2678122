"""Endpoints in a recipe: what will not do is refused before anything is asked."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.endpoints import Endpoint

GOOD = {"base_url": "https://example.org/v1", "model": "m"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"base_url": "example.org"}, "base_url"),
        ({"key_env": "sk-abc123"}, "key_env"),
        ({"key_env": ""}, "key_env"),
        ({"max_usd": 1}, "max_usd needs the prices"),
        ({"max_usd": 1, "usd_per_million_in": 1}, "max_usd needs the prices"),
        ({"extra": {"seed": 3}}, "seed is not set here"),
        ({"in_flight": 0}, "in_flight"),
        ({"responses": "answers"}, "responses"),
        ({"temprature": 0.1}, "temprature"),
    ],
)
def test_a_setting_that_will_not_do_is_named(change, words):
    with pytest.raises(ValidationError, match=words):
        Endpoint.model_validate({**GOOD, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"max_usd": 1, "usd_per_million_in": 1, "usd_per_million_out": 2},
        {"max_usd": 1, "usd_per_minute": 0.006},
        {"temperature": None, "seed": None, "extra": {"top_p": 0.9}},
    ],
)
def test_whole_numbers_and_nulls_are_fine_where_they_mean_something(change):
    assert Endpoint.model_validate({**GOOD, **change}).model == "m"
