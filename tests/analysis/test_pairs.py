"""One rule against another: tests, corrections and probabilities against scipy, statsmodels, and by hand."""

import itertools

import numpy as np
import pytest
from samples import INF, sample
from scipy import stats

from bench.analysis import statistics


def flips(differences):
    """Share of all sign flips whose signed-rank sum is at least as far from 0: two-sided, by enumeration."""
    d = np.array([x for x in differences if x])
    ranks = stats.rankdata(np.abs(d))
    sums = [abs(np.dot(signs, ranks)) for signs in itertools.product((-1, 1), repeat=len(d))]
    return np.mean(np.array(sums) >= abs(np.dot(np.sign(d), ranks)) - 1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 12, 30, 49])
def test_paired_test_is_wilcoxons_exact_one(n):
    a, b = sample(n), sample(n, seed=1) + 0.4
    assert statistics.paired_test(a, b) == pytest.approx(stats.wilcoxon(a, b, method="exact").pvalue, rel=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_paired_test_with_ties_enumerates_all_flips(seed):
    d = np.random.default_rng(seed).integers(-3, 5, size=9).astype(float)
    assert statistics.paired_test(d, np.zeros(9)) == pytest.approx(flips(d))


def test_paired_test_by_hand():
    assert statistics.paired_test(np.arange(1.0, 11), np.zeros(10)) == pytest.approx(2 / 1024)
    assert statistics.paired_test([1, 2, -3], [0, 0, 0]) == 1
    assert statistics.paired_test([1, 2, 3, -1], [0, 0, 0, 0]) == pytest.approx(
        6 / 16
    )  # |sum| >= 7 of ranks 1.5 1.5 3 4
    assert statistics.paired_test([5], [1]) == 1
    assert statistics.paired_test([2] * 7, [2] * 7) == 1
    assert statistics.paired_test([INF] * 7, [INF] * 7) == 1
    assert statistics.paired_test([INF] * 7, [2] * 7) == pytest.approx(2 / 128)
    assert statistics.paired_test([1e308] * 6, [-1e308] * 6) == pytest.approx(2 / 64)


def test_a_failure_is_the_largest_difference_and_two_failures_tie():
    a, b = np.array([INF, 1.0, 2.0, 3.0, INF, INF]), np.array([0.0, 1.5, 0.0, 7.0, 1.0, INF])
    finite = np.where(np.isinf(a), 1e6 + np.nan_to_num(b, posinf=0), a)
    assert statistics.paired_test(a, b) == pytest.approx(statistics.paired_test(finite[:5], b[:5]))
    assert statistics.paired_test(a[:5], b[:5]) == pytest.approx(statistics.paired_test(a, b))


def test_paired_test_knows_neither_direction_nor_order():
    a, b = np.round(sample(11), 1), np.round(sample(11, seed=1), 1)
    a[3] = INF
    order = np.random.default_rng(0).permutation(11)
    p = statistics.paired_test(a, b)
    assert 0 < p <= 1
    assert (
        p
        == statistics.paired_test(b, a)
        == statistics.paired_test(-a, -b)
        == pytest.approx(statistics.paired_test(a[order], b[order]))
    )


def test_paired_test_keeps_its_level():
    p = np.array([statistics.paired_test(*sample(2, 8, seed=seed)) for seed in range(600)])
    assert 0.01 < (p <= 0.05).mean() < 0.07  # exactly 10 / 256 = 0.039 is the most that eight pairs give


def test_holm_by_hand_and_against_statsmodels():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.6, 0.9]) == pytest.approx([1, 1])
    assert statistics.holm([0.2]) == pytest.approx([0.2])
    assert statistics.holm([0.0, 1.0]) == pytest.approx([0, 1])
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(0).uniform(size=25) ** 3
    p[4] = p[9]
    np.testing.assert_allclose(statistics.holm(p), multitest.multipletests(p, method="holm")[1], rtol=1e-12)


def test_probability_of_improvement_is_mann_whitneys():
    a, b = np.round(sample(9), 1), np.round(sample(12, seed=1), 1)
    a[0] = b[0] = b[1] = INF
    u = stats.mannwhitneyu(b, a).statistic / (9 * 12)  # pairs in which b is larger, so a the better
    better = statistics.probability_of_improvement(a, b)
    assert better.value == pytest.approx(u)
    assert statistics.probability_of_improvement(b, a).value == pytest.approx(1 - u)
    assert statistics.probability_of_improvement(-a, -b, higher=True) == better
    assert better.low < u < better.high


def test_probability_of_improvement_by_hand():
    poi = statistics.probability_of_improvement
    assert poi([1, 2], [3, 4, 5]) == (1, 1, 1)
    assert poi([1, 2], [3, 4, 5], higher=True) == (0, 0, 0)
    assert poi([1], [1]) == (0.5, 0.5, 0.5)
    assert poi([INF, INF], [INF]) == (0.5, 0.5, 0.5)
    assert poi([0, INF], [1]).value == 0.5
    assert poi([[1, 2], [5, 5]], [[3], [5]]).value == pytest.approx(0.75)  # 1 in one game, a half in the other


def test_probability_of_improvement_interval_agrees_with_a_plain_loop():
    a, b, rng = sample(2, 8), sample(2, 10, seed=1) + 0.5, np.random.default_rng(2)
    values = []
    for _ in range(4000):
        games = [(rng.choice(x, 8)[:, None] < rng.choice(y, 10)).mean() for x, y in zip(a, b, strict=True)]
        values.append(np.mean(games))
    ours = statistics.probability_of_improvement(a, b)
    np.testing.assert_allclose(ours[1:], np.quantile(values, [0.025, 0.975]), atol=0.025)
