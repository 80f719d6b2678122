"""The sample FSD50K: ground truth with every label's ancestors, clip information with licences, WAV files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipelines.sample.clips import Clip, draw_casts, draw_seconds, generator, write_clip
from pipelines.sample.files import Defect
from pipelines.sample.phrases import WORDS, description, maker, title
from pipelines.sample.synth import SOUNDS

CORPUS = "fsd50k"
DEV, EVAL = 48, 22
FIRST_ID = 90_000_001  # far above the real Freesound identifiers; WavCaps goes on at 301, Clotho at 501
DEFECTS: tuple[Defect, ...] = (
    "missing", "missing", "empty", "not_audio", "truncated", "zero_frames", "silent",
)  # fmt: skip
RATE = 44100

LICENSES = (
    "http://creativecommons.org/publicdomain/zero/1.0/",
    "http://creativecommons.org/licenses/by/3.0/",
    "http://creativecommons.org/publicdomain/zero/1.0/",
    "http://creativecommons.org/licenses/by/4.0/",
    "http://creativecommons.org/licenses/by-nc/3.0/",
    "http://creativecommons.org/licenses/sampling+/1.0/",
)

MIDS = {
    "Alarm": "/m/07pp_mv",
    "Animal": "/m/0jbk",
    "Applause": "/m/028ght",
    "Bass_drum": "/m/0bm02",
    "Bell": "/m/0395lw",
    "Car": "/m/0k4j",
    "Chime": "/m/0f8s22",
    "Church_bell": "/m/03w41f",
    "Clock": "/m/01x3z",
    "Cricket": "/m/09xqv",
    "Cymbal": "/m/01qbl",
    "Domestic_sounds_and_home_sounds": "/t/dd00071",
    "Door": "/m/02dgv",
    "Doorbell": "/m/03wwcy",
    "Drip": "/m/07r5v4s",
    "Drum": "/m/026t6",
    "Engine": "/m/02mk9",
    "Hi-hat": "/m/03qtq",
    "Human_group_actions": "/t/dd00012",
    "Idling": "/m/07pb8fc",
    "Insect": "/m/03vt0",
    "Keyboard_(musical)": "/m/05148p4",
    "Knock": "/m/07r4wb8",
    "Liquid": "/m/04k94",
    "Mechanisms": "/t/dd00077",
    "Motor_vehicle_(road)": "/m/012f08",
    "Music": "/m/04rlf",
    "Musical_instrument": "/m/04szw",
    "Ocean": "/m/05kq4",
    "Organ": "/m/013y1f",
    "Percussion": "/m/0l14md",
    "Plucked_string_instrument": "/m/0fx80y",
    "Rain": "/m/06mb1",
    "Siren": "/m/03kmc9",
    "Snare_drum": "/m/06rvn",
    "Telephone": "/m/07cx4",
    "Tick": "/m/07qjznt",
    "Tick-tock": "/m/07qjznl",
    "Vehicle": "/m/07yv9",
    "Vehicle_horn_and_car_horn_and_honking": "/m/0912c9",
    "Water": "/m/0838f",
    "Waves_and_surf": "/m/034srq",
    "Wild_animals": "/m/01280g",
    "Wind": "/m/03m9d0z",
    "Wind_chime": "/m/026fgl",
}
"""The part of FSD50K's vocabulary that is used here: label -> AudioSet class."""

LABELS = {
    "Siren": "Siren,Alarm",
    "Police car (siren)": "Siren,Alarm",
    "Vehicle horn, car horn, honking": ("Vehicle_horn_and_car_horn_and_honking,Car,Motor_vehicle_(road),Vehicle,Alarm"),
    "Telephone dialing, DTMF": "Telephone,Alarm",
    "Telephone bell ringing": "Telephone,Alarm",
    "Smoke detector, smoke alarm": "Alarm",
    "Organ": "Organ,Keyboard_(musical),Musical_instrument,Music",
    "Church bell": "Church_bell,Bell",
    "Wind chime": "Wind_chime,Chime,Bell",
    "Ding-dong": "Doorbell,Door,Domestic_sounds_and_home_sounds,Alarm",
    "Plucked string instrument": "Plucked_string_instrument,Musical_instrument,Music",
    "Bass drum": "Bass_drum,Drum,Percussion,Musical_instrument,Music",
    "Snare drum": "Snare_drum,Drum,Percussion,Musical_instrument,Music",
    "Hi-hat": "Hi-hat,Cymbal,Percussion,Musical_instrument,Music",
    "Tick": "Tick,Clock,Mechanisms",
    "Tick-tock": "Tick-tock,Clock,Mechanisms",
    "Knock": "Knock,Door,Domestic_sounds_and_home_sounds",
    "Drip": "Drip,Liquid",
    "Idling": "Idling,Engine",
    "Cricket": "Cricket,Insect,Wild_animals,Animal",
    "Rain": "Rain,Water",
    "Wind": "Wind",
    "Waves, surf": "Waves_and_surf,Ocean,Water",
    "Applause": "Applause,Human_group_actions",
}
"""Sound -> its labels as FSD50K gives them: the closest one in its vocabulary, then that one's ancestors."""

UNLABELLED = tuple(sound for sound in SOUNDS if sound.name not in LABELS)
"""Sounds that FSD50K has no label for: the other corpora draw them more often, to make up for it."""


def labels_of(names: Iterable[str]) -> list[str]:
    """Return the labels of a clip, each once: those of its sounds first, then their ancestors."""
    groups = [LABELS[name].split(",") for name in names]
    closest, ancestors = [group[0] for group in groups], [label for group in groups for label in group[1:]]
    return list(dict.fromkeys(closest + ancestors))


def _ground_truth(path: Path, clips: Sequence[Clip], splits: Sequence[str]) -> None:
    """Write dev.csv (with a split per clip) or eval.csv (without)."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["fname", "labels", "mids", *(["split"] if splits else [])])
        for k, clip in enumerate(clips):
            labels = labels_of(clip.names)
            mids = ",".join(MIDS[label] for label in labels)
            writer.writerow([clip.source_id, ",".join(labels), mids, *splits[k : k + 1]])


def _information(path: Path, clips: Sequence[Clip]) -> None:
    """Write ``*_clips_info_FSD50K.json``: what the uploader said of each clip, and its licence."""
    information = {
        clip.source_id: {
            "title": f"{title(clip.names, int(clip.source_id) % 1000)}.wav",
            "description": description(clip.names, int(clip.source_id) % 1000),
            "tags": [word for name in clip.names for word in WORDS[name].keywords],
            "license": LICENSES[int(clip.source_id) % len(LICENSES)],
            "uploader": maker(clip.source_id),
        }
        for clip in clips
    }
    path.write_text(json.dumps(information, indent=4) + "\n", encoding="utf-8")


def write_fsd50k(root: Path, seed: int) -> tuple[list[Clip], list[Clip]]:
    """Write ``root/fsd50k``; return its development clips, the broken ones last, and its evaluation clips."""
    rng = generator(seed, CORPUS)
    sounds = [sound for sound in SOUNDS if sound.name in LABELS]
    casts = draw_casts(rng, sounds, DEV + EVAL)
    casts += [cast[:1] for cast in draw_casts(rng, sounds, len(DEFECTS))]
    dev: list[Clip] = []
    evaluation: list[Clip] = []
    for number, cast in enumerate(casts):
        defect = DEFECTS[number - DEV - EVAL] if number >= DEV + EVAL else None
        clips, split = (evaluation, "eval") if DEV <= number < DEV + EVAL else (dev, "dev")
        source_id = str(FIRST_ID + number)
        file = f"fsd50k/FSD50K.{split}_audio/{source_id}.wav"
        seconds = draw_seconds(rng, cast, 2.0, 9.0)
        clips.append(write_clip(root, seed, CORPUS, source_id, file, cast, seconds, RATE, defect=defect))
    truth, metadata = root / "fsd50k/FSD50K.ground_truth", root / "fsd50k/FSD50K.metadata"
    for folder in (truth, metadata):
        folder.mkdir(parents=True, exist_ok=True)
    _ground_truth(truth / "dev.csv", dev, ["val" if k % 8 == 5 else "train" for k in range(len(dev))])
    _ground_truth(truth / "eval.csv", evaluation, [])
    vocabulary = sorted({label for clip in dev + evaluation for label in labels_of(clip.names)})
    lines = [f"{k},{label},{MIDS[label]}\n" for k, label in enumerate(vocabulary)]
    (truth / "vocabulary.csv").write_text("".join(lines), encoding="utf-8")
    _information(metadata / "dev_clips_info_FSD50K.json", dev)
    _information(metadata / "eval_clips_info_FSD50K.json", evaluation)
    return dev, evaluation
