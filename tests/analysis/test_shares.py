"""Shares of replicas: Wilson's interval, survival, profiles, against scipy and every resample."""

import math

import numpy as np
import pytest
from samples import INF, SEEDS_OF_3
from scipy import stats

from bench.analysis import statistics


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 2, 10, 137])
def test_wilson_is_scipys(n, confidence):
    for k in range(n + 1):
        theirs = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
        assert statistics.wilson(k, n, confidence) == pytest.approx((k / n, theirs.low, theirs.high), abs=1e-12)


def test_wilson_at_the_ends():
    assert statistics.wilson(0, 0) == (0, 0, 1)
    for n in range(1, 300):
        assert statistics.wilson(0, n)[:2] == (0, 0)
        assert statistics.wilson(n, n)[::2] == (1, 1)
    assert statistics.wilson(0, 10).high == pytest.approx(1.959964**2 / (10 + 1.959964**2), abs=1e-6)


def profile(costs, grid):
    """Share of runs done by each cost: [rules, n], [G] -> [rules, G]."""
    done = (np.asarray(costs)[..., None] <= np.asarray(grid)) & np.isfinite(costs)[..., None]
    return done.mean(axis=1)


def test_profile_is_what_survival_leaves():
    costs, grid = [10, INF, 30, 20], [5, 10, 15, 30, 99]
    alive = statistics.survival(costs, 100, grid).value
    np.testing.assert_allclose(1 - alive, profile([costs], grid)[0], atol=1e-15)


def test_profile_bands_are_those_of_all_resamples():
    costs, grid = np.array([[10, INF, 30], [5, 20, INF]]), np.array([5.0, 10, 30, 99])
    band = statistics.performance_profile_band(costs, grid, resamples=20_000, confidence=0.8)
    np.testing.assert_allclose(band.value, profile(costs, grid))
    for rule in range(2):
        every = np.array([profile([costs[rule, drawn]], grid)[0] for drawn in map(list, SEEDS_OF_3)])
        for end, tail in ((band.low[rule], 0.1), (band.high[rule], 0.9)):
            assert ((every < end - 1e-9).mean(axis=0) - 0.01 <= tail).all()
            assert (tail <= (every <= end + 1e-9).mean(axis=0) + 0.01).all()


def test_profile_bands_of_strata_and_targets():
    costs = np.random.default_rng(0).integers(1, 9, size=(2, 3, 6, 4)).astype(float)
    costs[costs > 6] = INF
    band = statistics.performance_profile_band(costs, [2, 5, 99])
    np.testing.assert_allclose(band.value, profile(costs.reshape(2, -1), [2, 5, 99]))
    assert (band.low <= band.value).all()
    assert (band.value <= band.high).all()
    # the games' own seeds alone vary: what differs between games only has no interval
    steady = np.array([1.0, 5, INF])[:, None] * np.ones((1, 3, 6))
    alike = statistics.performance_profile_band(steady, [2, 9])
    assert [part[0].tolist() for part in alike] == [pytest.approx([1 / 3, 2 / 3])] * 3
    # targets of one training are drawn with it: twice the same target says no more than once
    once = statistics.performance_profile_band(costs[..., :1], [2, 5, 99])
    twice = statistics.performance_profile_band(costs[..., [0, 0]], [2, 5, 99])
    np.testing.assert_allclose(once, twice)


def test_profile_bands_at_their_limits():
    nobody = statistics.performance_profile_band([[INF] * 4, [0] * 4], [0, 5, INF])
    assert [part.tolist() for part in nobody] == [[[0] * 3, [1] * 3]] * 3
    alone = statistics.performance_profile_band([[3]], [1, 3])
    assert [part.tolist() for part in alone] == [[[0, 1]]] * 3


def test_survival_without_censoring_is_wilsons():
    events, grid = [2, 2, 5, 7, INF, INF, INF], [0, 1.9, 2, 4, 5, 6, 7, 9, 10, 99]
    band = statistics.survival(events, 10, grid)
    for value, low, high, at in zip(*band, grid, strict=True):
        assert (value, low, high) == pytest.approx(statistics.wilson(sum(e > at for e in events), 7), abs=1e-12)
    everyone = statistics.survival([1, 2, 3], 10, [3, 50])
    assert everyone.value.tolist() == [0, 0]
    assert everyone.high == pytest.approx([statistics.wilson(0, 3).high] * 2)
    nobody = statistics.survival([INF] * 4, INF, [3, 50])
    assert nobody.low == pytest.approx([statistics.wilson(4, 4).low] * 2)


def test_survival_is_kaplan_meiers():
    rng = np.random.default_rng(0)
    events, ends = rng.integers(1, 20, size=30).astype(float), rng.integers(1, 20, size=30).astype(float)
    seen = events <= ends
    theirs = stats.ecdf(stats.CensoredData(uncensored=events[seen], right=ends[~seen])).sf
    grid = np.arange(0, 21, 0.5)
    ours = statistics.survival(events, ends, grid)
    np.testing.assert_allclose(ours.value, theirs.evaluate(grid), atol=1e-12)
    assert (ours.low <= ours.value).all()
    assert (ours.value <= ours.high).all()


def test_censoring_widens_the_interval():
    # died at 1 of 4, one lost at 2, died at 3 of the 2 left: 3/4 * 1/2; 2 at risk when 3/4 lived: 8/3 replicas' worth
    band = statistics.survival([1, INF, 3, INF], [9, 2, 9, 9], [1, 2, 3])
    assert band.value == pytest.approx([3 / 4, 3 / 4, 3 / 8])
    z2, n, p = stats.norm.isf(0.025) ** 2, 8 / 3, 3 / 8
    half = math.sqrt(z2 * p * (1 - p) / n + z2**2 / (4 * n**2))
    assert band.low[2] == pytest.approx((p + z2 / (2 * n) - half) / (1 + z2 / n))
    assert band.high[2] == pytest.approx((p + z2 / (2 * n) + half) / (1 + z2 / n))
    assert band[1][0] == pytest.approx(statistics.wilson(3, 4).low)
    assert (
        statistics.survival([1, 1], [1, 0.5], [1]).value == 0
    )  # at one cost the event counts; what is lost before never
