"""The sample WavCaps: one JSON file per subset, each with its own keys, and FLAC files at 32 kHz."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines.sample.clips import Clip, copy_clip, draw_casts, draw_seconds, generator, write_clip
from pipelines.sample.files import Defect
from pipelines.sample.fsd50k import UNLABELLED
from pipelines.sample.phrases import WORDS, description, maker, title
from pipelines.sample.synth import SOUNDS

CORPUS = "wavcaps"
RATE = 32000
BBC, FREESOUND, SOUNDBIBLE = 11, 13, 6
FREESOUND_ID, SOUNDBIBLE_ID = 90_000_301, 9_900_001  # far above the real ones
DEFECTS: tuple[Defect, ...] = ("missing", "empty", "not_audio", "truncated", "zero_frames", "silent")
JSON_FILES = {
    "AudioSet_SL": "as_final.json",
    "BBC_Sound_Effects": "bbc_final.json",
    "FreeSound": "fsd_final.json",
    "SoundBible": "sb_final.json",
}


def _audioset_row(clip: Clip, caption: str) -> dict[str, Any]:
    return {"id": clip.source_id, "caption": caption, "audio": "wav_path", "duration": clip.seconds}


def _bbc_row(clip: Clip, caption: str) -> dict[str, Any]:
    return {
        "description": description(clip.names, int(clip.source_id[-5:])),
        "category": "['Electronic Sounds']",
        "caption": caption,
        "id": clip.source_id,
        "duration": clip.seconds,
        "audio": "wav_path",
        "download_link": f"https://sound-effects-media.bbcrewind.co.uk/zip/{clip.source_id}.wav.zip",
    }


def _freesound_row(clip: Clip, caption: str) -> dict[str, Any]:
    number, page = int(clip.source_id) % 1000, f"/people/{maker(clip.source_id)}/sounds/{clip.source_id}/"
    name = title(clip.names, number)
    slug = name.replace(" ", "-").replace("_", "-")
    return {
        "id": clip.source_id,
        "file_name": f"{name}.wav",
        "href": page,
        "tags": [word for name in clip.names for word in WORDS[name].keywords],
        "description": description(clip.names, number),
        "author": maker(clip.source_id),
        "duration": clip.seconds,
        "download_link": f"https://freesound.org{page}download/{clip.source_id}__{maker(clip.source_id)}__{slug}.wav",
        "caption": caption,
        "audio": "wav_path",
    }


def _soundbible_row(clip: Clip, caption: str) -> dict[str, Any]:
    heading = " ".join(WORDS[clip.names[0]].keywords[:2]).title()
    return {
        "title": heading,
        "description": description(clip.names, int(clip.source_id) % 1000),
        "author": maker(clip.source_id).title(),
        "href": f"{clip.source_id}-{heading.replace(' ', '-')}.html",
        "caption": caption,
        "id": clip.source_id,
        "duration": clip.seconds,
        "audio": "wav_path",
        "download_link": f"http://soundbible.com/grab.php?id={clip.source_id}&type=wav",
    }


ROWS: dict[str, Callable[[Clip, str], dict[str, Any]]] = {
    "AudioSet_SL": _audioset_row,
    "BBC_Sound_Effects": _bbc_row,
    "FreeSound": _freesound_row,
    "SoundBible": _soundbible_row,
}


def _flac(subset: str, stem: str) -> str:
    return f"wavcaps/waveforms/{subset}_flac/{stem}.flac"


def _audioset_names(ytid: str) -> tuple[str, str]:
    """Return identifier and file as published: the one ends in .wav, the other in .flac."""
    return f"Y{ytid}.wav", _flac("AudioSet_SL", f"Y{ytid}")


def write_wavcaps(root: Path, seed: int, audioset: Sequence[Clip], freesound: Sequence[Clip]) -> list[Clip]:
    """Write ``root/wavcaps`` and return its clips, those without a usable file included.

    ``audioset`` and ``freesound`` are clips of the sample AudioSet and FSD50K that WavCaps holds as well: the
    same recordings under the same AudioSet and Freesound identifiers.
    """
    rng = generator(seed, CORPUS)
    subsets: dict[str, list[Clip]] = {
        "AudioSet_SL": [copy_clip(root, clip, CORPUS, *_audioset_names(clip.source_id), RATE) for clip in audioset],
        "BBC_Sound_Effects": [],
        "FreeSound": [
            copy_clip(root, c, CORPUS, c.source_id, _flac("FreeSound", c.source_id), RATE) for c in freesound
        ],
        "SoundBible": [],
    }
    plan: list[tuple[str, str, Defect | None]] = [
        *(("BBC_Sound_Effects", f"EARLOOM{k:05d}", None) for k in range(BBC)),
        *(("SoundBible", str(SOUNDBIBLE_ID + k), None) for k in range(SOUNDBIBLE)),
        *(("FreeSound", str(FREESOUND_ID + k), None) for k in range(FREESOUND)),
        *(("FreeSound", str(FREESOUND_ID + FREESOUND + k), defect) for k, defect in enumerate(DEFECTS)),
        ("BBC_Sound_Effects", f"EARLOOM{BBC:05d}", "missing"),
    ]
    casts = draw_casts(rng, [*SOUNDS, *UNLABELLED], len(plan))
    for (subset, source_id, defect), cast in zip(plan, casts, strict=True):
        long = source_id in ("EARLOOM00003", "EARLOOM00007", str(FREESOUND_ID + 5))
        seconds = draw_seconds(rng, cast, 15.0, 25.0) if long else draw_seconds(rng, cast, 2.5, 10.0)
        kept = cast if defect is None else cast[:1]
        file = _flac(subset, source_id)
        clip = write_clip(root, seed, CORPUS, source_id, file, kept, seconds, RATE, defect=defect)
        subsets[subset].append(clip)
    for subset, clips in subsets.items():
        data = [ROWS[subset](clip, clip.captions(seed, 1)[0]) for clip in clips]
        path = root / "wavcaps/json_files" / subset / JSON_FILES[subset]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"num_captions_per_audio": 1, "data": data}), encoding="utf-8")
    return [clip for clips in subsets.values() for clip in clips]
