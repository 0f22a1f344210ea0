"""The bootstrap against exact distributions, scipy and plain loops."""

import itertools
import math

import numpy as np
import pytest
from samples import INF, sample
from scipy import stats

from bench.analysis import statistics


@pytest.mark.parametrize("shape", [(3, 1), (3, 2), (4, 5), (3, 10), (2, 3, 7), (2, 1, 4), (3, 5, 1)])
@pytest.mark.parametrize("failures", [0, 1, 3])
@pytest.mark.parametrize("statistic", [statistics.interquartile_mean, statistics.median])
def test_counting_resamples_equals_sorting_them(shape, failures, statistic):
    x = np.round(sample(*shape, seed=failures), 1)  # rounded: some tie
    x[0].flat[:failures] = INF
    by_count = statistics.bootstrap_rules(x, statistic, resamples=500)
    by_sorting = statistics.bootstrap_rules(x, lambda x, axis: statistic(x, axis), resamples=500)
    for counted, was_sorted in zip(by_count, by_sorting, strict=True):
        np.testing.assert_allclose(counted, was_sorted, rtol=1e-12, atol=1e-12)


def test_bootstrap_meets_the_exact_distribution():
    x = [0.0, 1.0, 10.0]
    means = np.sort([np.mean(drawn) for drawn in itertools.product(x, repeat=3)])  # 27 equally likely resamples
    interval = statistics.stratified_bootstrap(x, np.mean, resamples=50_000, confidence=0.8)
    assert interval.value == pytest.approx(11 / 3)
    assert interval.low == pytest.approx(means[math.ceil(0.1 * 27) - 1])
    assert interval.high == pytest.approx(means[math.ceil(0.9 * 27) - 1])


def test_bootstrap_agrees_with_scipy():
    x = sample(15)
    theirs = stats.bootstrap((x,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1))
    ours = statistics.stratified_bootstrap(x, np.mean, resamples=20_000)
    np.testing.assert_allclose(ours[1:], theirs.confidence_interval, atol=0.02)


def test_strata_are_resampled_apart():
    x = np.array([[0.0] * 8, [100.0] * 8])
    assert statistics.stratified_bootstrap(x, np.mean) == (50, 50, 50)
    pooled = statistics.stratified_bootstrap(x.ravel(), np.mean)
    assert pooled.low < 40 < 60 < pooled.high


def test_stratified_bootstrap_agrees_with_a_plain_loop():
    x, rng = sample(3, 6) + np.array([[0], [2], [5]]), np.random.default_rng(5)
    values = [statistics.interquartile_mean(np.concatenate([rng.choice(row, 6) for row in x])) for _ in range(4000)]
    np.testing.assert_allclose(statistics.stratified_bootstrap(x)[1:], np.quantile(values, [0.025, 0.975]), atol=0.06)


@pytest.mark.parametrize("statistic", [statistics.interquartile_mean, np.mean, np.median])
def test_bootstrap_is_symmetric_in_direction(statistic):
    x = sample(10)
    up, down = statistics.stratified_bootstrap(x, statistic, 999), statistics.stratified_bootstrap(-x, statistic, 999)
    assert down == pytest.approx((-up.value, -up.high, -up.low), abs=1e-14)


def test_rules_share_resamples_and_do_not_touch():
    x = sample(5, 9)
    x[2, 3:] = INF
    whole = statistics.bootstrap_rules(x, resamples=400, seed=3)
    for r in range(5):
        alone = statistics.stratified_bootstrap(x[r], resamples=400, seed=3)
        assert alone == (whole.value[r], whole.low[r], whole.high[r])
    shifted = statistics.bootstrap_rules(x[:2] + 7, resamples=400, seed=3)
    np.testing.assert_allclose(shifted.high, whole.high[:2] + 7)
    assert not np.allclose(statistics.bootstrap_rules(x[:2], resamples=400, seed=4).low, whole.low[:2])


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([3.0], (3, 3, 3)),
        ([0.1] * 10, (0.1, 0.1, 0.1)),
        ([INF] * 5, (INF, INF, INF)),
        ([-INF] * 5, (-INF, -INF, -INF)),
        ([[0.1] * 3] * 4, (0.1, 0.1, 0.1)),
        ([1e308] * 9, (1e308, 1e308, 1e308)),
    ],
)
def test_bootstrap_without_spread(scores, expected):
    assert statistics.stratified_bootstrap(scores, resamples=300) == expected


def test_one_failure_of_ten_reaches_the_upper_end_only():
    one = statistics.stratified_bootstrap([*np.arange(9.0), INF], confidence=0.99)
    assert math.isfinite(one.low)
    assert math.isfinite(one.value)
    assert one.high == INF  # 3 copies of the failure or more in a resample: 7 %
    half = statistics.stratified_bootstrap([*np.arange(5.0), *[INF] * 5])
    assert half.value == half.high == INF
    assert math.isfinite(half.low)


def test_unequal_confidences_nest():
    wide, narrow = (statistics.stratified_bootstrap(sample(12), confidence=c) for c in (0.95, 0.5))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


@pytest.mark.parametrize(("confidence", "least", "most"), [(0.95, 0.89, 0.97), (0.5, 0.41, 0.56)])
def test_bootstrap_covers_the_truth_about_as_often_as_it_says(confidence, least, most):
    x = sample(1500, 25, seed=11)  # symmetric about 0: so is the interquartile mean
    band = statistics.bootstrap_rules(x, resamples=500, confidence=confidence)
    assert least < ((band.low <= 0) & (band.high >= 0)).mean() < most
