"""What a CLAP learns from: filled up as it is heard, joined as its words say, and drawn by seed, pass and number alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
pytest.importorskip("transformers", reason="the extra `train` is not installed")
import torch
from caption_worlds import CAPTIONS, NOISE, POLICE, SINE, SIREN, world

from taggers.clap import repeat_padded
from taggers.logmel import LogMel
from trainers.clap.examples import FRAMES, CaptionedExamples, Example, classes_of, filled, joined, power_of, texts_of
from trainers.clap.negatives import class_words
from trainers.clap.parts import RATE, extractor, tokenizer
from trainers.clips.shards import Clip, Clips


def examples(folder: Path, share: float = 0.0, hard: float = 0.0) -> CaptionedExamples:
    clips = Clips([world(folder, {"train": 16})], "train")
    words = tokenizer(text for clip in clips.told for text in texts_of(clip))
    return CaptionedExamples(clips, words, share, hard, 0)


def test_in_training_a_short_sound_is_filled_up_as_it_is_when_it_is_heard(tmp_path: Path) -> None:
    clips, spectrogram = Clips([world(tmp_path, {"train": 4})], "train"), LogMel(extractor(), 1, "cpu")
    for number in range(4):
        trained_on = filled(power_of(spectrogram, clips[number]))
        heard = spectrogram(torch.from_numpy(repeat_padded(clips[number], 10 * RATE))[None])[0, 0]
        assert trained_on.shape == heard.shape == (FRAMES + 1, 64)
        # Seams differ, where one repeats frames and the other samples.
        assert np.median(np.abs(trained_on - heard).numpy().max(axis=1)) < 1e-3


def test_two_sounds_are_joined_as_their_words_say() -> None:
    tone, noise = (
        Example(level * torch.ones(50, 64), text, frozenset({class_id}))
        for level, text, class_id in ((1.0, "A tone sounds.", SINE), (2.0, "Noise hisses.", NOISE))
    )
    seen = set()
    for seed in range(40):
        both = joined(tone, noise, np.random.default_rng(seed))
        assert both.classes == {SINE, NOISE}
        seen.add(both.text)
        levels = [1.0] * 50 + [2.0] * 50 if "then" in both.text or "before" in both.text else None
        if levels:
            assert both.power[:, 0].tolist() == levels
        elif "while" in both.text:
            assert both.power[:, 0].tolist() == [3.0] * 50
    assert {"A tone sounds, then noise hisses.", "A tone sounds while noise hisses."} <= seen


def test_a_clip_is_drawn_anew_in_each_pass_and_alike_in_the_same(tmp_path: Path) -> None:
    one, other = examples(tmp_path, 0.5), examples(tmp_path, 0.5)
    first, again, later = one[0, 3], other[0, 3], one[1, 3]
    assert torch.equal(first.power, again.power)
    assert first.text == again.text
    assert not torch.equal(first.power, later.power)


def test_clips_of_one_class_alone_are_joined_as_often_as_is_asked_for(tmp_path: Path) -> None:
    some, single = examples(tmp_path, 0.5), {frozenset({SINE}), frozenset({NOISE})}
    drawn = [(number, some[epoch, number]) for epoch in range(20) for number in range(16)]
    alone = [made for number, made in drawn if some.classes[number] in single]
    assert {frozenset(some.classes[number]) for number in some.alone} == single
    # Half are to be joined, and half of these draw a sound of the same class, which is left alone.
    assert np.mean([len(made.classes) == 2 for made in alone]) == pytest.approx(0.25, abs=0.09)
    assert all(made.classes == some.classes[number] for number, made in drawn if some.classes[number] not in single)
    assert all(len(made.classes) == len(some.classes[n]) for n, made in ((n, examples(tmp_path)[0, n]) for n in (0, 2)))


def test_a_batch_has_the_words_of_its_texts_and_the_classes_of_its_sounds(tmp_path: Path) -> None:
    some = examples(tmp_path)
    drawn = [some[0, number] for number in range(4)]
    batch = some.collated(drawn)
    assert batch.features.shape == (4, 1, FRAMES + 1, 64)
    for example, ids, mask in zip(drawn, batch.ids, batch.mask, strict=True):
        assert ids[mask.bool()].tolist() == some.tokenizer(example.text)["input_ids"]
        assert set(ids[~mask.bool()].tolist()) <= {some.tokenizer.pad_token_id}
    assert torch.equal(batch.words, class_words([example.classes for example in drawn]))


def test_what_is_known_of_a_clip_are_its_labels_or_else_what_was_heard_in_it() -> None:
    def known(labels: tuple[str, ...] | None, heard: list[str]) -> frozenset[str]:
        return classes_of(Clip("a", RATE, (), labels, None, {"classes": heard}))

    assert known((SIREN, POLICE), [SINE]) == {POLICE}
    assert known(None, [SINE]) == {SINE}
    assert known(None, []) == frozenset()


def test_texts_are_captions_and_the_names_of_labels() -> None:
    clip = Clip("a", RATE, CAPTIONS[SINE], (SINE, NOISE), None, {})
    assert texts_of(clip) == (*CAPTIONS[SINE], "sine wave and white noise")
    assert texts_of(Clip("a", RATE, ("x",), None, None, {})) == ("x",)
