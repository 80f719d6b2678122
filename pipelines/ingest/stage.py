"""The stage `ingest`: each record's audio, decoded and put into the clip store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pipelines.core.stage import Batch, Blob, Context, Refusal, Result, Stage
from pipelines.ingest.decode import Channels, pieces, reach
from pipelines.ingest.faults import SOURCE_FAULTS, check_unchanged
from pipelines.ingest.headers import read_header
from pipelines.ingest.listing import sha256
from pipelines.ingest.member import located
from pipelines.ingest.piece import Decoded
from pipelines.ingest.store import to_store
from pipelines.ingest.windows import coverage, stretch
from schemas.errors import Reject, UserError

_KEPT = (
    "record_id",
    "dataset",
    "split",
    "source_path",
    "member",
    "video_path",
    "licence",
    "licence_text",
    "attribution",
)
"""Columns of a record that its clips repeat."""
_LEAST_HOP_S, _MOST_AT_ONCE = 0.01, 50


@dataclass(frozen=True)
class Ingest(Stage):
    """Decodes each record and stores its clips.

    Attributes:
        sample_rate: samples per second of the store.
        clip_s: longest clip, in seconds.
        windows: of a longer recording (or excerpt of one) ``first``, ``centre``, ``loudest``: one clip, as
            :func:`pipelines.ingest.windows.stretch` places it; ``all``: all of it, in clips of ``clip_s``. A last piece
            shorter than ``min_s`` and a piece of digital silence give no clip.
        min_s: shortest clip, in seconds; a recording that gives none as long is rejected.
        channels: what is kept of several, as in :mod:`pipelines.ingest.decode`.
        hop_s: with ``all``, seconds from one clip's start to the next's; None: ``clip_s``.
    """

    name: ClassVar[str] = "ingest"
    version: ClassVar[int] = 2
    reads: ClassVar[tuple[str, ...]] = ("records",)
    writes: ClassVar[str] = "clips"
    key: ClassVar[str] = "record_id"
    out_key: ClassVar[str] = "record_id"
    room: ClassVar[str] = "store"
    batch_rows: ClassVar[int] = 16

    sample_rate: int
    clip_s: float
    windows: Literal["first", "centre", "loudest", "all"]
    min_s: float
    channels: Channels = "mean"
    hop_s: float | None = None

    def check(self) -> None:
        """Refuse a hop that has no effect, and one with which clips would be named alike or fill the memory."""
        if self.hop_s is None:
            return
        least = max(_LEAST_HOP_S, self.clip_s / _MOST_AT_ONCE)
        if self.windows != "all":
            words = f"has no effect with windows: {self.windows}; leave it out, or set audio.windows to all"
            raise UserError(f"audio.hop_s: {self.hop_s:g} {words}")
        if self.hop_s < least:
            raise UserError(
                f"audio.hop_s: {self.hop_s:g} is too small; set it to {least:g} at least, a fiftieth of clip_s"
            )

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve each row by itself: one that cannot be decoded is refused, and costs the others nothing."""
        result = Result()
        for record in batch.rows.to_pylist():
            try:
                result.extend(self._serve(record, Path(context.data_root)))
            except Reject as reject:
                refusal = Refusal(record["record_id"], reject.error, reject.message, record["source_path"])
                result.rejects.append(refusal)
            except OSError as error:
                if error.errno not in SOURCE_FAULTS:
                    raise
                words = f"reading it fails: {error.strerror}"
                result.rejects.append(Refusal(record["record_id"], "unreadable_file", words, record["source_path"]))
        return result

    def _serve(self, record: dict[str, Any], root: Path) -> Result:
        check_unchanged(root / record["source_path"], record["file_bytes"])
        with located(root, record["source_path"], record["member"]) as path:
            return self._clips(record, path)

    def _clips(self, record: dict[str, Any], path: Path) -> Result:
        result, held = Result(), []
        recording_id = record["recording_id"]
        start, stop = record["start_s"], record["end_s"]
        start, stop = excerpt(path, start, stop) if start is not None and stop is not None else (start or 0.0, stop)
        for piece in self._decode(path, start, stop):
            flac, gain_db, samples = to_store(piece, self.sample_rate)
            recording_id = recording_id or f"sha256:{sha256(path)}"
            clip_id = f"{record['record_id']}-{round(piece.start_s * 1000)}"
            held.append((piece.start_s, piece.decoded_s))
            result.blobs.append(Blob("clips", clip_id, {"flac": flac}))
            result.rows.append(
                {column: record[column] for column in _KEPT}
                | {
                    "clip_id": clip_id,
                    "recording_id": recording_id,
                    "duration_s": samples / self.sample_rate,
                    "sample_rate": self.sample_rate,
                    "source_start_s": piece.start_s,
                    "excerpt_s": start,
                    "sha256": hashlib.sha256(flac).hexdigest(),
                    "source_rate": piece.rate,
                    "source_channels": piece.channels,
                    "channel": piece.channel,
                    **asdict(piece.facts),
                    "source_decoder": piece.decoder,
                    "claimed_s": piece.claimed_s,
                    "decoded_s": piece.decoded_s,
                    "note": piece.note,
                    "gain_db": gain_db,
                    "tar": "",
                    "offset": 0,
                    "size": 0,
                }
            )
        share = coverage(held, start, stop, piece.ended_s, piece.claimed_s)
        for row in result.rows:
            row["coverage"] = share
        if len(result.rows) == 1:
            result.rows[0]["clip_id"] = record["record_id"]
            result.blobs = [Blob("clips", record["record_id"], result.blobs[0].members)]
        return result

    def _decode(self, path: Path, start_s: float, stop_s: float | None) -> Iterator[Decoded]:
        if self.windows == "all":
            yield from pieces(path, self.clip_s, start_s, stop_s, self.min_s, hop_s=self.hop_s, channels=self.channels)
        else:
            yield stretch(path, self.windows, self.clip_s, start_s, stop_s, self.min_s, channels=self.channels)


def excerpt(path: Path, start_s: float, end_s: float) -> tuple[float, float]:
    """Return where in a file an excerpt of a recording lies, in seconds: the file may hold either of the two.

    It holds the recording if it is more than 1 s longer than the excerpt and can be decoded up to half a
    second before ``end_s``; else it was cut to the excerpt already.

    Raises:
        Reject: as :func:`pipelines.ingest.decode.decode` does.
    """
    length_s = end_s - start_s
    claimed_s = _claimed(path)
    cut = claimed_s is not None and claimed_s <= length_s + 1
    if cut or reach(path, 0.0, length_s + 1.001) <= length_s + 1:
        return 0.0, length_s
    return (start_s, end_s) if _reached(path, start_s, end_s) >= end_s - 0.5 else (0.0, length_s)


def _claimed(path: Path) -> float | None:
    """Return what a WAV or FLAC header claims: one that claims no more than the excerpt is a cut file's."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return read_header(file, path.stat().st_size).claimed_s


def _reached(path: Path, start_s: float, end_s: float) -> float:
    try:
        return reach(path, start_s, end_s)
    except Reject as reject:
        if reject.error == "too_short":
            return 0.0
        raise
