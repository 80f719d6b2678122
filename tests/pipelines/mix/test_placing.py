"""Where sources lie and how loud they are asked to be: pieces that fit, overlaps counted sample by sample, levels by their laws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from pipelines.mix.draws import row_seeds
from pipelines.mix.placing import (
    BACKGROUND,
    INTERFERER,
    NONE,
    TARGET,
    _on_purpose,
    against_targets,
    levels,
    overlap,
    placed,
)  # fmt: skip
from schemas.mixing import MixtureSet

COUNT, TOTAL = 4000, 80_000
SEEDS = row_seeds(1, np.arange(COUNT))
PAIR = np.tile([TARGET, INTERFERER], (COUNT, 1))


def counted(at: list[int], length: list[int], total: int) -> float:
    """Return the share of the shortest source that lies under another, sample by sample."""
    masks = np.zeros((len(at), total), bool)
    for row, (begin, size) in enumerate(zip(at, length, strict=True)):
        masks[row, begin : begin + size] = True
    shortest = length.index(min(length))
    others = np.delete(masks, shortest, axis=0).any(axis=0)
    return float((masks[shortest] & others).sum() / masks[shortest].sum())


@pytest.mark.parametrize("crop", ["random", "start", "centre"])
@pytest.mark.parametrize("short", ["pad", "loop"])
@pytest.mark.parametrize("offset", ["random", "start"])
def test_pieces_fit_their_clips_and_the_mixture(crop: str, short: str, offset: str):
    samples = np.random.default_rng(0).integers(1, 2 * TOTAL, (COUNT, 2))
    lying = placed(MixtureSet(crop=crop, short=short, offset=offset), SEEDS, PAIR, samples, TOTAL)
    longer = samples >= TOTAL
    assert (lying.length == (TOTAL if short == "loop" else np.minimum(samples, TOTAL))).all()
    assert (lying.at >= 0).all()
    assert (lying.at + lying.length <= TOTAL).all()
    assert (lying.start >= 0).all()
    assert (lying.start < samples).all()
    assert (lying.start + lying.length <= samples)[longer | (short == "pad")].all()
    assert lying.possible.all()
    if crop == "start":
        assert not lying.start.any()
    if crop == "centre":
        assert (lying.start[longer] == (samples[longer] - TOTAL) // 2).all()
    if offset == "start":
        assert not lying.at.any()


def test_crops_and_offsets_are_uniform():
    samples = np.tile([TOTAL + 1000, TOTAL - 1000], (COUNT, 1))
    lying = placed(MixtureSet(), SEEDS, PAIR, samples, TOTAL)
    assert kstest(lying.start[:, 0] / 1001, "uniform").pvalue > 1e-3
    assert kstest(lying.at[:, 1] / 1001, "uniform").pvalue > 1e-3


def test_a_background_is_looped_under_the_whole_mixture():
    roles = np.tile([TARGET, INTERFERER, BACKGROUND], (COUNT, 1))
    samples = np.tile([TOTAL // 2, TOTAL // 2, TOTAL // 3], (COUNT, 1))
    lying = placed(MixtureSet(background={"dataset": "beds"}), SEEDS, roles, samples, TOTAL)
    assert (lying.length[:, 2] == TOTAL).all()
    assert not lying.at[:, 2].any()
    assert kstest(lying.start[:, 2] / (TOTAL // 3), "uniform").pvalue > 1e-3


@settings(max_examples=200)
@given(st.data())
def test_overlap_is_what_is_counted_sample_by_sample(data: st.DataObject):
    total = 20
    lengths = data.draw(st.lists(st.integers(1, total), min_size=2, max_size=4))
    at = [data.draw(st.integers(0, total - length)) for length in lengths]
    found = overlap(np.ones((1, len(at)), bool), np.array([at]), np.array([lengths]))[0]
    assert found == pytest.approx(counted(at, lengths, total))


def test_sources_overlap_as_asked_or_cannot():
    rng = np.random.default_rng(1)
    samples = rng.integers(100, TOTAL, (COUNT, 3))
    roles = np.tile([TARGET, INTERFERER, INTERFERER], (COUNT, 1))
    roles[::2, 2] = NONE
    lying = placed(MixtureSet(overlap=(0.2, 0.5), sources=(2, 3)), SEEDS, roles, samples, TOTAL)
    share = overlap(roles >= 0, lying.at, lying.length)
    assert lying.possible.mean() > 0.3
    assert ((share >= 0.2) & (share <= 0.5))[lying.possible].all()
    # It cannot be had exactly where even the shortest and the longest, at opposite ends, overlap by more than half.
    there = np.where(roles >= 0, samples, -1)
    shortest, longest = np.where(roles >= 0, samples, TOTAL).min(axis=1), there.max(axis=1)
    assert ((shortest + longest - TOTAL > shortest // 2) == ~lying.possible).all()


def test_an_overlap_that_can_be_had_is_found_and_no_other():
    total = 7
    for lengths in itertools.product(range(1, total + 1), repeat=2):
        spots = itertools.product(*(range(total - length + 1) for length in lengths))
        shares = {round(counted(list(at), list(lengths), total), 6) for at in spots}
        for low, high in ((0, 0), (0, 0.3), (0.4, 0.6), (0.9, 1), (0, 1)):
            laid = _on_purpose((low, high), 0.37, list(lengths), total)
            assert (laid is not None) == any(low <= share <= high for share in shares), (lengths, low, high)
            if laid is not None:
                assert low - 1e-9 <= counted(laid, list(lengths), total) <= high + 1e-9


def asked(roles: np.ndarray = PAIR, **level: object):
    background = {"dataset": "beds"} if (roles == BACKGROUND).any() else None
    rules = MixtureSet(level=level, background=background)
    return rules, levels(rules, SEEDS, roles)


def test_ratios_are_uniform_between_their_bounds():
    for rule in ("snr", "peak_snr"):
        _, found = asked(rule=rule, range=[-15, 15])
        assert kstest(found.snr_db, "uniform", args=(-15, 30)).pvalue > 1e-3
        assert np.isnan(found.level_db).all()


def test_whole_decibels_have_both_ends_and_each_as_often():
    _, found = asked(rule="snr", range=[-15, 15], whole=True)
    values, counts = np.unique(found.snr_db, return_counts=True)
    assert values.tolist() == list(range(-15, 16))
    assert chisquare(counts).pvalue > 1e-3


def test_energy_ratios_are_drawn_for_each_interferer_alone():
    roles = np.tile([TARGET, INTERFERER, INTERFERER], (COUNT, 1))
    _, found = asked(roles, rule="energy_ratio", range=[-20, 20])
    assert np.isnan(found.snr_db).all()
    assert np.isnan(found.level_db[:, 0]).all()
    for slot in (1, 2):
        assert kstest(found.level_db[:, slot], "uniform", args=(-20, 40)).pvalue > 1e-3
    assert abs(np.corrcoef(found.level_db[:, 1], found.level_db[:, 2])[0, 1]) < 0.06


def test_rms_match_has_a_gain_for_each_interferer_and_one_for_their_sum():
    _, found = asked(rule="rms_match", range=[-10, 10], whole=True)
    assert set(found.snr_db) == set(found.level_db[:, 1]) == set(range(-10, 11))
    assert np.isnan(found.level_db[:, 0]).all()
    assert not np.signbit(found.snr_db[found.snr_db == 0]).any()


def test_gains_are_uniform_as_linear_numbers_and_loudness_is_in_lufs():
    _, found = asked(rule="gain", range=[0.5, 1.5])
    for slot in (0, 1):
        assert kstest(10 ** (found.level_db[:, slot] / 20), "uniform", args=(0.5, 1)).pvalue > 1e-3
    _, found = asked(rule="lufs", range=[-35, -25])
    assert kstest(found.level_db.ravel(), "uniform", args=(-35, 10)).pvalue > 1e-3


def test_levels_over_the_background_and_of_the_background():
    roles = np.tile([TARGET, INTERFERER, BACKGROUND], (COUNT, 1))
    _, found = asked(roles, rule="over_background", range=[5, 20], interferers=[0, 15])
    assert kstest(found.level_db[:, 0], "uniform", args=(5, 15)).pvalue > 1e-3
    assert kstest(found.level_db[:, 1], "uniform", args=(0, 15)).pvalue > 1e-3
    assert not found.level_db[:, 2].any()
    _, found = asked(roles, rule="snr", range=[-15, 15])
    assert kstest(found.level_db[:, 2], "uniform", args=(-30, 10)).pvalue > 1e-3
    assert np.isnan(found.level_db[:, :2]).all()


def test_how_loud_one_source_is_against_another_is_told_where_it_is_known():
    rules, found = asked(rule="snr", range=[-15, 15])
    assert (against_targets(rules, found, PAIR) == np.column_stack([0 * found.snr_db, -found.snr_db])).all()
    rules, found = asked(rule="rms_match", range=[-10, 10])
    assert (against_targets(rules, found, PAIR)[:, 1] == -found.snr_db).all()
    rules, found = asked(rule="energy_ratio", range=[-10, 10])
    assert (against_targets(rules, found, PAIR)[:, 1] == -found.level_db[:, 1]).all()
    rules, found = asked(rule="gain", range=[0.5, 1.5])
    assert np.isnan(against_targets(rules, found, PAIR)).all()
    assert math.isclose(asked(rule="gain", range=[2, 2])[1].level_db[0, 0], 6.0206, abs_tol=1e-4)
    three = np.tile([TARGET, INTERFERER, INTERFERER], (COUNT, 1))
    rules, found = asked(three, rule="snr", range=[-15, 15])
    assert np.isnan(against_targets(rules, found, three)[:, 1:]).all()
