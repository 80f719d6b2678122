"""A tiny world for the trainers of the demo's models: captioned clips of two sounds, in shards as the pipeline writes them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

RATE = 16000
SINE, NOISE, SIREN, POLICE = "/m/01v_m0", "/m/0chx_", "/m/03kmc9", "/m/04qvtq"
CAPTIONS = {
    SINE: ("A steady tone sounds.", "A sine wave holds its pitch."),
    NOISE: ("White noise hisses.", "Noise goes on."),
}


def sound(class_id: str, seconds: float, rng: np.random.Generator, rate: int = RATE) -> np.ndarray:
    """A sound at RMS 0.1."""
    time = np.arange(round(seconds * rate)) / rate
    tone = np.sqrt(2) * np.sin(2 * np.pi * rng.uniform(300, 2000) * time)
    return 0.1 * (tone if class_id == SINE else rng.standard_normal(len(time)))


def clip(class_ids: tuple[str, ...], rng: np.random.Generator, split: str, rate: int = RATE) -> dict[str, Any]:
    """Return a second of each class, one after the other, as a sample's record; ``audio`` is the samples."""
    audio = np.concatenate([sound(class_id, 1.0, rng, rate) for class_id in class_ids])
    texts = [", then ".join(CAPTIONS[class_id][n] for class_id in class_ids) for n in range(2)]
    return {
        "audio": audio,
        "split": split,
        "sample_rate": rate,
        "captions": texts,
        "classes": sorted(class_ids),
        "labels": sorted(class_ids),
        "state": "labelled",
        "events": [{"class_id": c, "onset_s": float(n), "offset_s": n + 1.0} for n, c in enumerate(class_ids)],
    }


def members(key: str, record: dict[str, Any]) -> dict[str, bytes]:
    """Return the members of a sample; a value of None leaves a key out."""
    buffer = io.BytesIO()
    sf.write(buffer, record["audio"], record["sample_rate"], format="FLAC", subtype="PCM_16")
    told = {"recording_id": f"fs:{key}", **record}
    told = {name: value for name, value in told.items() if name != "audio" and value is not None}
    return {"flac": buffer.getvalue(), "json": json.dumps(told).encode()}


def write(path: Path, samples: dict[str, dict[str, bytes]]) -> None:
    """Write a shard."""
    path.parent.mkdir(exist_ok=True, parents=True)
    with tarfile.open(path, "w") as tar:
        for key, files in samples.items():
            for name, data in files.items():
                info = tarfile.TarInfo(f"{key}.{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def world(folder: Path, counts: dict[str, int], seed: int = 0, **changed: Any) -> Path:
    """Write so many clips per split, of a tone, of noise, and of one after the other, with values ``changed`` in all."""
    rng = np.random.default_rng(seed)
    casts = ((SINE,), (NOISE,), (SINE, NOISE), (NOISE, SINE))
    for split, count in counts.items():
        samples = {
            f"{split}{n}": members(f"{split}{n}", clip(casts[n % 4], rng, split) | changed) for n in range(count)
        }
        write(folder / f"{split}-00000-000.tar", samples)
    return folder
