"""Embeddings in samples: of the query and of the target as it is stored, as NumPy arrays of float16."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import toy_models
from rendering import RATE, batch, noise, planned, source, stored

from pipelines.listen import models
from pipelines.listen.embed import pooled
from pipelines.mix.checking import wrong_with_sample
from pipelines.mix.render import Render
from schemas.ids import canonical_json
from schemas.mixing import MixtureSet
from schemas.recipe import ModelChoice, Shards
from taggers import registry
from taggers.base import Embedder, Waveform


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {toy_models.Pitch.name: toy_models.Pitch})
    for cached in (models._made, models._loaded):
        cached.cache_clear()


def tone(hertz: float) -> np.ndarray:
    return np.rint(3000 * np.sin(2 * np.pi * hertz * np.arange(2 * RATE) / RATE)).astype(np.int16)


@pytest.mark.parametrize("kept", ["stored", "recipe"])
def test_a_sample_holds_what_its_query_and_its_target_are_embedded_as(tmp_path, kept):
    embedder = models.chosen(ModelChoice(use="pitch", name="ear"), Embedder, "cpu")
    context, rows = stored(tmp_path, {"c0": tone(3500), "c1": noise(1, 16_000, 900)})
    stage = Render((MixtureSet(),), Shards(mixtures=kept, embedder="ear"), embedder)
    stage.setup(context)
    named = planned(source("c0", "target", 16_000), source("c1", "interferer", 16_000), snr_db=0.0, query="high")
    vain = planned(source("c1", "interferer", 16_000), snr_db=0.0, query="low", mixture_id="mix-2", target_clip_id="c0")
    first, second = stage.process(batch([named, vain], rows), context).blobs
    query, target = (np.load(io.BytesIO(first.members[name])) for name in ("query.npy", "target.npy"))
    assert (query.dtype, query.shape, target.dtype, target.shape) == (np.float16, (2,), np.float16, (2,))
    model = embedder.loaded
    assert np.array_equal(query, model.embed_text(["high"])[0].astype(np.float16))
    wave = Waveform(tone(3500).astype(np.float32) / np.float32(32768), RATE)
    assert np.array_equal(target, pooled(model.embed_audio([wave])[0]).astype(np.float16))
    assert float(query.astype(float) @ target.astype(float)) > 0.9
    told = [json.loads(each.members["json"])["embedder"] for each in (first, second)]
    assert told == [{"name": "pitch", "revision": "1"}] * 2
    assert "query.npy" in second.members
    assert "target.npy" not in second.members


def test_a_sample_without_embeddings_names_no_embedder(tmp_path):
    context, rows = stored(tmp_path, {"c0": tone(3500), "c1": noise(1, 16_000, 900)})
    plan = planned(source("c0", "target", 16_000), source("c1", "interferer", 16_000), snr_db=0.0)
    (sample,) = Render((MixtureSet(),), Shards()).process(batch([plan], rows), context).blobs
    assert "embedder" not in json.loads(sample.members["json"])


def test_a_json_that_names_an_embedder_is_what_the_tables_say_only_where_there_is_one(tmp_path):
    embedder = models.chosen(ModelChoice(use="pitch", name="ear"), Embedder, "cpu")
    context, rows = stored(tmp_path, {"c0": tone(3500), "c1": noise(1, 16_000, 900)})
    plan = planned(source("c0", "target", 16_000), source("c1", "interferer", 16_000), snr_db=0.0)
    clips = {row["clip_id"]: row for row in rows}
    for chosen, expected in ((embedder, []), (None, ["its json says something else than the tables"])):
        stage = Render((MixtureSet(),), Shards(members=["target"]), chosen)
        stage.setup(context)
        made = stage.process(batch([plan], rows), context)
        members = dict(made.blobs[0].members)
        assert list(wrong_with_sample(made.rows[0], plan, members, stage, clips, context)) == []
        facts = json.loads(members["json"]) | {"embedder": {"name": "pitch", "revision": "2"}}
        members["json"] = canonical_json(facts).encode()
        assert list(wrong_with_sample(made.rows[0], plan, members, stage, clips, context)) == expected
        members["json"] = b"[no json"
        assert list(wrong_with_sample(made.rows[0], plan, members, stage, clips, context)) == [
            "its json says something else than the tables"
        ]


def test_the_embedder_is_part_of_the_stages_identity():
    embedder = models.chosen(ModelChoice(use="pitch", name="ear"), Embedder, "cpu")
    with_it, without = (Render((MixtureSet(),), Shards(embedder="ear"), each) for each in (embedder, None))
    assert with_it.revisions() == {"ear": "1"}
    assert without.revisions() == {}
    assert with_it.params() != without.params()
    assert with_it.resources.actor
    assert not without.resources.actor
