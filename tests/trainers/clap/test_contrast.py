"""The training of a CLAP makes what transformers reads, learns which words go with which sound, and says what it cannot learn from."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")
pytest.importorskip("transformers", reason="the extra `train` is not installed")
from caption_worlds import SINE, world
from clip_trainings import train

from schemas.errors import UserError
from taggers import Embedder, Waveform, create
from trainers.clap.contrast import WATCHED
from trainers.clap.judge import judge
from trainers.clap.parts import RATE
from trainers.clips.shards import Clips
from trainers.fit.history import read_history


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a folder of shards and what the command made of it."""
    shards = world(tmp_path_factory.mktemp("clap"), {"train": 64, "val": 8})
    return shards, train(shards, "clap", "fit.judge_every=12", "negatives.hard=0.5")


def test_words_find_their_sound(trained: tuple[Path, Path]) -> None:
    shards, out = trained
    model = create("clap_transformers", Embedder, {"weights": str(out / "model")})
    model.load("cpu")
    tone, noise = model.embed_text(["a steady tone", "white noise hisses"])
    clips = Clips([shards], "val")
    for number, clip in enumerate(clips.told):
        if len(clip.labels or ()) == 1:
            (heard,) = model.embed_audio([Waveform(clips[number], clip.sample_rate)])
            assert (float(heard[0] @ tone) > float(heard[0] @ noise)) == (clip.labels == (SINE,))


def test_what_is_served_is_the_best_judgement_and_achieves_what_it_says(trained: tuple[Path, Path]) -> None:
    shards, out = trained
    judged = [line["judged"] for line in read_history(out) if "judged" in line]
    best = max(judged, key=lambda each: each["watched"])
    assert len(judged) == 2
    assert best["watched"] == pytest.approx(sum(best[name]["value"] for name in WATCHED) / 6)
    assert best["text_to_audio_r1"]["chance"] == pytest.approx(1 / 8)
    assert best["text_to_audio_r10"]["value"] == best["text_to_audio_r10"]["chance"] == 1.0
    assert best["same_labels_at_1"]["value"] >= 0.5
    found = judge(out / "model", Clips([shards], "val"))
    assert {name: row["value"] for name, row in found.items()} == {name: best[name]["value"] for name in found}


def test_transformers_reads_all_of_it(trained: tuple[Path, Path]) -> None:
    from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

    model, told = ClapModel.from_pretrained(trained[1] / "model", output_loading_info=True)
    assert not any(told[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.projection_dim == 128
    assert ClapFeatureExtractor.from_pretrained(trained[1] / "model").sampling_rate == RATE
    words = AutoTokenizer.from_pretrained(trained[1] / "model")
    assert words.convert_ids_to_tokens(words("A steady XYZ.")["input_ids"]) == [
        *("<s>", "a", "steady", "<unk>", ".", "</s>")
    ]


def test_held_out_clips_are_kept_to_listen_to_with_their_captions(trained: tuple[Path, Path]) -> None:
    folders = sorted((trained[1] / "sounds").iterdir())
    assert len(folders) == 3
    for folder in folders:
        assert {path.name for path in folder.iterdir()} == {"asked.txt", "clip.wav"}
        assert "Nearest of 3: " in (folder / "asked.txt").read_text()


def test_a_training_tells_what_was_measured_and_where_it_is_served_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = train(world(tmp_path, {"train": 32, "val": 4}), "clap", "fit.steps=2", "fit.warm_up.steps=1", quiet=False)
    told = capsys.readouterr().out
    assert "held out, text_to_audio_r10: 1.000 [1.000, 1.000], of 4" in told
    assert f"settings: {{weights: {out / 'model'}}}" in told


def test_too_few_clips_and_one_recording_alone_are_told(tmp_path: Path) -> None:
    few = world(tmp_path / "few", {"train": 31, "val": 2})
    with pytest.raises(UserError, match=r"fit.batch: 32 are more than the 31 clips to train on"):
        train(few, "clap")
    one = world(tmp_path / "one", {"train": 32, "val": 2}, recording_id="fs:1")
    with pytest.raises(UserError, match="fewer than two recordings to judge retrieval on"):
        train(one, "clap")
    with pytest.raises(UserError, match="no shard of split 'test', only of train, val"):
        train(few, "clap", "data.held_out_split=test")
