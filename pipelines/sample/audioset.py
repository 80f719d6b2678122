"""The sample AudioSet: weak and strong label files and segments, as an ordinary partial mirror keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipelines.sample.clips import Clip, draw_casts, draw_seconds, generator, write_clip
from pipelines.sample.files import Defect
from pipelines.sample.fsd50k import UNLABELLED
from pipelines.sample.synth import SOUNDS

CORPUS = "audioset"
TRAIN, EVAL = 50, 20
DEFECTS: tuple[Defect, ...] = (
    "missing", "missing", "empty", "not_audio", "truncated", "zero_frames", "silent",
)  # fmt: skip
WHOLE_RECORDINGS = (11, TRAIN + 3)  # numbers of the clips whose files were never cut to the segment
RATES = (16000, 22050, 32000, 44100, 44100, 48000)
NOT_STRONG = {"Plucked string instrument", "Bass drum", "Snare drum", "Hi-hat", "Organ", "Pink noise"}
"""Classes that the strong labels (Hershey et al., ICASSP 2021) fold into others."""


def ytid(number: int) -> str:
    """Return 11 characters as YouTube's identifiers have, and as no video has: some begin with "-"."""
    return (f"-earloom{number:03d}", f"earloom-{number:03d}", f"Earloom_{number:03d}")[number % 3]


def _file(number: int, defect: Defect | None) -> str:
    """Return the name of clip ``number``'s file: tools disagree on suffix and on the leading "Y"."""
    if defect:
        return f"{ytid(number)}.wav"
    if number % 20 in (7, 17):
        return f"{ytid(number)}.{'ogg' if number % 20 == 7 else 'mp3'}"
    return ("{}.wav", "{}.flac", "Y{}.flac", "{}.wav")[number % 4].format(ytid(number))


def _weak(segments: Iterable[tuple[Clip, float]], seed: int) -> str:
    """Return a ``*_segments.csv``: three comment lines, then YTID, start, end and the quoted classes."""
    rows, used = [], []
    for clip, start in segments:
        mids = sorted(sound.mid for sound in clip.cast)
        rows.append(f'{clip.source_id}, {start:.3f}, {start + clip.seconds:.3f}, "{",".join(mids)}"')
        used += mids
    head = (
        f"# Segments csv synthesised by Earloom, seed {seed}",
        f"# num_ytids={len(rows)}, num_segs={len(rows)}, num_unique_labels={len(set(used))}, "
        f"num_positive_labels={len(used)}",
        "# YTID, start_seconds, end_seconds, positive_labels",
    )
    return "\n".join([*head, *rows, ""])


def _strong(segments: Iterable[tuple[Clip, float]]) -> str:
    """Return an ``audioset_*_strong.tsv``: one line per event, timed from the segment's start."""
    rows = ["segment_id\tstart_time_seconds\tend_time_seconds\tlabel"]
    for clip, start in segments:
        if NOT_STRONG.isdisjoint(clip.names):
            segment = f"{clip.source_id}_{round(start * 1000)}"
            rows += [f"{segment}\t{e.onset_s:.3f}\t{e.offset_s:.3f}\t{e.mid}" for e in clip.events]
    return "\n".join([*rows, ""])


def write_audioset(root: Path, seed: int) -> list[Clip]:
    """Write ``root/audioset`` and return its clips, those without a usable file included."""
    rng = generator(seed, CORPUS)
    casts = draw_casts(rng, [*SOUNDS, *UNLABELLED, *UNLABELLED], TRAIN + EVAL)
    casts += [cast[:1] for cast in draw_casts(rng, SOUNDS, len(DEFECTS))]
    train: list[tuple[Clip, float]] = []
    evaluation: list[tuple[Clip, float]] = []
    for number, cast in enumerate(casts):
        defect = DEFECTS[number - TRAIN - EVAL] if number >= TRAIN + EVAL else None
        around = (round(rng.uniform(2.0, 4.0), 1), 2.5) if number in WHOLE_RECORDINGS else (0.0, 0.0)
        seconds = 10.0 if rng.random() < 0.2 else draw_seconds(rng, cast, 3.0, 10.0)
        clip = write_clip(
            root, seed, CORPUS, ytid(number), f"audioset/audio/{_file(number, defect)}", cast, seconds,
            int(rng.choice(RATES)), channels=1 + int(rng.random() < 0.25), around_s=around, defect=defect,
        )  # fmt: skip
        start = around[0] or 10.0 * int(rng.integers(0, 20))
        (evaluation if TRAIN <= number < TRAIN + EVAL else train).append((clip, start))
    folder = root / "audioset"
    timed = [segment for k, segment in enumerate(train) if k % 3]  # strong labels cover a part only
    for name, text in {
        "balanced_train_segments.csv": _weak(train, seed),
        "eval_segments.csv": _weak(evaluation, seed),
        "audioset_train_strong.tsv": _strong(timed),
        "audioset_eval_strong.tsv": _strong(evaluation),
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [clip for clip, _ in train + evaluation]
