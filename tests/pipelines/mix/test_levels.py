"""Mixing arithmetic: the sum is exact in integers, each rule gives what was asked, and what cannot be had is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rendering import noise

from pipelines.mix.gains import FULL_SCALE, CannotMix
from pipelines.mix.levels import Mixed, mix
from pipelines.mix.remix import place, scaled
from schemas.mixing import Level, Peak

RATE = 8000
SNR = Level()
ALL = Level(energy="all")
RANGES = {"gain": (0.5, 1.5), "lufs": (-35.0, -25.0)}


def rule(name: str, energy: str = "all") -> Level:
    return Level(rule=name, range=RANGES.get(name, (-15.0, 15.0)), energy=energy)


def two(target: np.ndarray, other: np.ndarray, snr: float, level: Level = ALL, peak: float = 0.9) -> Mixed:
    return mix([target, other], ["target", "interferer"], level, [None, None], snr, Peak(above=peak, to=peak), RATE)


def db(a: np.ndarray, b: np.ndarray) -> float:
    """Return the ratio of RMS by plain floating point, written again here."""
    return 20 * np.log10(np.linalg.norm(a.astype(float)) / np.linalg.norm(b.astype(float)))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    name=st.sampled_from(["snr", "energy_ratio", "rms_match", "peak_snr", "gain", "over_background"]),
    asked=st.lists(st.floats(-20, 20), min_size=4, max_size=4),
    levels=st.lists(st.floats(200, 12000), min_size=4, max_size=4),
    targets=st.integers(0, 2),
    interferers=st.integers(1, 3),
    peak=st.sampled_from([(0.5, 0.5), (0.9, 0.9), (1.0, 1.0), (1.0, 0.9), (4.0, 0.7)]),
    energy=st.sampled_from(["active", "all"]),
)
def test_the_stems_sum_to_the_mixture_exactly_and_never_pass_the_peak(
    seed, name, asked, levels, targets, interferers, peak, energy
):
    roles = ["target"] * targets + ["interferer"] * interferers + ["background"]
    stems = [noise(seed + i, 4000, levels[i % 4]) for i in range(len(roles))]
    above, to = peak
    level_db = [asked[i % 4] for i in range(len(roles))]
    made = mix(stems, roles, rule(name, energy), level_db, asked[0], Peak(above=above, to=to), RATE)
    own = [scaled(x, gain).astype(np.int64) for x, gain in zip(stems, made.gains, strict=True)]
    assert all(np.array_equal(a, b) for a, b in zip(own, made.stems, strict=True))
    assert np.array_equal(made.mixture.astype(np.int64), sum(own))
    target = sum((x for x, role in zip(own, roles, strict=True) if role == "target"), np.zeros(4000, np.int64))
    assert np.array_equal(made.target.astype(np.int64), target)
    assert np.array_equal(made.residual.astype(np.int64), sum(own) - target)
    highest = np.abs(made.mixture.astype(np.int64)).max()
    assert made.peak == highest / FULL_SCALE <= min(above, 1.0)
    assert made.turned_down_db >= 0
    if targets:
        assert made.input_sdr_db == pytest.approx(db(target, sum(own) - target), abs=1e-9)
    else:
        assert made.achieved_snr_db is None is made.input_sdr_db


@pytest.mark.parametrize("snr", [-15.0, -3.3, 0.0, 7.0, 15.0])
def test_the_achieved_ratio_differs_from_the_asked_one_by_rounding_only(snr):
    made = two(noise(1, 160_000, 3000), noise(2, 160_000, 500), snr)
    assert made.achieved_snr_db == pytest.approx(snr, abs=1e-3)
    assert made.achieved_db == [0.0, pytest.approx(-snr, abs=1e-3)]


def test_several_interferers_keep_their_balance_under_one_ratio():
    target, first, second = noise(1, 16_000, 900), noise(2, 16_000, 500), noise(3, 16_000, 2000)
    roles = ["target", "interferer", "interferer"]
    made = mix([target, first, second], roles, ALL, [None] * 3, 4.0, Peak(), RATE)
    assert made.gains[1] == made.gains[2]
    assert db(made.stems[0], made.stems[1] + made.stems[2]) == pytest.approx(4.0, abs=1e-2)


def test_several_targets_are_measured_as_their_sum():
    stems = [noise(seed, 16_000, level) for seed, level in ((1, 900), (2, 300), (3, 2000))]
    made = mix(stems, ["target", "target", "interferer"], ALL, [None] * 3, -2.0, Peak(), RATE)
    assert np.array_equal(made.target, stems[0] + stems[1])
    assert db(made.target, made.stems[2]) == pytest.approx(-2.0, abs=1e-2)


def test_each_interferer_has_its_own_energy_ratio():
    stems = [noise(seed, 16_000, level) for seed, level in ((1, 900), (2, 300), (3, 2000))]
    roles = ["target", "interferer", "interferer"]
    made = mix(stems, roles, rule("energy_ratio"), [None, 6.0, -12.0], None, Peak(), RATE)
    assert db(made.stems[0], made.stems[1]) == pytest.approx(6.0, abs=0.02)
    assert db(made.stems[0], made.stems[2]) == pytest.approx(-12.0, abs=0.02)
    assert made.achieved_db == [0.0, pytest.approx(6.0, abs=0.02), pytest.approx(-12.0, abs=0.02)]


def audiosep(stems: list[np.ndarray], gains_db: list[float], last_db: float) -> tuple[np.ndarray, np.ndarray]:
    """Return AudioSep's mixture and target by its published rule in floating point (full scale = 1)."""
    target, *others = (x / 32768 for x in stems)

    def matched(x: np.ndarray, gain_db: float) -> np.ndarray:
        ratio = np.clip(np.sqrt(np.mean(x**2) / np.mean(target**2)), 0.02, 50)
        return x / ratio * 10 ** (gain_db / 20)

    noise_ = matched(sum(matched(x, g) for x, g in zip(others, gains_db, strict=True)), last_db)
    mixture = target + noise_
    factor = 0.9 / np.abs(mixture).max() if np.abs(mixture).max() > 1 else 1.0
    return mixture * factor, target * factor


@pytest.mark.parametrize(
    ("levels", "gains_db", "last_db"),
    [
        ((900, 300), [7], -3),
        ((900, 300, 2000), [10, -10], 10),
        ((9000, 3000), [0], 10),  # above the peak
        ((6000, 60), [3], 2),  # the ratio of RMS is clamped
        ((100, 12000), [-10], -10),  # and so is this one
    ],
)
def test_rms_match_is_audioseps_rule_to_within_rounding(levels, gains_db, last_db):
    stems = [noise(seed, 16_000, level) for seed, level in enumerate(levels)]
    roles = ["target"] + ["interferer"] * len(gains_db)
    asked = [None, *map(float, gains_db)]
    made = mix(stems, roles, rule("rms_match"), asked, -float(last_db), Peak(above=1.0, to=0.9), RATE)
    mixture, target = audiosep(stems, gains_db, last_db)
    # One unit for rounding; where it was turned down, the room for rounding that the peak leaves is of the same order.
    assert np.abs(made.mixture / 32768 - mixture).max() < 2e-4
    assert np.abs(made.target / 32768 - target).max() < 2e-4
    assert made.turned_down_db == pytest.approx(0, abs=1e-9) or made.peak == pytest.approx(0.9, abs=3e-4)


def test_peak_snr_brings_each_source_to_full_scale_first():
    stems = [noise(seed, 16_000, level) for seed, level in ((1, 90), (2, 3000), (3, 400))]
    roles = ["target", "interferer", "interferer"]
    made = mix(stems, roles, rule("peak_snr"), [None] * 3, 0.0, Peak(), RATE)
    even = [x / np.abs(x.astype(float)).max() for x in stems]
    assert made.gains[1] / made.gains[2] == pytest.approx(
        np.abs(stems[2].astype(float)).max() / np.abs(stems[1].astype(float)).max(), rel=1e-6
    )
    assert db(made.target, made.residual) == pytest.approx(0.0, abs=1e-3)
    mixture = even[0] + (even[1] + even[2]) * np.linalg.norm(even[0]) / np.linalg.norm(even[1] + even[2])
    wanted = 0.9 * mixture / np.abs(mixture).max()
    assert np.abs(made.mixture / FULL_SCALE - wanted).max() < 4e-4


def test_a_gain_is_divided_by_the_number_of_sources():
    stems = [noise(seed, 16_000, 900) for seed in range(3)]
    drawn = [0.5, 1.5, 1.1]
    made = mix(
        stems,
        ["target", "interferer", "interferer"],
        rule("gain"),
        [20 * np.log10(g) for g in drawn],
        None,
        Peak(),
        RATE,
    )
    assert made.gains == pytest.approx([g / 3 for g in drawn])
    assert made.achieved_db == pytest.approx([20 * np.log10(g) for g in drawn], abs=0.02)


def test_sources_stand_so_far_over_the_background_which_keeps_its_level():
    stems = [noise(seed, 16_000, level) for seed, level in ((1, 900), (2, 300), (3, 40))]
    roles = ["target", "interferer", "background"]
    made = mix(stems, roles, rule("over_background"), [20.0, 5.0, 0.0], None, Peak(), RATE)
    assert made.gains[2] == 1.0
    assert db(made.stems[0], made.stems[2]) == pytest.approx(20.0, abs=0.02)
    assert db(made.stems[1], made.stems[2]) == pytest.approx(5.0, abs=0.02)
    assert made.achieved_db == [pytest.approx(20.0, abs=0.02), pytest.approx(5.0, abs=0.02), 0.0]


@pytest.mark.parametrize("name", ["snr", "energy_ratio", "rms_match", "peak_snr", "gain"])
def test_a_background_lies_under_the_target_and_is_not_part_of_the_ratio(name):
    stems = [noise(seed, 16_000, 900) for seed in range(3)]
    level_db = [-1.0 if name == "gain" else None, 2.0, -25.0]
    made = mix(stems, ["target", "interferer", "background"], rule(name), level_db, 2.0, Peak(), RATE)
    assert db(made.stems[2], made.stems[0]) == pytest.approx(-25.0, abs=0.05)
    without = mix(stems[:2], ["target", "interferer"], rule(name), level_db[:2], 2.0, Peak(), RATE)
    assert made.gains[1] / made.gains[0] == pytest.approx(without.gains[1] / without.gains[0], rel=1e-6)


@pytest.mark.parametrize("name", ["snr", "energy_ratio", "rms_match", "peak_snr"])
def test_where_nothing_is_asked_for_the_first_interferer_is_what_others_are_measured_against(name):
    stems = [noise(seed, 16_000, level) for seed, level in ((1, 900), (2, 300))]
    made = mix(stems, ["interferer", "interferer"], rule(name), [None, 5.0], 5.0, Peak(), RATE)
    assert db(made.stems[0], made.stems[1]) == pytest.approx(5.0, abs=0.02)
    assert not made.target.any()
    assert made.achieved_snr_db is None
    alone = mix([stems[0]], ["interferer"], rule(name), [None], None, Peak(), RATE)
    assert alone.mixture.any()


def test_active_energy_is_of_where_a_source_sounds():
    bark = place(noise(1, 4000, 1000), 0, 9000, 4000, 40_000)
    steady = noise(2, 40_000, 1000)
    over_all, active = (two(bark, steady, 0.0, level) for level in (ALL, SNR))
    assert db(over_all.target, over_all.residual) == pytest.approx(0.0, abs=1e-2)
    # The bark lasts a tenth of the time: at equal level where it sounds it has a tenth of the energy.
    assert db(active.target, active.residual) == pytest.approx(-10.0, abs=0.1)
    assert active.input_sdr_db == pytest.approx(-10.0, abs=0.1)
    assert active.achieved_snr_db == pytest.approx(0.0, abs=1e-2)
    assert active.achieved_db[1] == pytest.approx(0.0, abs=1e-2)


def test_a_pause_of_forty_decibels_is_no_sound_and_a_fade_is():
    loud, faint = noise(1, 1600, 8000), noise(2, 14_400, 8000 * 10 ** (-45 / 20))
    steady = noise(3, 16_000, 1000)
    paused = two(np.concatenate([loud, faint]), steady, 0.0, SNR)
    assert db(paused.stems[0][:1600], paused.stems[1][:1600]) == pytest.approx(0.0, abs=0.3)
    quieter = noise(2, 14_400, 8000 * 10 ** (-20 / 20))
    faded = two(np.concatenate([loud, quieter]), steady, 0.0, SNR)
    assert db(faded.target, faded.residual) == pytest.approx(0.0, abs=0.1)


def test_stems_that_cancel_each_other_fit_sixteen_bits_all_the_same():
    target = np.tile(np.array([30000, -30000], np.int16), 500)
    made = two(target, -target, -6.0)
    assert np.array_equal(made.residual, scaled(-target, made.gains[1]))
    assert made.achieved_snr_db == pytest.approx(-6.0, abs=1e-3)


def test_a_quiet_mixture_keeps_the_targets_level():
    target = noise(1, 16_000, 300)
    made = two(target, noise(2, 16_000, 300), 0.0)
    assert made.gains[0] == 1.0
    assert made.turned_down_db == 0.0
    assert np.array_equal(made.target, target)


def test_a_loud_mixture_is_turned_down_with_all_its_sources_alike():
    made = two(noise(1, 16_000, 9000), noise(2, 16_000, 9000), 0.0)
    assert made.gains[0] < 1.0
    assert made.turned_down_db == pytest.approx(-20 * np.log10(made.gains[0]))
    assert made.gains[1] == pytest.approx(made.gains[0], rel=0.05)
    assert 0.8998 < made.peak <= 0.9


def test_a_peak_between_above_and_to_is_left_as_it_is():
    target = place(np.full(1, 31000, np.int16), 0, 10, 1, 16_000) + noise(1, 16_000, 100)
    made = mix(
        [target, noise(2, 16_000, 100)], ["target", "interferer"], ALL, [None] * 2, 20.0, Peak(above=1.0, to=0.9), RATE
    )
    assert made.turned_down_db == 0.0
    assert made.peak > 0.93


@pytest.mark.parametrize(
    ("stems", "roles", "words"),
    [
        ((np.zeros(100, np.int16), noise(1, 100, 50)), ["target", "interferer"], "the target is silent"),
        ((noise(1, 100, 50), np.zeros(100, np.int16)), ["target", "interferer"], "the interferer is silent"),
        (
            (noise(1, 100, 50), noise(2, 100, 50), np.zeros(100, np.int16)),
            ["target", "interferer", "background"],
            "the background is silent",
        ),
        (
            (noise(1, 100, 50), noise(2, 100, 50), -noise(2, 100, 50)),
            ["target", "interferer", "interferer"],
            "cancel each other",
        ),
    ],
)
def test_silence_cannot_be_mixed(stems, roles, words):
    with pytest.raises(CannotMix, match=words):
        mix(stems, roles, ALL, [None, None, -20.0][: len(roles)], 0.0, Peak(), RATE)


def test_a_target_that_vanishes_in_rounding_is_refused():
    with pytest.raises(CannotMix, match="vanishes"):
        two(np.ones(1000, np.int16), noise(1, 1000, 9000), -110.0)


def test_a_piece_goes_where_the_plan_says():
    out = place(np.arange(1, 11, dtype=np.int16), start=2, at=3, length=4, total=9)
    assert out.tolist() == [0, 0, 0, 3, 4, 5, 6, 0, 0]
    with pytest.raises(ValueError, match="does not fit"):
        place(np.arange(5, dtype=np.int16), 5, 0, 4, 10)
    with pytest.raises(ValueError, match="does not fit"):
        place(np.arange(5, dtype=np.int16), 0, 7, 4, 10)


def test_a_clip_that_ends_too_early_begins_again():
    out = place(np.arange(1, 4, dtype=np.int16), start=1, at=1, length=7, total=9)
    assert out.tolist() == [0, 2, 3, 1, 2, 3, 1, 2, 0]
