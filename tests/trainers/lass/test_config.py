"""A separator follows from its configuration, and a configuration that will not do is refused by name."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from trainers.lass.config import QueriesConfig, SeparatorConfig, build


def test_the_same_configuration_and_seed_give_the_same_weights_bit_for_bit() -> None:
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(build(SeparatorConfig(embedding=16, guided=True)).state_dict())
    first, again, other = made
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_with_and_without_a_guide_the_other_weights_begin_alike() -> None:
    made = []
    for guided in (False, True):
        torch.manual_seed(1)
        made.append(build(SeparatorConfig(embedding=16, guided=guided)).state_dict())
    alone, beside = made
    assert {name.split(".")[0] for name in beside.keys() - alone.keys()} == {"guide"}
    assert all(torch.equal(weights, beside[name]) for name, weights in alone.items())


def test_rate_embedding_and_guide_are_those_that_were_asked_for() -> None:
    made = build(SeparatorConfig(sample_rate=32000, embedding=24))
    assert (made.sample_rate, made.embedding, made.guide) == (32000, 24, None)
    assert build(SeparatorConfig(embedding=24, guided=True)).guide is not None


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"size": "huge"}, "size"),
        ({"sample_rate": 100}, "greater than or equal to 4000"),
        ({"sample_rate": "16000"}, "valid integer"),
        ({"guide": True}, "Extra inputs"),
    ],
)
def test_a_configuration_that_will_not_do_is_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        SeparatorConfig.model_validate(values)


def test_a_share_lies_between_nothing_and_all() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        QueriesConfig(text=1.5)


def test_reading_a_configuration_does_not_load_torch() -> None:
    code = "import sys; import trainers.lass.config; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
