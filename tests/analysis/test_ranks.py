"""Ranks over many games: Demsar's example, scipy and scikit-posthocs."""

import math

import numpy as np
import pytest
from samples import INF, sample
from scipy import stats

from bench.analysis import statistics

# Accuracies (x 1000) of C4.5, +m, +cf, +m+cf on 14 data sets: Demsar 2006, JMLR 7, table 6
DEMSAR = [
    [763, 768, 771, 798],
    [599, 591, 590, 569],
    [954, 971, 968, 967],
    [628, 661, 654, 657],
    [882, 888, 886, 898],
    [936, 931, 916, 931],
    [661, 668, 609, 685],
    [583, 583, 563, 625],
    [775, 838, 866, 875],
    [1000, 1000, 1000, 1000],
    [940, 962, 965, 962],
    [619, 666, 614, 669],
    [972, 981, 975, 975],
    [957, 978, 946, 970],
]


def test_friedman_ranks_of_demsar():
    # the paper ranks the 13th data set's tie 2 and 3, and does not correct its 9.28 for ties
    table = np.array(DEMSAR, dtype=float)
    table[12, 2] += 0.1
    result = statistics.friedman_nemenyi(table, higher=True)
    assert result.ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert result.statistic == pytest.approx(stats.friedmanchisquare(*table.T).statistic)
    assert 9.28 < result.statistic < 10.5
    assert result.reason == ""


def test_critical_difference_of_demsar():
    assert statistics.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)  # section 3.2.2
    q = {2: 1.960, 3: 2.343, 5: 2.728, 10: 3.164}  # his table 5
    for rules, expected in q.items():
        unit = math.sqrt(rules * (rules + 1) / 6)
        assert statistics.critical_difference(rules, 1) / unit == pytest.approx(expected, abs=1e-3)
    assert statistics.critical_difference(2, 5, 0.9) == pytest.approx(1.645 * math.sqrt(1 / 5), abs=1e-3)
    assert statistics.critical_difference(1, 5) == statistics.critical_difference(3, 0) == INF


def test_ranks_a_critical_difference_apart_have_nemenyis_p():
    x = sample(12, 7) + 0.4 * np.arange(7)
    result, apart = statistics.friedman_nemenyi(x), statistics.critical_difference(7, 12, 0.7)
    gaps = np.abs(result.ranks[:, None] - result.ranks)
    np.testing.assert_array_equal(result.nemenyi < 0.3, gaps > apart)
    assert 0 < (gaps > apart).sum() < 42


@pytest.mark.parametrize("shape", [(2, 3), (5, 4), (12, 7)])
def test_friedman_nemenyi_agree_with_scipy_and_scikit_posthocs(shape):
    posthocs = pytest.importorskip("scikit_posthocs")
    x = np.round(sample(*shape), 1)
    result, theirs = statistics.friedman_nemenyi(x), stats.friedmanchisquare(*x.T)
    assert (result.statistic, result.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    np.testing.assert_allclose(result.nemenyi, posthocs.posthoc_nemenyi_friedman(x).to_numpy(), atol=1e-6)


def test_failures_have_the_worst_rank():
    x = [[1, INF, INF], [INF, 2, 3], [1, 2, INF]]
    low, high = statistics.friedman_nemenyi(x), statistics.friedman_nemenyi(-np.array(x), higher=True)
    assert low.ranks == pytest.approx([(1 + 3 + 1) / 3, (2.5 + 1 + 2) / 3, (2.5 + 2 + 3) / 3])
    assert high.ranks == pytest.approx(low.ranks)
    assert high.p == low.p < 1
    assert np.isfinite(low.nemenyi).all()


@pytest.mark.parametrize(
    ("scores", "ranks", "reason"),
    [
        ([[1, 2], [1, 2], [2, 1]], [4 / 3, 5 / 3], "at least 3 rules, there are 2"),
        ([[1], [2]], [1], "at least 3 rules, there are 1"),
        ([[3, 1, 2]], [3, 1, 2], "at least 2 games, there are 1"),
        ([[1, 1, 1], [INF, INF, INF]], [2, 2, 2], "all rules tie"),
    ],
)
def test_where_no_friedman_test_can_be_given_it_says_why(scores, ranks, reason):
    result = statistics.friedman_nemenyi(scores)
    assert result.ranks == pytest.approx(ranks)
    assert reason in result.reason
    assert result.statistic is result.p is result.nemenyi is None


def test_mean_ranks_worked_out_by_hand():
    """Two games, three rules, four seeds each the same: no resample can differ from the scores, a failure is last."""
    x = np.repeat([[[1.0], [2.0], [3.0]], [[INF], [0.0], [INF]]], 4, axis=2)
    found = statistics.mean_ranks(x, resamples=20)
    assert found.value == pytest.approx([(1 + 2.5) / 2, (2 + 1) / 2, (3 + 2.5) / 2])
    for end in (found.low, found.high):
        np.testing.assert_array_equal(end, found.value)
    np.testing.assert_array_equal(statistics.mean_ranks(-x, resamples=20, higher=True).value, found.value)


def test_mean_ranks_pair_rules_by_seed():
    """A rule that is a little better on every seed is first in every resample, however much seeds differ."""
    seeds = 100 * sample(2, 1, 10)
    found = statistics.mean_ranks(seeds + np.array([0.1, 0.0, 0.2])[:, None], resamples=200)
    for part in found:
        np.testing.assert_array_equal(part, [2, 1, 3])


def test_mean_ranks_of_equals_are_not_told_apart():
    """Their intervals hold the middle rank as often as they say; they narrow with games."""
    held, widths = [], {1: [], 8: []}
    for trial in range(60):
        x = sample(8, 5, 10, seed=trial)
        for games, wide in widths.items():
            found = statistics.mean_ranks(x[:games], resamples=200, seed=trial)
            wide.append((found.high - found.low).mean())
        held.append((found.low <= 3) & (found.high >= 3))
    assert np.mean(held) > 0.85
    assert 0.25 < np.mean(widths[8]) / np.mean(widths[1]) < 0.5  # about one over the root of 8
