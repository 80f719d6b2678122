"""The stage `frames`: on films made here, in which each second has its own grey."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kill import data_files
from pipelines.core.drive import drive
from pipelines.core.graph import build_graph
from pipelines.core.progress import Progress
from pipelines.core.stage import Batch, Context, Result, Stage, conserve
from pipelines.core.work import Work
from pipelines.core.workspace import Workspace
from pipelines.engines.inline import InlineEngine
from pipelines.ingest import frames as module
from pipelines.ingest import pictures as pictures_module
from pipelines.ingest.ffmpeg import binary
from pipelines.ingest.frames import Frames, ffmpeg_version, film_start
from pipelines.ingest.pictures import jpeg_size, pictures
from schemas import tables
from schemas.errors import Reject, RunStopped, UserError

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def ffmpeg(*words: object) -> None:
    subprocess.run([binary(), "-v", "error", "-y", *map(str, words)], check=True, stdin=subprocess.DEVNULL)


def greys(seconds: float, size: str = "64x36", first: int = 0) -> tuple[str, ...]:
    """Return ffmpeg's words for a film whose second n, from 0, is of luma 16 + 5 * (n + first)."""
    source = f"color=black:s={size}:r=25:d={seconds},format=yuv420p,geq=lum='16+5*({first}+floor(T))':cb=128:cr=128"
    return ("-f", "lavfi", "-i", source)


def tone(seconds: float) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"sine=d={seconds}")


def flat(colour: str, seconds: float, size: str) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"color={colour}:s={size}:r=25:d={seconds},format=gbrp")


def rgb(jpeg: bytes) -> np.ndarray:
    """Return a JPEG as a decoder of its own gives it: uint8 of shape (height, width, 3)."""
    command = [binary(), "-v", "error", "-f", "mjpeg", "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, input=jpeg, capture_output=True, check=True).stdout
    width, height = jpeg_size(jpeg)
    return np.frombuffer(raw, np.uint8).reshape(height, width, 3)


def second(jpeg: bytes) -> int:
    """Return the second of the film that a picture is from."""
    grey = rgb(jpeg).mean() * 219 / 255 / 5
    assert abs(grey - round(grey)) < 0.35, "the picture is of one second alone"
    return round(grey)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a film of 10 s, cut.mp4, and one of 30 s, whole.mp4, with a sound file beside each."""
    root = tmp_path_factory.mktemp("films")
    for name, seconds in (("cut", 10), ("whole", 30)):
        ffmpeg(*greys(seconds), *tone(seconds), *H264, "-g", 100, root / f"{name}.mp4")
        ffmpeg(*tone(seconds), root / f"{name}.wav")
    return root


def clip(film: str | None, sound: str | None = None, **columns: Any) -> dict[str, Any]:
    """Return a row of `clips`: 10 s from the beginning of a film that holds the sound, unless told otherwise."""
    row = {field.name: _nothing(field) for field in tables.schema("clips")}
    given = {"clip_id": "a-1", "record_id": "a-1", "duration_s": 10.0, "video_path": film, "source_path": sound or film}
    return row | given | {"source_start_s": 0.0, "excerpt_s": 0.0} | columns


def record(root: Path, clip: dict[str, Any], **columns: Any) -> dict[str, Any]:
    row = {field.name: _nothing(field) for field in tables.schema("records")}
    path = root / (clip["source_path"] or "-")
    size = path.stat().st_size if path.exists() else 0
    return row | {"record_id": clip["record_id"], "source_path": clip["source_path"], "file_bytes": size} | columns


def _nothing(column: pa.Field) -> Any:
    if column.nullable:
        return None
    if pa.types.is_list(column.type):
        return []
    return {pa.string(): "", pa.float64(): 0.0, pa.int64(): 0, pa.bool_(): False}[column.type]


def serve(root: Path, *clips: dict[str, Any], stage: Frames | None = None, **columns: Any) -> Result:
    """Serve clips whose records have these ``columns``."""
    stage = stage or Frames(4, 336)
    records = {clip["record_id"]: record(root, clip, **columns) for clip in clips}
    batch = Batch(
        tables.from_rows("clips", list(clips)), {"records": tables.from_rows("records", list(records.values()))}
    )
    result = stage.process(batch, Context(Workspace(str(root / "run")), str(root), 0, 1))
    conserve(stage, [clip["clip_id"] for clip in clips], result)
    tables.from_rows("frames", result.rows)
    return result


def seconds(result: Result) -> list[int]:
    assert not result.rejects, result.rejects
    return [second(blob.members["jpg"]) for blob in result.blobs]


def refusal(root: Path, film: str, **columns: Any) -> tuple[str, str]:
    result = serve(root, clip(film), **columns)
    (found,) = result.rejects
    assert (found.key, found.source, result.rows) == ("a-1", film, [])
    return found.error, found.message


def test_pictures_are_spread_evenly_over_a_clip(films):
    result = serve(films, clip("cut.mp4"))
    assert seconds(result) == [1, 3, 6, 8]
    assert [row["time_s"] for row in result.rows] == [1.25, 3.75, 6.25, 8.75]
    assert [row["frame_id"] for row in result.rows] == [f"a-1-f{n}" for n in range(4)]
    for row, blob in zip(result.rows, result.blobs, strict=True):
        jpeg = blob.members["jpg"]
        assert (blob.group, blob.key, list(blob.members)) == ("frames", row["frame_id"], ["jpg"])
        assert row["sha256"] == hashlib.sha256(jpeg).hexdigest()
        assert rgb(jpeg).shape == (row["height"], row["width"], 3) == (36, 64, 3)


def test_a_clip_from_the_middle_of_its_film_shows_that_middle(films):
    middle = clip("whole.mp4", duration_s=4.0, source_start_s=20.0, excerpt_s=20.0)
    assert seconds(serve(films, middle, start_s=20.0, end_s=24.0)) == [20, 21, 22, 23]
    later = clip("whole.mp4", duration_s=2.0, source_start_s=23.5, excerpt_s=20.0)
    assert seconds(serve(films, later, stage=Frames(2, 336), start_s=20.0, end_s=26.0)) == [24, 25]


@pytest.mark.parametrize(
    ("film", "sound", "source_start_s", "excerpt_s", "first"),
    [
        ("whole.mp4", "whole.wav", 12.0, 12.0, 12),  # both are whole
        ("whole.mp4", "cut.wav", 0.0, 0.0, 12),  # the sound is cut
        ("cut.mp4", "whole.wav", 12.0, 12.0, 0),  # the film is cut
        ("cut.mp4", "cut.wav", 0.0, 0.0, 0),  # both are cut
        ("whole.mp4", "cut.wav", 4.0, 0.0, 16),  # the clip begins 4 s after the excerpt
        ("cut.mp4", "whole.wav", 16.0, 12.0, 4),
    ],
)
def test_a_film_beside_the_sound_holds_the_recording_or_the_excerpt(
    films, film, sound, source_start_s, excerpt_s, first
):
    row = clip(film, sound, duration_s=4.0, source_start_s=source_start_s, excerpt_s=excerpt_s)
    found = serve(films, row, start_s=12.0, end_s=22.0)
    assert seconds(found) == [first + n for n in range(4)]


@pytest.mark.parametrize(
    ("start_s", "end_s", "place"),
    [
        (None, None, 3.0),
        (0.0, 5.0, 3.0),
        (7.0, None, 10.0),  # no end is told: nothing was cut
        (12.0, 41.0, 3.0),  # the recording was longer than the film
        (12.0, 30.5, 15.0),
        (12.0, 30.6, 3.0),
        (0.5, 29.6, 3.0),  # no more than 1 s longer than the excerpt
        (1.5, 30.0, 4.5),
    ],
)
def test_the_length_of_a_film_tells_what_it_holds(films, start_s, end_s, place):
    whole = clip("whole.mp4", "x.wav", source_start_s=103.0, excerpt_s=100.0)
    assert film_start(films / "whole.mp4", whole, {"start_s": start_s, "end_s": end_s}) == place


def test_a_film_that_states_no_length_is_measured_by_what_it_shows(films, tmp_path):
    with (tmp_path / "live.webm").open("wb") as pipe:  # what is piped cannot be given its length afterwards
        command = [binary(), "-v", "error", *greys(12), "-c:v", "libvpx", "-deadline", "realtime", "-f", "webm", "-"]
        subprocess.run(command, stdout=pipe, stdin=subprocess.DEVNULL, check=True)
    live = clip("live.webm", "x.wav")
    assert film_start(tmp_path / "live.webm", live, {"start_s": 5.0, "end_s": 10.0}) == 5.0
    assert film_start(tmp_path / "live.webm", live, {"start_s": 50.0, "end_s": 55.0}) == 0.0


def test_a_clip_without_a_film_and_a_film_without_pictures_are_dropped(films, tmp_path):
    ffmpeg(*tone(2), tmp_path / "sound.mp4")
    ffmpeg(*tone(2), *flat("red", 0.04, "64x64"), "-map", 0, "-map", 1, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p",
           "-disposition:v", "attached_pic", tmp_path / "cover.mp4")  # fmt: skip
    rows = [clip(None, "a.wav", clip_id="a"), clip("sound.mp4", clip_id="b", record_id="b")]
    rows.append(clip("cover.mp4", clip_id="c", record_id="c"))
    result = serve(tmp_path, *rows)
    assert result.drops == [("a", "no_video"), ("b", "no_pictures"), ("c", "no_pictures")]
    beside = clip("sound.mp4", "a.wav", source_start_s=5.0, excerpt_s=5.0)
    assert serve(tmp_path, beside, start_s=5.0, end_s=6.0).drops == [("a-1", "no_pictures")]


def test_a_film_that_is_gone_or_another_since_it_was_listed_stops_the_run(films):
    with pytest.raises(RunStopped, match=r"none\.mp4: is gone since it was listed"):
        serve(films, clip("none.mp4"))
    with pytest.raises(RunStopped, match="has another size since it was listed"):
        serve(films, clip("cut.mp4"), file_bytes=7)


def damaged(data: bytes, begin: float, end: float) -> bytes:
    """Return a film with zeros from one share of its bytes to another."""
    a, b = round(begin * len(data)), round(end * len(data))
    return data[:a] + bytes(b - a) + data[b:]


def test_a_film_whose_pictures_cannot_be_decoded_is_refused(tmp_path, films):
    ffmpeg(*greys(10, "320x180"), *H264, "-vf", "noise=alls=30:allf=t", tmp_path / "film.mp4")
    film = (tmp_path / "film.mp4").read_bytes()
    made: dict[str, bytes] = {
        "empty.mp4": b"",
        "text.mp4": b"[Script Info]\nThis is text.\n" * 100,
        "playlist.mp4": b"#EXTM3U\n#EXTINF:10,\nfilm.mp4\n#EXT-X-ENDLIST\n",
        "truncated.mp4": film[: len(film) // 2],  # what says where the pictures lie stood at the end
        "hole.mp4": damaged(film, 0.3, 0.7),
        "sound.mp4": (films / "cut.wav").read_bytes(),
    }
    errors = {}
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
        errors[name] = refusal(tmp_path, name)
    assert {error for error, _ in errors.values()} == {"corrupt_video"}
    assert "moov atom not found" in errors["truncated.mp4"][1]
    assert errors["hole.mp4"][1].startswith("not all of its pictures up to 8.75 s can be decoded (ffmpeg: ")
    before = clip("hole.mp4", duration_s=2.0)
    assert len(serve(tmp_path, before).rows) == 4, "what lies before the hole is whole"


def test_pictures_of_an_absurd_size_are_refused_undecoded(tmp_path):
    ffmpeg(*flat("red", 0.04, "17000x16"), "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", tmp_path / "wide.mkv")
    ffmpeg(*flat("red", 0.04, "8200x8200"), "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", tmp_path / "large.mkv")
    assert refusal(tmp_path, "wide.mkv") == ("absurd_picture_size", "it claims pictures of 17000 x 16 pixels")
    assert refusal(tmp_path, "large.mkv")[0] == "absurd_picture_size"


def test_a_silent_ffmpeg_is_a_timeout(films, tmp_path, monkeypatch):
    silent = tmp_path / "ffmpeg"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    monkeypatch.setattr("pipelines.ingest.ffmpeg.binary", lambda: str(silent))
    with pytest.raises(Reject, match=r"ffmpeg gave nothing for 0\.1 s") as refused:
        pictures(films / "cut.mp4", [1.0], 0.0, 336, timeout_s=0.1)
    assert refused.value.error == "decode_timeout"


def test_after_the_last_picture_the_last_one_stands_and_before_the_first_the_first(tmp_path):
    ffmpeg(*greys(4), *tone(10), *H264, tmp_path / "short.mp4")
    assert seconds(serve(tmp_path, clip("short.mp4"))) == [1, 3, 3, 3]
    assert seconds(serve(tmp_path, clip("short.mp4"), stage=Frames(1, 336))) == [3]
    ffmpeg("-itsoffset", 3, "-i", tmp_path / "short.mp4", *tone(10), "-map", "0:v", "-map", 1, "-c:v", "copy",
           tmp_path / "late.mkv")  # fmt: skip
    assert seconds(serve(tmp_path, clip("late.mkv"))) == [0, 0, 3, 3]


def test_a_film_that_shows_nothing_of_the_clip_is_refused(tmp_path):
    ffmpeg(*greys(4), *tone(10), *H264, tmp_path / "short.mp4")
    (found,) = serve(tmp_path, clip("short.mp4", duration_s=4.0, source_start_s=5.0)).rejects
    assert (found.error, found.message) == ("missing_pictures", "between 5 s and 8.5 s it gives no picture")


def test_a_truncated_film_gives_its_last_whole_picture(tmp_path):
    ffmpeg(*greys(10, "320x180"), *H264, "-vf", "noise=alls=10:allf=t", "-movflags", "faststart", tmp_path / "a.mp4")
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) // 2])
    found = seconds(serve(tmp_path, clip("a.mp4")))
    assert found[:2] == [1, 3]
    assert found[2] == found[3]
    assert found[2] in (4, 5)


def test_a_picture_is_shown_until_the_next(tmp_path):
    ffmpeg(*greys(40), *tone(40), "-vf", "select='not(mod(n,250))'", "-fps_mode", "vfr", *H264, tmp_path / "slides.mp4")
    slides = clip("slides.mp4", source_start_s=16.0, duration_s=8.0)
    assert seconds(serve(tmp_path, slides)) == [10, 10, 20, 20]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.mkv", ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "250")),
        ("a.webm", ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")),
        ("a.avi", ("-c:v", "mpeg4", "-bf", "2")),
        ("a.mpg", ("-c:v", "mpeg2video", "-bf", "2", "-g", "50")),
        ("a.ts", ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "250")),  # begins too late
        ("a.flv", ("-c:v", "flv")),
        ("a.wmv", ("-c:v", "wmv2")),
        ("a.ogv", ("-c:v", "libtheora")),
        ("a.3gp", ("-c:v", "mpeg4", "-an")),
    ],
)
def test_times_are_right_in_every_container(tmp_path, name, words):
    ffmpeg(*greys(18), *tone(18), "-shortest", *words, tmp_path / name)
    later = clip(name, source_start_s=13.0, excerpt_s=13.0, duration_s=4.0)
    assert seconds(serve(tmp_path, later)) == [13, 14, 15, 16]


@pytest.mark.parametrize("number", [1, 15, 64])
@pytest.mark.parametrize("start_s", [0.0, 1.26, 2.5])
def test_the_picture_is_right_to_the_frame(tmp_path, number, start_s):
    source = "color=black:s=64x36:r=10:d=4,format=yuv420p,geq=lum='16+5*N':cb=128:cr=128"
    ffmpeg("-f", "lavfi", "-i", source, *H264, "-g", 17, "-bf", 2, tmp_path / "a.mp4")
    result = serve(tmp_path, clip("a.mp4", source_start_s=start_s, duration_s=1.5), stage=Frames(number, 336))
    asked = [start_s + row["time_s"] for row in result.rows]
    assert seconds(result) == [int(10 * (time_s + 0.001)) for time_s in asked], "to a millisecond"


def test_pictures_far_apart_are_those_that_are_taken_together(films, monkeypatch):
    row, stage = clip("whole.mp4", duration_s=30.0), Frames(3, 336)
    together = serve(films, row, stage=stage)
    monkeypatch.setattr(module, "_FAR_S", 5.0)
    assert serve(films, row, stage=stage) == together
    assert seconds(together) == [5, 15, 25]


def test_equal_films_give_equal_bytes(tmp_path):
    ffmpeg(*greys(10, "320x180"), *H264, "-vf", "noise=alls=30:allf=t", tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes((tmp_path / "a.mp4").read_bytes())
    assert serve(tmp_path, clip("a.mp4")) == serve(tmp_path, clip("b.mp4"))


def test_damage_right_after_a_clip_is_of_no_account(tmp_path):
    ffmpeg(*greys(10, "320x180"), *H264, "-vf", "noise=alls=30:allf=t", tmp_path / "a.mp4")
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(damaged(data, 0.37, 0.5))
    row, stage = {"duration_s": 4.0}, Frames(4, 336)
    intact, hurt = (serve(tmp_path, clip(name, **row), stage=stage) for name in ("a.mp4", "b.mp4"))
    command = pictures_module._command([0.5, 1.5, 2.5, 3.5], 0.0, 0.0, 336)
    log = pictures_module._run(command, tmp_path / "b.mp4", 30.0)[1]
    assert len(pictures_module._FAULT.findall(log)) > 1, "ffmpeg goes far enough to meet with it"
    assert hurt == intact


def make(root: Path, name: str, *words: object) -> dict[str, Any]:
    ffmpeg(*words, root / name)
    return clip(name, duration_s=1.0)


@pytest.mark.parametrize(
    ("size", "words", "height", "expected"),
    [
        ("64x36", (), 336, (64, 36)),  # never up
        ("64x36", (), 36, (64, 36)),
        ("64x36", (), 20, (36, 20)),  # 35.6, to the next even width
        ("101x57", (), 336, (101, 57)),  # odd sizes stay
        ("101x57", (), 31, (54, 31)),
        ("36x64", (), 32, (18, 32)),
        ("1000x16", (), 16, (1000, 16)),
        ("16x1000", (), 16, (2, 16)),
        ("180x144", ("-vf", "setsar=16/11"), 336, (262, 144)),  # to square pixels
        ("180x144", ("-vf", "setsar=16/11"), 72, (130, 72)),
    ],
)
def test_pictures_are_scaled_down_to_a_height_and_keep_their_shape(tmp_path, size, words, height, expected):
    row = make(tmp_path, "a.mkv", *flat("red", 1, size), "-c:v", "ffv1", "-pix_fmt", "yuv444p", *words)
    (found,) = serve(tmp_path, row, stage=Frames(1, height)).rows
    assert (found["width"], found["height"]) == expected


def test_a_film_that_is_to_be_turned_is_turned(tmp_path):
    make(tmp_path, "lying.mp4", *flat("red", 1, "64x36"), *H264)
    row = make(tmp_path, "upright.mp4", "-display_rotation", 90, "-i", tmp_path / "lying.mp4", "-c", "copy")
    (found,) = serve(tmp_path, row, stage=Frames(1, 336)).rows
    assert (found["width"], found["height"]) == (36, 64)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full", ["tv", "pc"])
def test_colours_stay_what_they_are(tmp_path, matrix, full):
    space = {"bt601": "smpte170m", "bt709": "bt709"}[matrix]
    words = ("-vf", f"scale=out_color_matrix={matrix}:out_range={full}", "-colorspace", space, "-color_range", full)
    row = make(tmp_path, "a.mp4", *flat("0xC04020", 1, "64x36"), *words, *H264)
    (blob,) = serve(tmp_path, row, stage=Frames(1, 336)).blobs
    assert np.abs(rgb(blob.members["jpg"]).mean((0, 1)) - [0xC0, 0x40, 0x20]).max() < 3


def test_a_picture_size_that_changes_within_a_film_moves_no_picture(tmp_path):
    ffmpeg(*greys(5), *H264, tmp_path / "a.ts")
    ffmpeg(*greys(5, "96x96", 5), *H264, "-output_ts_offset", 5, tmp_path / "b.ts")
    (tmp_path / "c.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    result = serve(tmp_path, clip("c.ts"))
    assert seconds(result) == [1, 3, 6, 8]
    for row, blob in zip(result.rows, result.blobs, strict=True):
        assert (row["width"], row["height"]) == jpeg_size(blob.members["jpg"]) == (64, 36)
    last = clip("c.ts", duration_s=9.98)
    assert seconds(serve(tmp_path, last, stage=Frames(1, 336))) == [4], "the last picture before the change"


def test_the_version_of_ffmpeg_is_a_revision_and_without_ffmpeg_there_are_no_pictures(monkeypatch):
    assert Frames(4, 336).revisions() == {"ffmpeg": ffmpeg_version()}
    assert ffmpeg_version() in subprocess.run([binary(), "-version"], capture_output=True, text=True).stdout

    def none() -> str:
        raise Reject("no_decoder", "none")

    monkeypatch.setattr("pipelines.ingest.ffmpeg.binary", none)
    ffmpeg_version.cache_clear()
    with pytest.raises(UserError, match="pictures need ffmpeg, and there is none here"):
        Frames(4, 336).revisions()
    ffmpeg_version.cache_clear()


@dataclass(frozen=True)
class Rows(Stage):
    """A source that gives the rows of one table."""

    rows: tuple[dict[str, Any], ...] = field(default=())

    def process(self, batch: Batch, context: Context) -> Result:
        return Result([dict(row) for row in self.rows])


class Clips(Rows):
    name: ClassVar[str] = "ingest"
    writes: ClassVar[str] = "clips"
    places: ClassVar[str] = "record_id"


class Records(Rows):
    name: ClassVar[str] = "index"
    writes: ClassVar[str] = "records"
    out_key: ClassVar[str] = "record_id"


@pytest.fixture
def run(films) -> Callable[[Path], Work]:
    """Return a function that makes a run of four clips: of two films, of one that is not one, and of none."""
    (films / "text.mp4").write_text("text")
    clips = [
        clip("cut.mp4"),
        clip("whole.mp4", clip_id="b"),
        clip("text.mp4", clip_id="c"),
        clip(None, "cut.wav", clip_id="d"),
    ]
    clips = [row | {"record_id": row["clip_id"]} for row in clips]
    records = [record(films, row) for row in clips]

    def work(out: Path) -> Work:
        stages = [Records(tuple(records)), Clips(tuple(clips)), Frames(3, 336)]
        made = Work(build_graph(stages, 0), Context(Workspace(str(out)), str(films), 0, 2))
        drive(made, InlineEngine(made.context), Progress(quiet=True))
        return made

    return work


def test_a_committed_run_holds_every_picture_where_its_row_says_and_is_the_same_twice(tmp_path, run):
    work = run(tmp_path / "a")
    run(tmp_path / "b")
    assert data_files(tmp_path / "a") == data_files(tmp_path / "b")
    folder = tmp_path / "a" / work.nodes[2].folder
    rows = [row for part in sorted(folder.glob("p0000?.parquet")) for row in pq.read_table(part).to_pylist()]
    assert sorted(row["frame_id"] for row in rows) == ["a-1-f0", "a-1-f1", "a-1-f2", "b-f0", "b-f1", "b-f2"]
    for row in rows:
        with (tmp_path / "a" / row["tar"]).open("rb") as tar:
            tar.seek(row["offset"])
            member = tar.read(row["size"])
        assert hashlib.sha256(member).hexdigest() == row["sha256"]
        assert second(member) == int(row["time_s"])
    rejected = [row for part in folder.glob("*.rejects.parquet") for row in pq.read_table(part).to_pylist()]
    dropped = [row for part in folder.glob("*.drops.parquet") for row in pq.read_table(part).to_pylist()]
    assert [(row["clip_id"], row["error"], row["source"]) for row in rejected] == [("c", "corrupt_video", "text.mp4")]
    assert [(row["clip_id"], row["reason"]) for row in dropped] == [("d", "no_video")]
