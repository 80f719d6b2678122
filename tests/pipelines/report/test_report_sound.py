"""Pictures, charts and the sharing out of room: known answers and properties."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from dataset_folders import heard as heard_of
from dataset_folders import members, mixture
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.tar import Packer
from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac
from pipelines.report import page
from pipelines.report.charts import Bin, histogram, nice_step, number, scatter, short
from pipelines.report.examples import lanes
from pipelines.report.image import BANDS, COLUMNS, LEVELS, mel_power, palette, png, spectrogram_png
from pipelines.report.sound import Sound, _residual, heard, level, loudest, mixture_sounds
from schemas.errors import RunStopped


def sound(samples: np.ndarray, rate: int = 16000) -> Sound:
    return Sound("x", samples, rate, encode_flac(samples, rate), len(samples) / rate)


def decoded_png(data: bytes) -> np.ndarray:
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, body, width, height = 8, b"", 0, 0
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, chunk = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + chunk),)
        if kind == b"IHDR":
            width, height = struct.unpack(">II", chunk[:8])
        body += chunk if kind == b"IDAT" else b""
        at += size + 12
    return np.frombuffer(zlib.decompress(body), dtype=np.uint8).reshape(height, width + 1)[:, 1:]


def test_a_png_holds_the_very_pixels():
    pixels = np.random.default_rng(0).integers(0, LEVELS, (7, 5), dtype=np.uint8)
    assert np.array_equal(decoded_png(png(pixels, palette())), pixels)


@pytest.mark.parametrize("rate", [4000, 16000, 32000, 192000])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_a_tone_is_brightest_in_the_band_of_its_frequency(rate, share):
    hertz = share * rate / 2
    samples = np.rint(20000 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)).astype(np.int16)
    power = mel_power(samples, rate)
    assert power.shape == (BANDS, COLUMNS)
    mel = 2595 * np.log10(1 + hertz / 700) / (2595 * np.log10(1 + rate / 2 / 700))
    assert abs(int(power.mean(axis=1).argmax()) - (mel * (BANDS + 1) - 1)) <= 1


def test_a_click_is_bright_where_it_is_in_time_and_low_bands_are_at_the_bottom():
    samples = np.zeros(32000, dtype=np.int16)
    samples[24000] = 32000
    power = mel_power(samples, 16000)
    assert abs(int(power.sum(axis=0).argmax()) / COLUMNS - 0.75) < 0.05
    low = mel_power(np.rint(9000 * np.sin(np.arange(16000) * 0.05)).astype(np.int16), 16000)
    picture = decoded_png(spectrogram_png(low, float(low.max())))
    assert picture[BANDS // 2 :].mean() > picture[: BANDS // 2].mean()


@pytest.mark.parametrize("length", [1, 2, 100, 1600])
def test_silence_and_the_shortest_sounds_have_a_picture(length):
    power = mel_power(np.zeros(length, dtype=np.int16), 16000)
    assert not decoded_png(spectrogram_png(power, float(power.max()))).any()


@given(st.lists(st.integers(1, 10**6), max_size=40), st.integers(0, 10**7))
def test_room_is_shared_so_that_small_ones_stay_whole_and_none_is_wasted(sizes, budget):
    cap = level(sizes, budget)
    used = sum(min(size, cap) for size in sizes)
    assert used <= budget
    assert used == sum(sizes) or used > budget - len(sizes)


def test_what_does_not_fit_is_cut_around_its_loudest_part_and_alike_in_all_sounds():
    rng = np.random.default_rng(1)
    target = np.zeros(64000, dtype=np.int16)
    target[40000:44000] = rng.integers(-20000, 20000, 4000)
    rest = rng.integers(-8000, 8000, 64000, dtype=np.int16)
    sounds = [sound(target + rest), sound(target), sound(rest)]
    flacs, first, length = heard(sounds, sounds[1], 30_000)
    assert max(map(len, flacs)) <= 30_000
    assert first <= 40000 < 44000 <= first + length
    cut = [soundfile.read(io.BytesIO(flac), dtype="int16")[0] for flac in flacs]
    for part, whole in zip(cut, sounds, strict=True):
        assert np.array_equal(part, whole.samples[first : first + length])
    assert np.array_equal(cut[0], cut[1] + cut[2])


def test_what_fits_is_given_as_it_is_stored():
    clip = sound(np.arange(1000, dtype=np.int16))
    assert heard([clip], clip, len(clip.flac)) == ([clip.flac], 0, 1000)


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=60), st.data())
def test_the_loudest_part_has_the_most_energy_of_all_parts(values, data):
    samples = np.array(values, dtype=np.int16)
    length = data.draw(st.integers(1, len(values)))
    energies = [int((samples[i : i + length].astype(np.int64) ** 2).sum()) for i in range(len(values) - length + 1)]
    assert loudest(samples, length) == int(np.argmax(energies))


def test_a_residual_beyond_16_bits_is_halved_and_says_so():
    mixture, target = (
        sound(np.array([-20000, 10, 7], dtype=np.int16)),
        sound(np.array([30000, 4, 7], dtype=np.int16)),
    )
    residual = _residual(mixture, target)
    assert residual.quieter
    assert residual.samples.tolist() == [-25000, 3, 0]
    plain = _residual(target, sound(np.array([0, 10, 7], dtype=np.int16)))
    assert not plain.quieter
    assert plain.samples.tolist() == [30000, -6, 0]


def test_lanes_keep_to_the_picture_and_list_what_they_cannot_show():
    def event(name: str, onset: float, offset: float | None, supports: bool = False) -> dict:
        return {"listener": "a", "name": name, "onset_s": onset, "offset_s": offset, "supports": supports}

    events = [
        event("x", 1.0, 9.0),
        event("x", 2.0, None, True),
        event("late", 4.0, 5.0),
        *(event(f"n{i}", 0, 1) for i in range(9)),
    ]
    drawn, unseen = lanes(events, 4.0)
    assert [lane["name"] for lane in drawn] == ["x", "n0", "n1", "n2", "n3", "n4"]
    assert drawn[0]["supports"]
    assert [(span["left"], span["width"]) for span in drawn[0]["spans"]] == [(25.0, 75.0), (50.0, 0.0)]
    assert [item["name"] for item in unseen] == ["late", "n5", "n6", "n7", "n8"]


@given(st.floats(1e-6, 1e9), st.integers(1, 20))
def test_a_nice_step_is_1_2_or_5_and_the_least_that_will_do(span, pieces):
    step = nice_step(span, pieces)
    assert round(step / 10 ** np.floor(np.log10(step) + 1e-9), 6) in (1, 2, 5)
    assert span / step <= pieces * (1 + 1e-6)
    assert span / (step / 2.5) > pieces * (1 - 1e-6)


def test_numbers_are_short():
    assert [number(x) for x in (0.1 + 0.2, -15.0, 12.0, -0.0)] == ["0.3", "−15", "12", "0"]
    assert [short(n) for n in (0, 999, 1000, 1250, 34_900, 2_100_000)] == [
        "0",
        "999",
        "1k",
        "1.2k",
        "34k",
        "2.1M",
    ]


def test_bars_are_as_high_as_their_counts_and_words_in_charts_are_escaped():
    chart = histogram(
        "<b>",
        "s",
        [Bin(0, 1, (("accepted", 10), ("refused", 10))), Bin(1, 2, (("accepted", 5), ("refused", 0)))],
    )
    tall = [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', chart)]
    assert tall[0] == tall[1] == pytest.approx(2 * tall[2], abs=0.1)
    assert "<b>" not in chart
    assert "25 values; most, 20, lie from 0 to 1 s" in chart


def test_a_single_point_can_be_drawn():
    assert scatter("t", "dB", [(3.0, 3.0)]).count("<circle") == 1


def contrast(first: str, second: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_words_stand_out_from_their_ground_in_light_and_in_dark():
    css = (Path(page.__file__).parent / "page.css").read_text(encoding="utf-8")
    schemes = [
        dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]
    assert len(schemes) == 2
    for scheme in schemes:
        for ink in ("ink", "soft", "accent", "accepted", "refused", "abstained"):
            for ground in ("paper", "card"):
                # WCAG 2.2, success criterion 1.4.3, level AA.
                assert contrast(scheme[ink], scheme[ground]) >= 4.5, (ink, ground)


def stored(tmp_path, form: str) -> tuple[Workspace, dict]:
    """Return a run with one sample of a shard, and its row."""
    workspace, row = Workspace(str(tmp_path)), mixture(3, licence="cc0", snr_db=3.0)
    with Packer(workspace, "shards", 0, 10, 10**9) as shards:
        place = shards.add("train", row["mixture_id"], members(row, form))
    return workspace, row | {"tar": place.tar, "offset": place.offset, "size": place.size}


@pytest.mark.parametrize("form", ["stored", "wav", "recipe", "residual", "stems"])
def test_a_mixture_is_heard_whatever_its_shard_holds(tmp_path, form):
    found = mixture_sounds(*stored(tmp_path, form))
    target, other = heard_of(3)
    for sound, wanted in zip(found, (target + other, target, other), strict=True):
        np.testing.assert_array_equal(sound.samples, wanted)


@pytest.mark.parametrize("form", ["stored", "recipe"])
def test_a_sample_that_was_altered_is_told_in_one_line(tmp_path, form):
    workspace, row = stored(tmp_path, form)
    path = tmp_path / row["tar"]
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(RunStopped, match=r"train-00000-000.tar: was altered; `earloom verify` says more"):
        mixture_sounds(workspace, row)
