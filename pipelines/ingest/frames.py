"""The stage `frames`: pictures of the clips that came as video, for whoever looks at what is heard."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from pipelines.core.stage import Batch, Blob, Context, Refusal, Result, Stage
from pipelines.ingest import ffmpeg
from pipelines.ingest.faults import SOURCE_FAULTS, check_unchanged
from pipelines.ingest.pictures import NoPictures, holds_recording, jpeg_size, pictures
from schemas.errors import Reject, UserError

_FAR_S = 10.0
"""Seconds. Times further apart are sought one by one, since what lies between them would be decoded for nothing."""


@dataclass(frozen=True)
class Frames(Stage):
    """Stores pictures of each clip that came as video, spread evenly over it.

    A clip without a film is a drop ``no_video``, one whose film is sound alone a drop ``no_pictures``. All its
    pictures are stored, or none and it is refused.

    Attributes:
        frames: pictures per clip, N; picture i, from 0, is shown (i + 0.5) / N of the clip's length after its start.
        height: most pixels from top to bottom.
    """

    name: ClassVar[str] = "frames"
    reads: ClassVar[tuple[str, ...]] = ("clips", "records")
    writes: ClassVar[str] = "frames"
    room: ClassVar[str] = "store"
    batch_rows: ClassVar[int] = 4

    frames: int
    height: int

    def revisions(self) -> dict[str, str]:
        """The version of ffmpeg, whose decoders and scaler make the pixels; UserError where there is none."""
        return {"ffmpeg": ffmpeg_version()}

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve each clip by itself: one whose pictures cannot be had is refused, and costs the others nothing."""
        result, records = Result(), batch.grouped("records", "record_id")
        for clip in batch.rows.to_pylist():
            key, film = clip["clip_id"], clip["video_path"]
            if film is None:
                result.drops.append((key, "no_video"))
                continue
            try:
                (record,) = records[clip["record_id"]]
                result.extend(self._serve(clip, record, Path(context.data_root)))
            except NoPictures:
                result.drops.append((key, "no_pictures"))
            except Reject as reject:
                result.rejects.append(Refusal(key, reject.error, reject.message, film))
            except OSError as error:
                if error.errno not in SOURCE_FAULTS:
                    raise
                result.rejects.append(Refusal(key, "unreadable_file", f"reading it fails: {error.strerror}", film))
        return result

    def _serve(self, clip: dict[str, Any], record: dict[str, Any], root: Path) -> Result:
        path, result = root / clip["video_path"], Result()
        own = clip["video_path"] == clip["source_path"]
        check_unchanged(path, record["file_bytes"] if own else None)
        start_s = clip["source_start_s"] if own else film_start(path, clip, record)
        step_s = clip["duration_s"] / self.frames
        times = [(number + 0.5) * step_s for number in range(self.frames)]
        sought = [times] if step_s <= _FAR_S else [[time_s] for time_s in times]
        taken = [
            jpeg
            for part in sought
            for jpeg in pictures(path, [start_s + time_s for time_s in part], start_s, self.height)
        ]
        for number, (time_s, jpeg) in enumerate(zip(times, taken, strict=True)):
            frame_id = f"{clip['clip_id']}-f{number}"
            width, height = jpeg_size(jpeg)
            result.blobs.append(Blob("frames", frame_id, {"jpg": jpeg}))
            result.rows.append(
                {
                    "clip_id": clip["clip_id"],
                    "frame_id": frame_id,
                    "time_s": time_s,
                    "width": width,
                    "height": height,
                    "sha256": hashlib.sha256(jpeg).hexdigest(),
                    "tar": "",
                    "offset": 0,
                    "size": 0,
                }
            )
        return result


def film_start(path: Path, clip: dict[str, Any], record: dict[str, Any]) -> float:
    """Return where a clip begins in the film beside its audio, in seconds: the film may be cut where the audio is whole.

    The rule is that of :func:`pipelines.ingest.stage.excerpt`; see :func:`pipelines.ingest.pictures.holds_recording`.

    Args:
        path: the film.
        clip: a row of ``clips``.
        record: its row of ``records``.

    Raises:
        NoPictures: as :func:`pictures`.
        Reject: as :func:`pictures`.
    """
    within_s: float = clip["source_start_s"] - clip["excerpt_s"]
    start_s, end_s = record["start_s"], record["end_s"]
    if not start_s:
        return within_s
    if end_s is None or holds_recording(path, end_s - start_s, end_s):
        return start_s + within_s
    return within_s


@lru_cache(maxsize=1)
def ffmpeg_version() -> str:
    """Return the version of the ffmpeg that is used here.

    Raises:
        UserError: there is none.
    """
    try:
        binary = ffmpeg.binary()
    except Reject:
        words = "pictures need ffmpeg, and there is none here; install imageio-ffmpeg, or set video.frames: 0"
        raise UserError(f"stage frames: {words}") from None
    said = subprocess.run([binary, "-version"], capture_output=True, text=True, check=True).stdout
    return said.split()[2]
