"""The small CLAP's trainer makes what transformers reads, repeats itself to the bit, and learns which words go with which sound."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
import torch
from caption_worlds import NOISE, SINE, world

from schemas.errors import UserError
from taggers.base import Waveform
from taggers.clap import repeat_padded
from taggers.clap_transformers import TransformersClap
from taggers.logmel import LogMel
from trainers.captions import captioned
from trainers.clap import FRAMES, Example, _filled, _joined, _power, main, train
from trainers.clap_parts import RATE, extractor, tokenizer


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a folder of shards and what the command made of it."""
    shards = world(tmp_path_factory.mktemp("clap"), {"train": 64, "test": 8})
    assert main([str(shards), "--epochs", "12", "--out", str(shards / "out")]) == 0
    return shards, shards / "out"


def test_words_find_their_sound(trained: tuple[Path, Path]) -> None:
    from taggers.clap import ClapSettings

    shards, out = trained
    model = TransformersClap(ClapSettings(weights=str(out)))
    model.load("cpu")
    tone, noise = model.embed_text(["a steady tone", "white noise hisses"])
    for clip in captioned(shards, "test"):
        if len(clip.labels or ()) == 1:
            (heard,) = model.embed_audio([Waveform(clip.samples, clip.sample_rate)])
            assert (float(heard[0] @ tone) > float(heard[0] @ noise)) == (clip.labels == (SINE,))


def test_its_report_is_strict_json_and_says_what_was_measured(trained: tuple[Path, Path]) -> None:
    report = json.loads((trained[1] / "measures.json").read_text(), parse_constant=pytest.fail)
    measures = report["measures"]
    assert measures["text_to_audio_r1"]["chance"] == pytest.approx(1 / 8)
    assert measures["text_to_audio_r10"]["value"] == measures["text_to_audio_r10"]["chance"] == 1.0
    assert measures["text_to_audio_mean_rank"]["chance"] == 4.5
    assert measures["same_labels_at_1"]["value"] >= 0.5
    assert (report["split"], report["measures"]["audio_to_text_r1"]["n"]) == ("test", 8)


def test_transformers_reads_all_of_it(trained: tuple[Path, Path]) -> None:
    from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

    model, told = ClapModel.from_pretrained(trained[1], output_loading_info=True)
    assert not any(told[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.projection_dim == 128
    assert ClapFeatureExtractor.from_pretrained(trained[1]).sampling_rate == RATE
    words = AutoTokenizer.from_pretrained(trained[1])
    assert words.convert_ids_to_tokens(words("A steady XYZ.")["input_ids"]) == [
        *("<s>", "a", "steady", "<unk>", ".", "</s>")
    ]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    shards = world(tmp_path, {"train": 32, "val": 4})
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert main([str(shards), "--epochs", "1", "--out", str(tmp_path / out), "--seed", str(seed)]) == 0
    first, again, other = ({path.name: path.read_bytes() for path in (tmp_path / out).iterdir()} for out in "abc")
    assert first == again
    assert first["model.safetensors"] != other["model.safetensors"]


def test_in_training_a_short_sound_is_filled_up_as_it_is_when_it_is_heard(tmp_path: Path) -> None:
    world(tmp_path, {"train": 4})
    spectrogram = LogMel(extractor(), 1, "cpu")
    for clip in captioned(tmp_path, "train"):
        trained_on = _filled(_power(spectrogram, clip))
        whole = repeat_padded(clip.samples, 10 * RATE)
        heard = spectrogram(torch.from_numpy(whole)[None])[0, 0]
        assert trained_on.shape == heard.shape == (FRAMES + 1, 64)
        # Seams differ, where one repeats frames and the other samples.
        assert np.median(np.abs(trained_on - heard).numpy().max(axis=1)) < 1e-3


def test_two_sounds_are_joined_as_their_words_say() -> None:
    tone, noise = (
        Example(level * torch.ones(50, 64), (text,), frozenset({class_id}))
        for level, text, class_id in ((1.0, "A tone sounds.", SINE), (2.0, "Noise hisses.", NOISE))
    )
    seen = set()
    for seed in range(40):
        both = _joined(tone, noise, np.random.default_rng(seed))
        assert both.sounds == {SINE, NOISE}
        seen.add(both.texts[0])
        levels = [1.0] * 50 + [2.0] * 50 if "then" in both.texts[0] or "before" in both.texts[0] else None
        if levels:
            assert both.power[:, 0].tolist() == levels
        elif "while" in both.texts[0]:
            assert both.power[:, 0].tolist() == [3.0] * 50
    assert {"A tone sounds, then noise hisses.", "A tone sounds while noise hisses."} <= seen


def test_a_tokenizer_knows_words_and_not_their_letters() -> None:
    words = tokenizer(["A dog barks, then a cat's meow."])
    assert words("dog barks")["input_ids"][1:-1] == words("DOG Barks")["input_ids"][1:-1]
    assert words("dogs bark")["input_ids"][1:-1] == [words.unk_token_id] * 2


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = world(tmp_path / "few", {"train": 31, "test": 2})
    for arguments, says in (
        ([str(few)], "split train has 31 captioned clips; 32 are needed at least"),
        ([str(tmp_path / "nowhere")], "nowhere: no such folder; give"),
        ([str(few), "--epochs", "0"], "--epochs 0: must be 1 or more"),
    ):
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
        printed = capsys.readouterr().err
        assert says in printed
        assert printed.count("\n") == 1


def test_one_recording_alone_cannot_be_looked_for(tmp_path: Path) -> None:
    from trainers.judge_clap import judge

    shards = world(tmp_path, {"train": 32, "test": 2}, recording_id="fs:1")
    assert main([str(shards), "--epochs", "1", "--out", str(tmp_path / "out")]) == 2
    with pytest.raises(UserError, match="fewer than two recordings"):
        judge(tmp_path / "out", captioned(shards, "test"))
    assert len(train(captioned(shards, "train"), 1).tokenizer) > 4
