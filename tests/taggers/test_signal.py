"""The rules hear the textbook signals, also in a background, and abstain from real sounds of other kinds."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy.signal import chirp

from taggers import Finding, Listener, Waveform, create
from taggers.signal import RULES

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ESC50 = DATA / "esc50"
RATE = 44100  # that of ESC-50, whose rain and wind serve as backgrounds

needs_esc50 = pytest.mark.skipif(not ESC50.exists(), reason="ESC-50 is not here")
listener = create("signal", Listener)

Array = NDArray[np.float64]


def times(seconds: float) -> Array:
    return np.arange(round(seconds * RATE)) / RATE


def tones(hz: tuple[float, ...], seconds: float) -> Array:
    waves = [np.sin(2 * np.pi * f * times(seconds) + i) for i, f in enumerate(hz)]
    return 0.3 * np.mean(waves, axis=0)


def white(seconds: float, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))


def pink(seconds: float, seed: int = 0) -> Array:
    spectrum = np.fft.rfft(white(seconds, seed))
    hz = np.fft.rfftfreq(round(seconds * RATE), 1 / RATE)
    x = np.fft.irfft(spectrum / np.sqrt(np.maximum(hz, 10.0)), round(seconds * RATE))
    return 0.1 * x / x.std()


def glide(seconds: float, start: float, end: float, method: str) -> Array:
    return 0.5 * chirp(times(seconds), start, seconds, end, method=method)


def hum(seconds: float, mains: float, partials: tuple[float, ...] = (1, 0.5, 0.7, 0.3, 0.4, 0.1)) -> Array:
    phase = 2 * np.pi * mains * times(seconds)
    return 0.1 * np.sum([a * np.sin(k * phase + k) for k, a in enumerate(partials, start=1)], axis=0)


def busy(seconds: float, on: float, phase: float = 0.0) -> Array:
    return tones((480, 620), seconds) * ((times(seconds) + phase) % (2 * on) < on)


def dial(keys: str, on: float) -> Array:
    rows, columns, layout = (697, 770, 852, 941), (1209, 1336, 1477, 1633), "123A456B789C*0#D"
    parts = [np.zeros(RATE // 4)]
    for key in keys:
        row, column = divmod(layout.index(key), 4)
        parts += [tones((rows[row], columns[column]), on), np.zeros(round(on * RATE))]
    return np.concatenate([*parts, np.zeros(RATE // 4)])


def ticks(seconds: float, period: float) -> Array:
    x = np.zeros(round(seconds * RATE))
    click = white(0.01, 3) * np.exp(-np.arange(441) / 80)
    for start in np.arange(0.1, seconds - 0.1, period):
        x[round(start * RATE) :][:441] += 3 * click
    return x


SIGNALS: list[tuple[str, Array]] = [
    *(("Sine wave", tones((hz,), s)) for hz in (40, 100, 440, 997, 3000, 12000) for s in (1.5, 4.0)),
    *(("White noise", white(s, seed)) for s in (1.5, 4.0) for seed in (1, 2)),
    *(("Pink noise", pink(s, seed)) for s in (1.5, 4.0) for seed in (1, 2)),
    *(
        ("Chirp tone", glide(s, a, b, method))
        for a, b in ((100, 1000), (1000, 100), (200, 8000), (20, 15000), (440, 880))
        for method in ("linear", "logarithmic")
        for s in (1.0, 5.0)
    ),
    *(("Mains hum", hum(5.0, hz)) for hz in (49.9, 50, 50.1, 59.9, 60, 60.1)),
    ("Mains hum", hum(5.0, 50, (0, 1, 0, 0.5, 0, 0.4, 0, 0.3))),
    *(("Dial tone", tones((350, 440), s)) for s in (1.0, 4.0)),
    *(("Busy signal", busy(4.0, on, phase)) for on in (0.5, 0.25) for phase in (0.0, 0.11, 0.37)),
    *(("Telephone dialing, DTMF", dial(k, s)) for k in ("5551234", "0689*#ABCD") for s in (0.06, 0.1, 0.2)),
]


def hear(x: Array, rate: int = RATE) -> list[Finding]:
    return listener.listen([Waveform(np.clip(x, -1, 1).astype(np.float32), rate)])[0]


def tags(x: Array, rate: int = RATE) -> set[str]:
    return {finding.name for finding in hear(x, rate) if finding.kind == "tag"}


def events(x: Array, rate: int = RATE) -> list[tuple[float, float, str | None]]:
    found = [finding for finding in hear(x, rate) if finding.kind == "event"]
    return [(event.onset_s or 0.0, event.offset_s or 0.0, event.text) for event in found]


def esc50(name: str) -> Array:
    return soundfile.read(ESC50 / "audio" / name)[0]


@pytest.mark.parametrize(
    "background",
    [
        pytest.param(lambda: np.zeros(RATE), id="clean"),
        pytest.param(lambda: white(5.0, 9), id="white"),
        pytest.param(lambda: pink(5.0, 9), id="pink"),
        pytest.param(lambda: esc50("4-160999-A-10.flac"), id="rain", marks=needs_esc50),
        pytest.param(lambda: esc50("4-144083-A-16.flac"), id="wind", marks=needs_esc50),
    ],
)
def test_every_textbook_signal_is_heard_and_no_other_class(background: Callable[[], Array]) -> None:
    behind = background()
    missed, wrong = [], []
    for number, (name, x) in enumerate(SIGNALS):
        noise = np.resize(behind, len(x))
        power = np.mean(np.square(noise))
        at_20_db = noise * np.sqrt(np.mean(np.square(x)) / power / 100) if power else noise
        heard = tags(x + at_20_db)
        if name not in heard:
            missed.append((number, name))
        if heard - {name}:
            wrong.append((number, name, heard))
    assert len(SIGNALS) == 61
    assert (missed, wrong) == ([], [])


def test_silence_is_the_whole_clip_and_nothing_else_is() -> None:
    assert tags(np.zeros(RATE)) == {"Silence"}
    assert tags(white(1.0) * 0.005) == {"Silence"}  # -66 dBFS
    assert tags(np.zeros(1)) == {"Silence"}
    click = np.zeros(RATE)
    click[-1] = 0.5  # after the last whole frame
    assert tags(click) == set()
    assert [finding.confidence for finding in hear(np.zeros(RATE))] == [1.0, 1.0]


def test_what_only_resembles_a_class_is_not_claimed() -> None:
    seconds = times(4.0)
    drum_hz = 30 + 60 * np.exp(-5 * seconds)
    resembling = {
        "vibrato": 0.5 * np.sin(2 * np.pi * 440 * seconds + 6 * np.sin(2 * np.pi * 5 * seconds)),
        "a decaying tone": tones((440,), 4.0) * np.exp(-seconds),
        "a tone with harmonics": tones((220, 440, 660), 4.0),
        "a short beep": np.concatenate([np.zeros(RATE), tones((1000,), 0.3), np.zeros(RATE)]),
        "a major third": tones((440, 554.4), 4.0),
        "brown noise": np.cumsum(white(4.0)) / 300,
        "noise in bursts": white(4.0) * (0.3 + (seconds % 0.5 < 0.2)),
        "a low buzz off the mains": hum(4.0, 55),
        "dial tone of other pitches": tones((400, 450), 4.0),
        "busy pair without a cadence": tones((480, 620), 4.0),
        "busy pair in another cadence": tones((480, 620), 4.0) * (seconds % 2.0 < 0.8),
        "regular clicks": ticks(4.0, 0.5),
        "irregular clicks": sum(np.roll(ticks(4.0, 9.0), int(s * RATE)) for s in (0, 0.3, 0.7, 1.9, 2.2)),
        "a hum of 61 Hz": hum(10.0, 61),
        "a bass drum": np.sin(2 * np.pi * np.cumsum(drum_hz) / RATE) * np.exp(-seconds),
    }
    assert {name: heard for name, x in resembling.items() if (heard := tags(np.asarray(x)))} == {}


def test_an_event_lies_where_the_signal_was_put() -> None:
    x = np.zeros(6 * RATE)
    x[2 * RATE : 4 * RATE] = tones((1000,), 2.0)
    ((onset, offset, _),) = events(x)
    assert (onset, offset) == pytest.approx((2.0, 4.0), abs=0.05)
    x = np.concatenate([white(2.0) * 0.001, glide(1.0, 300, 3000, "linear"), white(2.0) * 0.001])
    ((onset, offset, _),) = events(x)
    assert (onset, offset) == pytest.approx((2.0, 3.0), abs=0.15)


def test_dialled_keys_are_read_in_order_at_their_times() -> None:
    heard = events(dial("159D*0#", 0.1))
    assert "".join(text or "?" for _, _, text in heard) == "159D*0#"
    for i, (onset, offset, _) in enumerate(heard):
        assert (onset, offset) == pytest.approx((0.25 + 0.2 * i, 0.35 + 0.2 * i), abs=0.05)


def test_a_worse_signal_never_scores_more() -> None:
    scores = []
    for snr_db in (60, 30, 24, 20, 17):
        (tag, *_) = hear(tones((440,), 3.0) + white(3.0) * 0.3 / np.sqrt(2) / 0.1 / 10 ** (snr_db / 20))
        scores.append(tag.confidence or 0.0)
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.99
    assert 0.5 <= scores[-1] < 0.8
    assert tags(tones((440,), 3.0) + white(3.0)) == set()


@needs_esc50
def test_real_sounds_give_no_false_alarm() -> None:
    with (ESC50 / "meta" / "esc50.csv").open() as table:
        category = {Path(row["filename"]).stem: row["category"] for row in csv.DictReader(table)}
    files = sorted((ESC50 / "audio").glob("*.flac"))
    heard: Counter[tuple[str, str]] = Counter()
    for file in files:
        heard.update((category[file.stem], name) for name in tags(*soundfile.read(file)))
    assert len(files) == 200
    assert heard == {}


@pytest.mark.skipif(not DATA.exists(), reason="the real recordings are not here")
def test_real_recordings_of_the_classes_are_recognised() -> None:
    plain, odd = DATA / "audio_plain" / "pdx_cs_sound", DATA / "audio_odd"
    assert tags(*soundfile.read(plain / "noise.wav")) == {"White noise"}
    assert tags(*soundfile.read(plain / "sine.wav")) == {"Sine wave"}
    assert tags(*soundfile.read(plain / "overdrive.wav")) == set()  # the same sine with its harmonics
    silent = odd / "audiomentations" / "digital_silence" / "digital_silence.wav"
    assert tags(*soundfile.read(silent)) == {"Silence"}
    (phone,) = (odd / "xiph-flac" / "flac-to-flac-metadata-test-files").glob("שלום.flac")
    x, rate = soundfile.read(phone)
    assert tags(x, rate) == {"Telephone dialing, DTMF"}
    assert "".join(text or "?" for _, _, text in events(x, rate)) == "28322489"


@pytest.mark.skipif(not (DATA / "audioset").exists(), reason="the AudioSet ontology is not here")
def test_every_class_is_a_node_of_the_ontology_by_its_own_name() -> None:
    nodes = {node["id"]: node for node in json.loads((DATA / "audioset" / "ontology.json").read_text())}
    for name, (class_id, _) in RULES.items():
        assert nodes[class_id]["name"] == name
        assert not {"abstract", "blacklist"} & set(nodes[class_id]["restrictions"])


def test_each_class_is_one_tag_followed_by_its_events() -> None:
    found = hear(dial("159", 0.1))
    assert [finding.kind for finding in found] == ["tag", "event", "event", "event"]
    assert {(each.name, each.class_id) for each in found} == {("Telephone dialing, DTMF", "/m/02c8p")}
    assert found[0].confidence == max(event.confidence or 0.0 for event in found[1:])


def test_a_batch_is_heard_as_its_waveforms_are_alone() -> None:
    sounds = [tones((440,), 2.0), white(2.0), np.zeros(10), hum(3.0, 50)]
    batch = [Waveform(x.astype(np.float32), RATE) for x in sounds]
    assert listener.listen(batch) == [listener.listen([waveform])[0] for waveform in batch]
    assert listener.listen([]) == []


@pytest.mark.parametrize("rate", [1, 4000, 8000, 16000, 48000, 192000])
def test_any_length_and_rate_is_heard_without_a_warning(rate: int) -> None:
    rng = np.random.default_rng(rate)
    for count in (1, 2, 3, 100, rate // 3 + 1, 2 * rate, 4 * rate + 7):
        steps = np.arange(count)
        square = np.sign(np.sin(0.1 * steps) + 1e-9)
        for x in (np.zeros(count), np.full(count, 0.4), rng.uniform(-1, 1, count), square):
            with np.errstate(all="raise", under="ignore"):
                for finding in hear(x, rate):
                    assert 0.5 <= (finding.confidence or 0.0) <= 1.0
                    assert (finding.offset_s or 0.0) <= count / rate + 1e-3
