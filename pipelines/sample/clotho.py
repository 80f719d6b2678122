"""The sample Clotho: five captions per clip, odd latin-1 metadata, WAV files in three splits."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from pipelines.sample.clips import Clip, copy_clip, draw_casts, draw_seconds, generator, write_clip
from pipelines.sample.dsp import samples
from pipelines.sample.files import Defect
from pipelines.sample.fsd50k import LICENSES
from pipelines.sample.phrases import WORDS, maker, title
from pipelines.sample.synth import SOUNDS

CORPUS = "clotho"
RATE = 44100
NEW = {"development": 13, "validation": 5, "evaluation": 4}
DEFECTS: tuple[Defect, ...] = ("missing", "not_audio", "truncated", "zero_frames")
FIRST_ID = 90_000_501  # far above the real Freesound identifiers
METADATA = (
    "file_name", "keywords", "sound_id", "sound_link", "start_end_samples", "manufacturer", "license",
)  # fmt: skip
UNKNOWN, ACCENTED = 2, 4  # positions in the development split of the row without a source, and of the accent


def _metadata_row(clip: Clip, position: int, split: str, freesound_id: str) -> list[str]:
    """Return the fields of `METADATA` of a clip, which is the ``position``-th of its split."""
    unknown = split == "development" and position == UNKNOWN
    who = "Éarloom" if split == "development" and position == ACCENTED else maker(freesound_id)
    link = f"https://freesound.org/people/{who}/sounds/{freesound_id}"
    return [
        clip.source_id,
        ";".join(word for name in clip.names for word in WORDS[name].keywords),
        "Not found" if unknown else freesound_id,
        "NA" if unknown else link,
        f"[0, {samples(clip.seconds, RATE)}]",
        who,
        LICENSES[int(freesound_id) % len(LICENSES)],
    ]


def _table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], encoding: str) -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def write_clotho(root: Path, seed: int, shared: dict[str, list[Clip]]) -> list[Clip]:
    """Write ``root/clotho`` and return its clips, those without a usable file included.

    ``shared``: split -> clips of the sample FSD50K that it holds as well, under the same Freesound ids.
    """
    rng = generator(seed, CORPUS)
    casts = iter(draw_casts(rng, SOUNDS, sum(NEW.values()) + len(DEFECTS)))
    identifier, written = FIRST_ID, []
    for split, count in NEW.items():
        clips: list[tuple[Clip, str]] = []
        broken = DEFECTS if split == "development" else ()
        for defect in [*[None] * count, *broken]:
            cast = next(casts)
            cast = cast[:1] if defect else cast
            name = f"{title([sound.name for sound in cast], identifier % 1000)}.wav"
            clip = write_clip(
                root, seed, CORPUS, name, f"clotho/{split}/{name}", cast, draw_seconds(rng, cast, 3.5, 10.0),
                RATE, channels=1 + int(rng.random() < 0.3), defect=defect,
            )  # fmt: skip
            clips.append((clip, str(identifier)))
            identifier += 1
        for original in shared.get(split, []):
            name = f"{title(original.names, int(original.source_id) % 1000)}.wav"
            copy = copy_clip(root, original, CORPUS, name, f"clotho/{split}/{name}", RATE)
            clips.append((copy, original.source_id))
        _table(
            root / f"clotho/clotho_captions_{split}.csv",
            ["file_name", *(f"caption_{k}" for k in range(1, 6))],
            [[clip.source_id, *clip.captions(seed, 5)] for clip, _ in clips],
            "utf-8",
        )
        _table(
            root / f"clotho/clotho_metadata_{split}.csv",
            METADATA,
            [_metadata_row(clip, k, split, source) for k, (clip, source) in enumerate(clips)],
            "latin-1",
        )
        written += [clip for clip, _ in clips]
    return written
