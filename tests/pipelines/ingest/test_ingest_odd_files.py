"""Real files from other software's test suites: each is decoded, or refused for its true reason."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from pipelines.ingest.decode import Decoded, decode
from schemas.errors import Reject

# What each file is was read in its suite's notes, its name or its bytes.
REFUSED = {
    "tinytag/empty_file.mp3": "empty_file",
    "tinytag/there_is_no_such_ext.bogus": "not_audio",
    "tinytag/incomplete.mp3": "not_audio",  # three random bytes
    "tinytag/id3v1-latin1.mp3": "not_audio",  # the letter U, and a tag at the end
    "tinytag/ilbm.aiff": "not_audio",  # an IFF picture
    "tinytag/mpeg4_xa9des.m4a": "not_audio",  # tags of an MP4 file, without a track
    "mediafile/image-2x3.jpg": "not_audio",
    "mediafile/image-2x3.png": "not_audio",
    "mediafile/image-2x3.tiff": "not_audio",
    "pydub/cover.png": "not_audio",
    "pydub/test1.raw": "not_audio",  # samples without a header: nothing says what they are
    "ietf-flac/LICENSE.txt": "not_audio",  # begins with "Creative", as a VOC file does
    "ietf-flac/faulty/README.txt": "not_audio",  # ffmpeg takes its name for text art, which is a film
    "pydub/test1_empty.wav": "no_samples",
    "scipy/test-44100Hz-le-1ch-4bytes-early-eof-no-data.wav": "no_samples",  # ends after its fact chunk
    "tinytag/test.aiff": "no_samples",
    "tinytag/aiff_with_image.aiff": "no_samples",
    "tinytag/id3v24-long-title.mp3": "no_samples",  # a tag that is cut off
    "tinytag/vbr_xing_header_short.mp3": "no_samples",  # one frame, which only counts the others
    "tinytag/detect_flac.x": "corrupt_audio",  # cut within its tags
    "tinytag/flac_with_image.flac": "corrupt_audio",  # cut within its picture
    "tinytag/test.m4a": "corrupt_audio",  # cut before its first packet
    "tinytag/invalid_sample_rate.aiff": "corrupt_audio",  # a rate beyond all numbers
    "tinytag/flac_application.flac": "corrupt_audio",  # cut within its first frame
    "ietf-flac/faulty/01 - wrong max blocksize.flac": "corrupt_audio",
    "ietf-flac/faulty/06 - missing streaminfo metadata block.flac": "corrupt_audio",
    "ietf-flac/faulty/08 - blocksize 65536.flac": "corrupt_audio",
    "ietf-flac/faulty/11 - incorrect metadata block length.flac": "corrupt_audio",
    "hound/fuzz/crash-24728523ef4be15c838293b676f6853e73723bf4.wav": "corrupt_audio",
    "scipy/test-8000Hz-le-3ch-5S-36bit.wav": "unsupported_audio",
    "audiomentations/digital_silence/digital_silence.wav": "digital_silence",
    "tinytag/non_ascii_filename_äää.mp3": "digital_silence",
    "python-soundfile/stereo.wav": "channels_cancel",  # the right is the left, negative
}
DECODED = {  # decoder, rate, channels, samples, note
    "audiomentations/almost_silent/almost_silent.wav": ("soundfile", 48000, 1, 29976, None),
    "audiomentations/ms_adpcm.wav": ("soundfile", 11024, 1, 895500, None),
    "audiomentations/bus.opus": ("soundfile", 48000, 1, 36682, None),
    "audiomentations/testing.m4a": ("ffmpeg", 44100, 1, 141312, None),
    "claxon/wasted_bits.flac": ("soundfile", 44100, 1, 4410, None),
    "go-audio-wav/sample.avi": ("ffmpeg", 22050, 1, 73499, None),
    "hound/waveformatextensible-ieeefloat-44100Hz-mono.wav": ("soundfile", 44100, 1, 4, None),
    "ietf-flac/faulty/02 - wrong maximum framesize.flac": ("soundfile", 44100, 1, 195891, None),
    "ietf-flac/faulty/04 - wrong number of channels.flac": ("ffmpeg", 24000, 1, 97391, None),
    "ietf-flac/faulty/05 - wrong total number of samples.flac": (
        "soundfile",
        24000,
        1,
        109487,
        "header_claims_less",
    ),
    "ietf-flac/faulty/09 - blocksize 1.flac": ("soundfile", 24000, 1, 41519, None),
    "ietf-flac/uncommon/05 - 32bps audio.flac": ("ffmpeg", 44100, 2, 515577, None),
    "ietf-flac/uncommon/10 - file starting at frame header.flac": ("ffmpeg", 44100, 1, 664669, None),
    "mediafile/empty.alac.m4a": ("ffmpeg", 44100, 1, 44100, None),
    "mediafile/full.ape": ("ffmpeg", 44100, 1, 44100, None),
    "mediafile/full.dsf": ("ffmpeg", 705600, 2, 56448, None),
    "mediafile/mpeglayer3.wav": ("soundfile", 44100, 1, 222336, None),
    "mediafile/emptylist.mp3": ("soundfile", 44100, 2, 48431, "header_claims_more"),
    "pydub/creative_common.mp4": ("ffmpeg", 48000, 2, 108541, None),
    "pydub/test5.webm": ("ffmpeg", 48000, 2, 71040, None),
    "pydub/wrong_extension.aac": ("ffmpeg", 44100, 1, 425984, None),  # an MP4 file
    "pydub/bach.ogg": ("ffmpeg", 44100, 1, 133632, None),  # FLAC in Ogg
    "scipy/test-44100Hz-le-1ch-4bytes-early-eof.wav": ("soundfile", 44100, 1, 236, "header_claims_more"),
    "scipy/test-44100Hz-be-1ch-4bytes.wav": ("soundfile", 44100, 1, 4410, None),
    "scipy/test-44100Hz-le-1ch-4bytes-rf64.wav": ("soundfile", 44100, 1, 4410, None),
    "scipy/test-8000Hz-le-5ch-9S-5bit.wav": ("soundfile", 8000, 5, 9, None),
    "tinytag/detect_ogg_opus.x": ("soundfile", 48000, 2, 47688, None),
    "tinytag/vbr_xing_header_2channel.mp3": ("soundfile", 22050, 2, 2351, "header_claims_more"),
    "tinytag/variable-block.flac": ("ffmpeg", 44100, 2, 39936, "decode_error_midway"),  # cut off
    "tinytag/flac453sStereo.flac": ("soundfile", 44100, 2, 20_000_000, None),  # 84 kB that are 453 s
    "tinytag/test.spx": ("ffmpeg", 16000, 1, 34560, None),
    "xiph-flac/flac-to-flac-metadata-test-files/🤔.flac": ("soundfile", 8298, 1, 8298, None),
}
CODES = {
    "empty_file",
    "not_audio",
    "no_samples",
    "corrupt_audio",
    "unsupported_audio",
    "digital_silence",
    "channels_cancel",
}


def outcome(path: Path) -> Decoded | Reject:
    try:
        return decode(path)
    except Reject as reject:
        return reject


@pytest.mark.parametrize("folder", ["audio_odd", "audio_plain"])
def test_every_file_is_decoded_or_refused_in_time(shared, folder):
    paths = sorted(path for path in (shared / folder).rglob("*") if path.is_file())
    assert len(paths) > 100
    for path in paths:
        began = time.perf_counter()
        found = outcome(path)
        assert time.perf_counter() - began < 10, path.name
        if isinstance(found, Reject):
            assert found.error in CODES, path.name
            assert str(shared) not in found.message
            assert "0x" not in found.message.replace("offset 0x", ""), "an address in memory differs from run to run"
        else:
            assert np.isfinite(found.samples).all(), path.name
            assert found.decoded_s == pytest.approx(len(found.samples) / found.rate)


def test_ordinary_recordings_are_all_decoded_but_for_the_silent_ones(shared):
    sounds = [p for p in (shared / "audio_plain").rglob("*") if p.suffix in (".wav", ".flac", ".ogg")]
    refused = {path.stem: found.error for path in sounds if isinstance(found := outcome(path), Reject)}
    assert len(sounds) == 143
    assert set(refused.values()) == {"digital_silence"}
    silent = {"silence", "missing-value", "dummy"}
    assert {name for name in refused if not name.startswith("input-")} == silent


@pytest.mark.parametrize("name", REFUSED)
def test_an_instructive_file_is_refused_for_its_true_reason(shared, name):
    found = outcome(shared / "audio_odd" / name)
    assert isinstance(found, Reject)
    assert found.error == REFUSED[name], found.message


@pytest.mark.parametrize("name", DECODED)
def test_an_instructive_file_is_decoded_to_its_true_length(shared, name):
    found = outcome(shared / "audio_odd" / name)
    assert isinstance(found, Decoded), found
    assert (found.decoder, found.rate, found.channels, len(found.samples), found.note) == DECODED[name]


def test_no_more_is_decoded_of_a_long_file_than_is_asked(shared):
    long = shared / "audio_odd/tinytag/flac453sStereo.flac"
    began = time.perf_counter()
    part = decode(long, 400.0, 10.0)
    assert time.perf_counter() - began < 0.5
    assert (len(part.samples), part.start_s, part.decoded_s) == (441_000, 400.0, 410.0)
