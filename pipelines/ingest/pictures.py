"""Pictures of a film at given times, as JPEGs, with ffmpeg."""

from __future__ import annotations

import math
import re
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.ingest.decode import TIMEOUT_S
from pipelines.ingest.ffmpeg import Ffmpeg, claimed_s, command_line, first_error, while_decoding
from schemas.errors import Reject

_FILMS = "asf,avi,flv,matroska,mov,mpeg,mpegts,ogg"
"""What ffmpeg may take a film for: no playlist of other files, and no text."""
_MOST_SIDE, _MOST_PIXELS = 16_384, 1 << 26
"""Most pixels of a side and of a picture. ffmpeg decodes no picture of more: a decoder holds up to some twenty of them."""
_SEEKS_S = (0.5, 15.0, math.inf)
"""How long before the first time decoding begins. Of a container without an index, or at an open group of
pictures, ffmpeg begins too late; then it is asked to begin earlier, at last with the film itself."""
_AFTER_S = 0.5
"""How long after the last time decoding ends."""
_ROUNDING_S = 0.001
"""A picture that begins no later than this after a time is shown at it: containers round what they say of times."""
_QUALITY = 3
"""ffmpeg's scale for JPEG: 1 is best, 31 is worst."""
_PART = re.compile(rb"Content-length: (\d+)\r\n\r\n")
"""What stands before each JPEG of a MIME message: its size in bytes."""
_TICK = re.compile(r"showinfo\S* @ 0x[0-9a-f]+\] \[info\] n: *\d+ pts: *(-?\d+)")
"""The number of a picture that `fps` gave, as `showinfo` logs it."""
_SIZE = re.compile(r"^\[info\]   Stream #0:\S+ Video: .*?, (\d+)x(\d+)\b", re.MULTILINE)
"""Width and height that the film claims."""
_NO_STREAM = re.compile(r"\[(?:error|fatal)\] .*matches no streams")
_FAULT = re.compile(r"corrupt decoded frame|Error submitting packet to decoder")
"""What the log says of a picture that cannot be decoded."""


class NoPictures(Exception):
    """A film has no stream of pictures; a cover is none."""


def pictures(
    path: Path, times: Sequence[float], start_s: float, height: int, timeout_s: float = TIMEOUT_S
) -> list[bytes]:
    """Return the picture that a film shows at each of ``times``, as JPEGs; equal films give equal bytes.

    A picture is shown until the next one. Where the film has begun but its pictures have not, the first one is taken;
    where they have ended after ``start_s``, the last one. Pictures are scaled down to ``height``, never up, to square
    pixels and upright; a scaled width is even.

    Args:
        path: the film; its content decides what it is, not its name.
        times: seconds of the film, in order and evenly spaced.
        start_s: where the clip begins, in seconds of the film: pictures that end before it are not of the clip.
        height: most pixels from top to bottom.
        timeout_s: seconds that ffmpeg may be silent.

    Raises:
        NoPictures: no stream in it is pictures.
        Reject: ``corrupt_video`` (ffmpeg does not recognise it, or more than one picture near ``times`` cannot be
            decoded); ``missing_pictures`` (it shows nothing at ``times``); ``absurd_picture_size`` (over 16,384
            pixels a side or 2^26 in all); ``decode_timeout``; ``no_decoder`` (there is no ffmpeg).
    """
    for seek_s in (max(times[0] - before_s, 0.0) for before_s in _SEEKS_S):
        found, first, log = _take(_command(times, start_s, seek_s, height), path, timeout_s)
        if seek_s == 0 or (first is not None and first <= 0):
            break
    if _FAULT.search(log):
        # ffmpeg was stopped once it had gone far enough. How much further it went by then, and what it met with there, is
        # chance; this time it is not.
        found, first, log = _take(_command(times, start_s, seek_s, height, exact=True), path, timeout_s)
    # At times before the first picture of the film that one is taken.
    found = found[:1] * (first or 0) + found
    faults = len(_FAULT.findall(log))
    # One fault is the end of a truncated film. After more of them, what is shown is old, or grey, or smeared.
    if faults > 1 or (faults and len(found) < len(times)):
        words = f"not all of its pictures up to {times[-1]:g} s can be decoded"
        raise Reject("corrupt_video", f"{words} (ffmpeg: {first_error(log)})")
    if len(found) < len(times):
        raise Reject("missing_pictures", f"between {start_s:g} s and {times[-1]:g} s it gives no picture")
    return found


def _take(command: list[str], path: Path, timeout_s: float) -> tuple[list[bytes], int | None, str]:
    """Return the pictures, the number of the first that was seen (None: none was), and what was logged in decoding."""
    output, log = _run(command, path, timeout_s)
    _judge(log)
    first = _TICK.search(log)
    found = [output[part.end() : part.end() + int(part[1])] for part in _PART.finditer(output)]
    return found, int(first[1]) if first else None, while_decoding(log)


def _judge(log: str) -> None:
    """Raise what a log says against the film as a whole; see :func:`pictures`."""
    if _NO_STREAM.search(log):
        raise NoPictures
    size = _SIZE.search(log)
    width, height = (int(size[1]), int(size[2])) if size else (0, 0)
    if "max pixel count" in log or max(width, height) > _MOST_SIDE:
        words = f"{width} x {height} pixels" if size else f"more than {_MOST_PIXELS} pixels"
        raise Reject("absurd_picture_size", f"it claims pictures of {words}")
    if not while_decoding(log):
        raise Reject("corrupt_video", f"no picture can be decoded (ffmpeg: {first_error(log)})")


def _command(times: Sequence[float], start_s: float, seek_s: float, height: int, exact: bool = False) -> list[str]:
    """Return a command that writes the pictures as one MIME message and logs the number of the first, from 0.

    ``exact``: it reads the film to its end, and of that decodes what the pictures need, to the packet.
    """
    import ffmpeg

    last_s, step_s = times[-1], times[1] - times[0] if len(times) > 1 else 1.0
    seek = {"ss": f"{seek_s:.6f}"} if seek_s else {}
    prefix, until = f"noise=amount=0:drop=gt(dts*tb\\,{last_s - seek_s:.6f})", f"{last_s - seek_s + _AFTER_S:.6f}"
    end = {"bsf:v": prefix} if exact else {"t": until}
    film = ffmpeg.input("file:/dev/stdin", **seek, **end, **_input_options())["V:0"]
    # From here on time counts from times[0]. Rounding up lets `fps` take the last picture at or before a time.
    even = (
        film.filter("tpad", stop_mode="clone", stop_duration=f"{last_s - start_s:.6f}")
        .filter("settb", "AVTB")
        .filter("setpts", f"PTS-{times[0] - seek_s + _ROUNDING_S:.6f}/TB")
        .filter("trim", end=f"{last_s - times[0] + 2 * _AFTER_S:.6f}")
        .filter("fps", fps=f"1/{step_s:.9f}", round="up")
        .filter("showinfo", checksum=0)
        .filter("select", f"between(pts,0,{len(times) - 1})")
    )
    broad = "iw*clip(sar,1/4,4)"
    scaled = even.filter(
        "scale",
        w=f"if(gt(ih,{height}),2*max(1,round({broad}*{height}/ih/2)),max(1,round({broad})))",
        h=f"min(ih,{height})",
        flags="bicubic+accurate_rnd+full_chroma_int+bitexact",
        # JPEG knows these alone.
        out_color_matrix="bt601",
        out_range="pc",
    )
    jpegs = scaled.filter("format", "yuv420p").filter("setsar", 1)
    how = {"q:v": _QUALITY, "map_metadata": -1, "bitexact": None, "threads": 1, "fps_mode": "passthrough"}
    return _command_line(jpegs.output("pipe:1", format="mpjpeg", vcodec="mjpeg", **how))


def _input_options() -> dict[str, object]:
    """Return how the film is read; a picture of another size must not begin the filters anew (``reinit_filter``)."""
    limits = {"format_whitelist": _FILMS, "protocol_whitelist": "file", "max_pixels": _MOST_PIXELS}
    return limits | {"reinit_filter": 0, "bitexact": None, "threads": 1}


def holds_recording(path: Path, length_s: float, end_s: float) -> bool:
    """Say whether a film is more than 1 s longer than ``length_s`` and reaches to half a second before ``end_s``, in seconds.

    Its length is what its container states, or what it shows if that states none.

    Raises:
        NoPictures: as :func:`pictures`.
        Reject: as :func:`pictures`.
    """
    import ffmpeg

    probe = ffmpeg.input("file:/dev/stdin", **_input_options())["V:0"].output("pipe:1", format="null", c="copy", t=0)
    log = _run(_command_line(probe), path, TIMEOUT_S)[1]
    _judge(log)
    stated_s = claimed_s(path, log)
    if stated_s is not None:
        return stated_s > length_s + 1 and stated_s >= end_s - 0.5
    least_s = max(length_s + 1, end_s - 0.5)
    try:
        pictures(path, [least_s], least_s, 16)
    except Reject as reject:
        if reject.error == "missing_pictures":
            return False
        raise
    return True


def _command_line(output: Any) -> list[str]:
    """Return the command that makes an output; filters of one thread, as decoders, give the same bytes everywhere."""
    return command_line(output.global_args("-filter_complex_threads", "1"))


def _run(command: list[str], path: Path, timeout_s: float) -> tuple[bytes, str]:
    """Return all that ffmpeg writes and logs."""
    process = Ffmpeg(command, path, timeout_s)
    try:
        return process.read(sys.maxsize), process.log
    finally:
        process.close()


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Return a JPEG's width and height in pixels, from its frame header (ITU-T T.81, B.2.2)."""
    at = 2
    while jpeg[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    height, width = struct.unpack_from(">HH", jpeg, at + 5)
    return width, height
