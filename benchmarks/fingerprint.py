"""Acoustic identity on real clips: what is found again, what is joined wrongly, and what it costs.

    python benchmarks/fingerprint.py FOLDER [--speeds 30] [--random 200000]

FOLDER holds any of the folders in ``PARTS``; every clip is decoded and stored as ingest does it, at most 30 seconds at 32 kHz. Each is
compared with its variants, then all with all. ``--speeds`` plays every clip at that many speeds, each a sound of its own, which
gives a large corpus with the statistics of real sounds; ``--random`` joins so many clips of random landmarks. One process.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import scipy.signal
import soundfile
import soxr

from pipelines.identity.fingerprint import landmarks
from pipelines.identity.near import Landmarks, Pair, near_duplicates, score
from pipelines.ingest.decode import decode
from pipelines.ingest.store import from_store, to_store
from schemas.errors import Reject

RATE = 32000
PARTS = ("esc50/audio", "fsd50k/FSD50K.dev_audio", "audio_plain")
MP3 = (".mp3", "-c:a", "libmp3lame", "-b:a", "64k")
OPUS = (".opus", "-c:a", "libopus", "-b:a", "32k")


@dataclass(frozen=True)
class Variant:
    """How a clip is changed: its start cut off or not, then ``change``, then a codec's suffix and arguments, if any."""

    name: str
    change: Callable[[np.ndarray, int, np.random.Generator], tuple[np.ndarray, int]]
    cut: bool = False
    codec: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clip:
    """An original: samples and rate as decoded, samples as stored, and its landmarks."""

    name: str
    samples: np.ndarray
    rate: int
    stored: np.ndarray
    marks: Landmarks

    @property
    def source(self) -> str:
        """The recording as its publisher names it: clips of one are related."""
        return self.name.split("-")[1] if self.name.startswith("esc50/") else self.name


def unchanged(samples, rate, rng):
    return samples, rate


def gain(decibels):
    return lambda samples, rate, rng: (samples * np.float32(10 ** (decibels / 20)), rate)


def at_rate(other):
    return lambda samples, rate, rng: (soxr.resample(samples, rate, other), other)


def noisy(samples, rate, rng):
    return samples + rng.standard_normal(len(samples)) * np.sqrt(np.mean(samples.astype(float) ** 2) / 100), rate


VARIANTS = (
    Variant("MP3, 64 kbit/s", unchanged, codec=MP3),
    Variant("Opus, 32 kbit/s", unchanged, codec=OPUS),
    Variant("16 kHz", at_rate(16000)),
    Variant("48 kHz", at_rate(48000)),
    Variant("+12 dB, clipped", gain(12)),
    Variant("-12 dB, 16 bit", gain(-12)),
    Variant("0.2 to 1 s cut off", unchanged, cut=True),
    Variant("white noise, 20 dB", noisy),
    Variant("MP3, cut, -12 dB", gain(-12), cut=True, codec=MP3),
)


def stored(path: Path) -> np.ndarray:
    """Return what the clip store would hold: int16 at RATE."""
    return from_store(to_store(decode(path, length_s=30.0), RATE)[0])[0]


def read(root: Path) -> list[Clip]:
    """Return all clips that can be decoded."""
    clips = []
    for path in sorted(path for part in PARTS for path in (root / part).rglob("*") if path.is_file()):
        try:
            sound, samples = decode(path, length_s=30.0), stored(path)
        except Reject:
            continue
        name = path.relative_to(root).as_posix()
        clips.append(Clip(name, sound.samples, sound.rate, samples, landmarks(samples, RATE)))
    return clips


def changed(clip: Clip, variant: Variant, folder: Path) -> tuple[Landmarks, float, float]:
    """Return a variant's landmarks, the seconds of sound of the original in it, and the seconds cut off."""
    rng = np.random.default_rng(zlib.crc32(f"{clip.name} {variant.name}".encode()))
    cut = min(rng.uniform(0.2, 1.0), 0.3 * len(clip.samples) / clip.rate) if variant.cut else 0.0
    samples, rate = variant.change(clip.samples[round(cut * clip.rate) :], clip.rate, rng)
    path = folder / "clip.wav"
    soundfile.write(path, np.clip(samples, -1, 1), rate, subtype="PCM_16")
    if variant.codec:
        suffix, *arguments = variant.codec
        path, plain = folder / f"clip{suffix}", path
        ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(plain), *arguments, str(path)]
        subprocess.run(ffmpeg, check=True)
    try:
        marks = landmarks(stored(path), RATE)
    except Reject:  # the start that was cut off was all its sound
        marks = landmarks(np.zeros(0, np.int16), RATE)
    return marks, sounding(clip.stored[round(cut * RATE) :]), cut


def sounding(samples: np.ndarray) -> float:
    """Return the seconds in which a clip is within 60 dB of its loudest 20 ms, and not digitally silent."""
    pieces = samples[: len(samples) // 640 * 640].reshape(-1, 640).astype(float)
    power = np.mean(pieces**2, axis=1)
    return float(np.sum(power > max(1e-6 * power.max(initial=0), 1)) * 0.02)


def recall(clips: list[Clip]) -> None:
    """Print how many clips are found again in each variant, by seconds of sound and by landmarks."""
    counts = np.array([len(np.unique(clip.marks[0])) for clip in clips])
    spans, sizes = ((1, 999), (0.2, 1), (0, 0.2)), ((1, 40), (40, 160), (160, 99999))
    heads = [f"{low:g} to {high:g} s" for low, high in spans[1:]], [f"{low} to {high - 1}" for low, high in sizes[:2]]
    print(
        f"| variant | 1 s of sound or more | {' | '.join(heads[0])} | landmarks: {' | '.join(heads[1])} | 160 or more |",
        end="",
    )
    print(" score, median | 5th percentile | offsets right |\n" + "|---" * 10 + "|")
    with tempfile.TemporaryDirectory() as name:
        for variant in VARIANTS:
            made = [changed(clip, variant, Path(name)) for clip in clips]
            matches = [score(clip.marks, marks) for clip, (marks, _, _) in zip(clips, made, strict=True)]
            near, seconds = np.array([match.near for match in matches]), np.array([each[1] for each in made])
            # An encoder's own delay, up to 60 ms, is no error.
            right = [abs(m.offset_s - cut) < 0.13 for m, (_, _, cut) in zip(matches, made, strict=True) if m.near]
            cells = [share(near[(seconds >= low) & (seconds < high)]) for low, high in spans]
            cells += [share(near[(counts >= low) & (counts < high) & (seconds >= 0.2)]) for low, high in sizes]
            scores = np.array([match.score for match in matches])[seconds >= 1]
            cells += [f"{np.median(scores):.2f}", f"{np.percentile(scores, 5):.2f}", f"{np.mean(right):.3f}"]
            print(f"| {variant.name} | {' | '.join(cells)} |", flush=True)


def share(found: np.ndarray) -> str:
    return f"{np.mean(found):.3f} of {len(found)}" if len(found) else "-"


def false_matches(clips: list[Clip]) -> None:
    """Print what is joined among the originals: pairs of one source, and each pair of two sources for inspection."""
    by_name = {clip.name: clip for clip in clips}
    pairs = near_duplicates(list(by_name), *zip(*(clip.marks for clip in clips), strict=True))
    related = {pair for pair in pairs if is_related(by_name[pair.clip_a], by_name[pair.clip_b])}
    every = sum(not is_related(a, b) for n, a in enumerate(clips) for b in clips[:n])
    print(
        f"\n{len(clips)} originals, {every:,} pairs of two sources; {len(pairs)} pairs joined, {len(related)} of one source. The others:\n"
    )
    print("| clip | clip | score | offset, s | correlation there |\n|---|---|---|---|---|")
    for pair in pairs:
        if pair not in related:
            alike = correlation(by_name[pair.clip_a].stored, by_name[pair.clip_b].stored, pair.offset_s)
            print(f"| {pair.clip_a} | {pair.clip_b} | {pair.score:.3f} | {pair.offset_s:.2f} | {alike:.2f} |")


def is_related(a: Clip, b: Clip) -> bool:
    return a.source == b.source or np.array_equal(a.stored, b.stored)


def correlation(a: np.ndarray, b: np.ndarray, offset_s: float) -> float:
    """Return the largest normalised correlation of two clips within 0.1 s of an offset."""
    a, b = (soxr.resample(samples.astype(np.float32), RATE, 8000) for samples in (a, b))
    lags = scipy.signal.correlation_lags(len(a), len(b))
    near = np.abs(lags / 8000 - offset_s) < 0.1
    dots = np.abs(scipy.signal.correlate(a, b))[near]
    lag = lags[near][dots.argmax()]
    one, two = a[max(lag, 0) :], b[max(-lag, 0) :]
    both = min(len(one), len(two))
    return float(dots.max() / np.sqrt(np.sum(one[:both] ** 2) * np.sum(two[:both] ** 2)))


def speed(clips: list[Clip]) -> None:
    """Print the milliseconds that a clip of ten seconds takes."""
    tens = [np.resize(clip.stored, 10 * RATE) for clip in clips if len(clip.stored) > 4 * RATE][:100]
    best = min(timed(lambda: [landmarks(samples, RATE) for samples in tens])[0] for _ in range(3))
    seconds = sum(len(clip.stored) for clip in clips) / RATE
    marks = sum(len(clip.marks[0]) for clip in clips)
    print(f"\n{best / len(tens) * 1e3:.1f} ms for ten seconds at {RATE} Hz; {marks / seconds:.0f} landmarks per second")


def timed(function: Callable) -> tuple[float, list]:
    """Return the seconds that a call takes, and its result."""
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result


def joined(what: str, marks: dict[str, Landmarks]) -> list[Pair]:
    """Print what a join costs, and return its pairs."""
    seconds, pairs = timed(lambda: near_duplicates(list(marks), *zip(*marks.values(), strict=True)))
    peak, count = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        sum(len(hashes) for hashes, _ in marks.values()),
    )
    print(f"| {what} | {len(marks):,} | {count:,} | {seconds:.1f} | {peak:.1f} | {len(pairs):,} |", flush=True)
    return pairs


def at_speeds(clips: list[Clip], speeds: int) -> None:
    """Join all clips at many speeds, from 0.7 to 1.43, and print what is joined of two sources."""
    marks, original = {}, {}
    for step in range(speeds):
        for number, clip in enumerate(clips):
            name = f"{number:05d}-{step:03d}"
            marks[name], original[name] = landmarks(clip.stored, round(RATE * 0.7 * 0.49 ** (-step / speeds))), clip
    found: dict[tuple[str, str], int] = {}
    pairs = joined(f"real, at {speeds} speeds", marks)
    for pair in pairs:
        a, b = original[pair.clip_a], original[pair.clip_b]
        if not is_related(a, b):
            found[a.name, b.name] = found.get((a.name, b.name), 0) + 1
    print(f"\nOf two sources, among {len(marks) ** 2 / 2:.2g} pairs:\n")
    for (a, b), count in sorted(found.items(), key=lambda each: -each[1]):
        print(f"- {a}, {b}: {count}")


def of_random(count: int) -> None:
    """Join clips of random landmarks that collide as often as those of unrelated real clips do."""
    rng, marks = np.random.default_rng(0), {}
    for number in range(count):
        hashes = rng.integers(0, 1 << 24, 300).astype(np.uint32)
        marks[f"{number:07d}"] = hashes, np.sort(rng.integers(0, 160, 300)).astype(np.uint16)
    joined("random", marks)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--speeds", type=int, default=30)
    parser.add_argument("--random", type=int, default=200_000)
    options = parser.parse_args()
    clips = read(options.folder)
    recall(clips)
    false_matches(clips)
    speed(clips)
    print("\n| join | clips | landmarks | s | peak memory, GiB | pairs |\n|---|---|---|---|---|---|")
    if options.random:
        of_random(options.random)
    if options.speeds:
        at_speeds(clips, options.speeds)


if __name__ == "__main__":
    main()
