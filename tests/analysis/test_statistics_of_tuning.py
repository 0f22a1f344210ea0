"""What trials tell: expected best, good bands, the firmness of a choice, against every choice."""

import itertools

import numpy as np
import pytest
from samples import INF, SEEDS_OF_3, sample
from scipy import stats

from bench.analysis import statistics


@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("n", [1, 3, 7])
def test_expected_best_enumerates_all_choices(n, higher):
    x = np.round(sample(n), 1)
    for k in range(1, n + 1):
        every = [(max if higher else min)(chosen) for chosen in itertools.combinations(x, k)]
        assert statistics.expected_best(x, k, higher) == pytest.approx(np.mean(every))


def test_expected_best_with_failures():
    x = [3, INF, 1, INF]
    assert statistics.expected_best(x, 2) == INF  # both failures may be drawn
    assert statistics.expected_best(x, 3) == pytest.approx((3 * 1 + 1 * 3) / 4)
    assert statistics.expected_best(x, 4) == 1
    assert statistics.expected_best([-3, -INF, -1, -INF], 3, higher=True) == pytest.approx(-1.5)
    assert statistics.expected_best([-3, -INF], 1, higher=True) == -INF
    assert statistics.expected_best([INF] * 3, 3) == INF
    assert statistics.expected_best(np.append(np.zeros(1200), INF), 600) == 0  # whose binomials overflow floats


def test_good_band_by_hand():
    steps = [1e-3, 1e-2, 1e-1, 1, 10]
    assert statistics.good_band(steps, [9, 2, 1, 1.5, INF]) == pytest.approx(2)
    assert statistics.good_band(steps, [9, 2, 1, 1.5, INF], factor=1.6) == pytest.approx(1)
    assert statistics.good_band(steps, [1, 9, 1, 1, 1]) == pytest.approx(2)  # a hole does not count
    assert statistics.good_band(steps, [9, 9, 1, 9, 9]) == 0
    assert statistics.good_band(steps, [INF] * 5) == 0
    assert statistics.good_band(steps, [1] * 5) == pytest.approx(4)
    assert statistics.good_band([0.3], [1]) == 0
    assert statistics.good_band(steps, [-3, -2.5, -2, 5, 5], factor=1, tolerance=1) == pytest.approx(2)
    assert statistics.good_band(steps, [0.1, 0.5, 0.9, 1, -INF], higher=True) == pytest.approx(2)
    assert statistics.good_band(steps, [-5, -1.5, -1, 0, 0], factor=1, tolerance=1, higher=True) == pytest.approx(2)
    assert statistics.good_band(steps[::-1], [INF, 1.5, 1, 2, 9]) == pytest.approx(2)
    assert statistics.good_band(steps, [1e308, 1.7e308, INF, INF, INF]) == pytest.approx(1)


@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
def test_expected_best_curve_enumerates_all_choices(seeds, higher):
    x = np.round(np.exp(sample(6, seeds)), 1)  # with ties
    means = stats.trim_mean(x, 0.25, axis=1)
    curve = statistics.expected_best_curve(x, higher, resamples=10).value
    for k in range(1, 7):
        every = [(max if higher else min)(chosen) for chosen in itertools.combinations(means, k)]
        assert curve[k - 1] == pytest.approx(np.mean(every))
        assert curve[k - 1] == pytest.approx(statistics.expected_best(means, k, higher))
    assert curve[-1] == pytest.approx((max if higher else min)(means))


def test_expected_best_curves_band_is_that_of_all_resamples():
    x = np.array([[1.0, 5, 2], [4, 3, INF], [2, 8, 9]])
    every = []  # 27 draws of the trials by 27 of the seeds, all alike likely
    for seeds, trials in itertools.product(SEEDS_OF_3, SEEDS_OF_3):
        means = [np.mean([x[t, s] for s in seeds]) for t in trials]
        every.append([statistics.expected_best(means, k) for k in (1, 2, 3)])
    band = statistics.expected_best_curve(x, resamples=20_000, confidence=0.8)
    for k in range(3):
        column = np.array(every)[:, k].round(9)
        for end, tail in ((band.low[k].round(9), 0.1), (band.high[k].round(9), 0.9)):
            assert (column < end).mean() - 0.01 <= tail <= (column <= end).mean() + 0.01
    assert np.isfinite(band.low).all()
    assert band.high[0] == INF  # more than a tenth of the resamples draw a failure


def test_expected_best_curve_knows_direction_only_by_sign():
    x = np.exp(sample(5, 3))
    x[1] = x[3, :2] = INF
    low, high = statistics.expected_best_curve(x), statistics.expected_best_curve(-x, higher=True)
    np.testing.assert_array_equal(low.value, -high.value)
    np.testing.assert_array_equal(low.low, -high.high)
    np.testing.assert_array_equal(low.high, -high.low)
    assert low.value[:2].tolist() == [INF, INF]  # of two failures one or both may be drawn
    assert np.isfinite(low.value[2:]).all()
    assert (np.diff(low.value[2:]) <= 0).all()
    assert (low.low <= low.value).all()


def test_expected_best_curve_at_its_limits():
    nothing = statistics.expected_best_curve([[INF] * 3] * 4)
    assert [part.tolist() for part in nothing] == [[INF] * 4] * 3
    same = statistics.expected_best_curve([[0.1, 0.1]] * 7)
    assert [part.tolist() for part in same] == [[0.1] * 7] * 3
    alone = statistics.expected_best_curve([[1, 2, 9]], confidence=0.9)
    assert [part.tolist() for part in alone] == [[4], [pytest.approx(4 / 3)], [pytest.approx(20 / 3)]]
    assert statistics.expected_best_curve([[-INF], [1.0], [2]]).value.tolist() == [-INF] * 3  # infinitely good
    single = statistics.expected_best_curve([[3], [1], [2]])
    assert (single.value[-1], single.low[-1]) == (1, 1)
    many = np.exp(sample(1200, 1))
    curve = statistics.expected_best_curve(many, resamples=5).value  # whose binomials overflow floats
    for k in (1, 37, 600, 1199, 1200):
        assert curve[k - 1] == pytest.approx(statistics.expected_best(many[:, 0], k))


@pytest.mark.parametrize("higher", [False, True])
def test_good_band_interval_enumerates_the_seeds(higher):
    steps, x = np.geomspace(1e-3, 10, 6), np.exp(sample(6, 3, seed=4))
    x[5, 1:] = -INF if higher else INF
    every = [statistics.good_band(steps, np.mean(x[:, seeds], axis=1), higher=higher) for seeds in SEEDS_OF_3]
    found = statistics.good_band_interval(steps, x, higher=higher)
    assert found.value == statistics.good_band(steps, np.mean(x, axis=1), higher=higher)
    assert (found.low, found.high) == (min(every), max(every))  # a fortieth of 27 is none
    assert found.low < found.high
    most = statistics.good_band_interval(steps, x, higher=higher, confidence=0.5)
    assert (most.low, most.high) == (sorted(every)[6], sorted(every)[20])
    order = [3, 0, 5, 1, 4, 2]
    assert statistics.good_band_interval(steps[order], x[order], higher=higher) == found


def test_good_band_interval_at_its_limits():
    steps = [0.01, 0.1, 1]
    assert statistics.good_band_interval(steps, [[1], [1.5], [9]]) == pytest.approx((1, 1, 1))
    assert statistics.good_band_interval(steps, [[INF] * 2] * 3) == (0, 0, 0)
    assert statistics.good_band_interval([0.1], [[1, 2, 3]]) == (0, 0, 0)
    assert statistics.good_band_interval(steps, [[1, 1]] * 3) == pytest.approx((2, 2, 2))
    x, rng = np.exp(sample(3, 7)), np.random.default_rng(1)  # 7^7 resamples: drawn
    plain = [
        statistics.good_band(steps, stats.trim_mean(x[:, rng.integers(7, size=7)], 0.25, axis=1)) for _ in range(2000)
    ]
    found = statistics.good_band_interval(steps, x)
    assert found[1:] == pytest.approx(np.quantile(plain, [0.025, 0.975], method="nearest"))


@pytest.mark.parametrize("higher", [False, True])
def test_choice_stability_enumerates_the_seeds(higher):
    x = np.round(sample(4, 3, seed=2), 0)  # with ties
    x[3, 0] = -INF if higher else INF
    shares = []
    for chosen in range(4):
        means = [stats.trim_mean(x[:, seeds], 0.25, axis=1) for seeds in SEEDS_OF_3]
        beaten = [(m.max() > m[chosen] + 1e-9) if higher else (m.min() < m[chosen] - 1e-9) for m in means]
        shares.append(np.mean(beaten))
        assert statistics.choice_stability(x, chosen, higher) == pytest.approx(np.mean(beaten))
    assert len(set(shares)) > 2


def test_choice_stability_at_its_limits():
    change = statistics.choice_stability
    assert change([[1, 2, 3]], 0) == 0
    assert change([[1, 1], [1, 1]], 1) == 0  # a tie changes nothing
    assert change([[INF] * 3, [INF] * 3], 1) == 0
    assert change([[1, 2, 3], [4, 5, 6]], 0) == 0
    assert change([[1, 2, 3], [4, 5, 6]], 1) == 1
    assert change([[1, 2, 3], [4, 5, 6]], 1, higher=True) == 0
    assert change([[2, 0], [1, 1]], 0) == pytest.approx(1 / 4)  # both draws the 2: 2 against 1; 1 against 1 ties
    x = sample(3, 7)  # 7^7 resamples: drawn
    seeds = np.array(list(itertools.product(range(7), repeat=7)))
    means = np.sort(x[:, seeds], axis=2)[:, :, 1:6].mean(axis=2)
    for chosen in range(3):
        assert change(x, chosen) == pytest.approx((means.min(axis=0) < means[chosen]).mean(), abs=0.02)
