"""What a rendered mixture says of licences: what binds the whole, and each source's own with whom to credit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pipelines.mix.levels import mix
from pipelines.mix.render import mixture_row, sample_json

MIXED = mix(np.full(80, 900, np.int16), [np.full(80, -500, np.int16)], 3.0, 0.9)


def plan(*sources: dict[str, Any]) -> dict[str, Any]:
    blank = {
        "recording_id": "fs:1",
        "start": 0,
        "at": 0,
        "length": 80,
        "class_ids": ["/m/06mb1"],
        "class_names": ["Rain"],
    }
    own = [
        blank | {"clip_id": f"c{n}", "attribution": None, "licence_text": None} | source
        for n, source in enumerate(sources)
    ]
    words = {
        "query": "rain",
        "instruction_extract": "Extract it.",
        "instruction_remove": "Remove it.",
        "split": "train",
    }
    ids = {
        "mixture_id": "mix-1",
        "target_clip_id": "c0",
        "interferer_clip_ids": [source["clip_id"] for source in own[1:]],
    }
    return ids | words | {"sources": own, "snr_db": 3.0, "length": 80, "sample_rate": 8000, "seed": 1}


@pytest.mark.parametrize(
    ("licences", "whole"),
    [
        (("cc0", "by"), "by"),
        (("by-nc", "by"), "by-nc"),
        (("by", "unknown"), "unknown"),
        (("unknown", "unknown"), "unknown"),
        (("by-sa", "by-nc"), "by-nc-nd"),
        (("cc0", "by", "sampling+"), "sampling+"),
    ],
)
def test_a_mixture_is_under_all_that_its_sources_forbid_together(licences, whole):
    asked = plan(*({"licence": licence} for licence in licences))
    row = mixture_row(asked, MIXED)
    assert row["licence"] == whole
    facts = json.loads(sample_json(asked, row))
    assert facts["licence"] == whole
    assert [source["licence"] for source in facts["sources"]] == list(licences)


def test_a_sample_names_whom_to_credit_for_each_of_its_sources():
    asked = plan({"licence": "by", "attribution": "Zoë"}, {"licence": "unknown", "recording_id": "sb:2"})
    first, second = json.loads(sample_json(asked, mixture_row(asked, MIXED)))["sources"]
    assert (first["clip_id"], first["recording_id"], first["licence"], first["attribution"]) == (
        "c0",
        "fs:1",
        "by",
        "Zoë",
    )
    assert (second["recording_id"], second["licence"], second["attribution"]) == ("sb:2", "unknown", None)
