"""The statistics against values worked out by hand, brute force, and scipy, scikit-posthocs, statsmodels as oracles."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.analysis import statistics

INF = math.inf
NAN = math.nan
nasty = st.sampled_from([0.0, 0.1, 1.0, -2.5, 1e-300, 1e308, -1e308, INF])  # ties, failures, near overflow
nasty_lists = st.lists(nasty, min_size=1, max_size=12)
quick = settings(deadline=None, max_examples=60, derandomize=True, database=None)


def sample(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# --- what may come in -------------------------------------------------------------------------------------------------

TAKERS = {
    "interquartile_mean": statistics.interquartile_mean,
    "median": statistics.median,
    "stratified_bootstrap": statistics.stratified_bootstrap,
    "bootstrap_rules": lambda x: statistics.bootstrap_rules([x]),
    "paired_test": lambda x: statistics.paired_test(x, x),
    "probability_of_improvement": lambda x: statistics.probability_of_improvement(x, x),
    "friedman_nemenyi": lambda x: statistics.friedman_nemenyi([x]),
    "mean_ranks": lambda x: statistics.mean_ranks([[x]]),
    "expected_best": partial(statistics.expected_best, k=1),
    "expected_best_curve": lambda x: statistics.expected_best_curve([x]),
    "choice_stability": lambda x: statistics.choice_stability([x], chosen=0),
    "good_band_interval": lambda x: statistics.good_band_interval([0.1], [x]),
    "good_band": lambda x: statistics.good_band(np.arange(1.0, 1 + len(x)), x),
    "performance_profile_band": lambda x: statistics.performance_profile_band([x], [1.0]),
    "survival": lambda x: statistics.survival(x, 1.0, [1.0]),
}


@pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS)
class TestRefusals:
    def test_nan(self, take):
        with pytest.raises(ValueError, match="found 2 NaN in 4; allowed"):
            take([1.0, NAN, NAN, 2.0])

    def test_infinities_of_both_signs(self, take):
        with pytest.raises(ValueError, match=r"found both \+inf and -inf; allowed"):
            take([1.0, INF, -INF, 2.0])

    def test_nothing(self, take):
        with pytest.raises(ValueError, match=r"found no number \(shape .*\); allowed"):
            take([])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: statistics.holm([0.1, NAN]), "p_values: found 1 NaN"),
        (lambda: statistics.holm([0.1, 1.5]), "p_values: found 0.1 to 1.5; allowed: 0 to 1"),
        (lambda: statistics.wilson(4, 3), "k: found 4 of n = 3"),
        (lambda: statistics.wilson(-1, 3), "k: found -1 of n = 3"),
        (lambda: statistics.wilson(1, 3, confidence=1.0), "confidence: found 1.0"),
        (lambda: statistics.stratified_bootstrap([1, 2], confidence=95), "confidence: found 95"),
        (lambda: statistics.stratified_bootstrap([1, 2], resamples=0), "resamples: found 0"),
        (lambda: statistics.stratified_bootstrap([1, 2], lambda x, axis: x.sum(axis) * NAN), "statistic: found NaN"),
        (lambda: statistics.bootstrap_rules([1, 2]), r"scores: found shape \(2,\)"),
        (lambda: statistics.paired_test([1, 2], [1]), "found lengths 2 and 1"),
        (lambda: statistics.probability_of_improvement([[1], [2]], [1]), "found 2 and 1 strata"),
        (lambda: statistics.expected_best([1, 2], 3), "k: found 3; allowed: 1 to the 2"),
        (lambda: statistics.expected_best([1, 2], 0), "k: found 0"),
        (lambda: statistics.expected_best_curve([1, 2]), r"scores: found shape \(2,\)"),
        (lambda: statistics.expected_best_curve([[1]], resamples=0), "resamples: found 0"),
        (lambda: statistics.expected_best_curve([[1]], confidence=95), "confidence: found 95"),
        (lambda: statistics.choice_stability([[1], [2]], chosen=2), "chosen: found 2; allowed: 0 to 1"),
        (lambda: statistics.choice_stability([[1], [2]], chosen=-1), "chosen: found -1"),
        (lambda: statistics.good_band_interval([0.1, 0.1], [[1], [2]]), "each once"),
        (lambda: statistics.good_band_interval([0.1], [[1], [2]]), "found lengths 1 and 2"),
        (lambda: statistics.good_band_interval([0.1], [[1]], confidence=1), "confidence: found 1"),
        (lambda: statistics.good_band([0.1, 0.0], [1, 2]), "step_sizes: found"),
        (lambda: statistics.good_band([0.1, 0.1], [1, 2]), "each once"),
        (lambda: statistics.good_band([0.1], [1, 2]), "found lengths 1 and 2"),
        (lambda: statistics.good_band([0.1, 1], [1, 2], factor=0.5), "factor, tolerance: found 0.5"),
        (lambda: statistics.best_last_gap([1, NAN, 2]), "NaN before a number"),
        (lambda: statistics.oscillation([1, NAN, 2]), "NaN before a number"),
        (lambda: statistics.oscillation([1, 2]), "found 0.25, 2; allowed"),
        (lambda: statistics.oscillation([1, 2, 3], tail=0), "found 0, 3; allowed"),
        (lambda: statistics.cost_to_target([0, 1], [1, 2, 3], 1), "found 2 for 3 points"),
        (lambda: statistics.cost_to_target([0, 2, 2], [1, 2, 3], 1), "rising"),
        (lambda: statistics.cost_to_target([0, 1], [1, 2], NAN), "target: found NaN"),
        (lambda: statistics.survival([1, 2], [1, 2, 3], [1]), "found 3 for 2"),
        (lambda: statistics.performance_profile_band([1, 2], [1]), r"costs_to_target: found shape \(2,\)"),
        (lambda: statistics.performance_profile_band([[1, 2]], [1], confidence=95), "confidence: found 95"),
        (lambda: statistics.performance_profile_band([[1, 2]], [1], resamples=0), "resamples: found 0"),
        (lambda: statistics.area_under_curve([0, 1], [1, 2, 3]), "found 2 for 3 points"),
        (lambda: statistics.area_under_curve([0, 1, 2], [1, NAN, 3]), "NaN before a number"),
        (lambda: statistics.area_under_curve([0, 1], [1, 2], worst=NAN), "worst: found NaN"),
        (lambda: statistics.area_under_curve([0, 1], [-INF, NAN]), r"found both \+inf and -inf"),
        (lambda: statistics.critical_difference(3, 4, confidence=95), "confidence: found 95"),
    ],
)
def test_refusals_say_what_was_found(call, says):
    with pytest.raises(ValueError, match=says):
        call()


@quick
@given(nasty_lists, nasty_lists)
def test_no_nan_comes_out(a, b):
    n = min(len(a), len(b))
    pairs = np.array([a[:n], b[:n]])
    pairs = np.where(np.arange(n) % 2, pairs, pairs[::-1])
    out = [
        *statistics.stratified_bootstrap(a, resamples=50),
        *statistics.stratified_bootstrap(pairs, resamples=50),
        *statistics.probability_of_improvement(a, b, resamples=50),
        statistics.paired_test(*pairs),
        statistics.area_under_curve(range(n), pairs[0]),
        *statistics.median(pairs, axis=0),
        *np.ravel(statistics.performance_profile_band(np.maximum(pairs, 0), [0.5, INF], resamples=20)),
        *(statistics.expected_best(a, k) for k in range(1, len(a) + 1)),
        statistics.good_band(np.arange(1.0, 1 + len(a)), a),
        *np.ravel(statistics.expected_best_curve(pairs.T, resamples=50)),
        *np.ravel(statistics.expected_best_curve(-pairs, higher=True, resamples=50)),
        *statistics.good_band_interval(np.arange(1.0, 1 + n), pairs.T),
        statistics.choice_stability(pairs.T, chosen=0),
        statistics.best_last_gap([*a, NAN]),
        statistics.oscillation([*a, NAN, NAN]),
        *statistics.friedman_nemenyi([pairs[0], pairs[1]]).ranks,
        *statistics.cost_to_target(range(n), pairs, 0.5),
        *np.ravel(statistics.survival(a, 1.0, [-3.0, 0.5, INF])),
    ]
    assert not np.isnan(np.array(out, dtype=float)).any()


# --- means ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 14))
def test_interquartile_mean_is_the_trimmed_mean(n):
    x = sample(3, n, 4, seed=n)
    np.testing.assert_allclose(
        statistics.interquartile_mean(x, axis=1), stats.trim_mean(x, 0.25, axis=1), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([8, 1, 7, 2, 6, 3, 5, 4], 4.5),
        ([1, 2, 6], 3),
        ([5], 5),
        ([INF, 1, 3, 2], 2.5),
        ([INF, INF, 1, 2], INF),
        ([-INF, 1, 3, 2], 1.5),
        ([INF, INF], INF),
        ([-INF], -INF),
        ([1e308] * 8, 1e308),
        ([0.1] * 10, 0.1),
    ],
)
def test_interquartile_mean_by_hand(scores, expected):
    assert statistics.interquartile_mean(scores) == expected


@pytest.mark.parametrize("n", range(1, 9))
def test_median_is_numpys_where_nothing_failed(n):
    x = sample(3, n, 4, seed=n)
    np.testing.assert_allclose(statistics.median(x, axis=1), np.median(x, axis=1), rtol=1e-12, atol=1e-15)
    x[0, : (n + 1) // 2] = INF  # half or more
    assert (statistics.median(x, axis=1)[0] == INF).all()
    assert statistics.median([1e308, 1e308]) == 1e308


# --- bootstrap --------------------------------------------------------------------------------------------------------


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


# --- shares and tests -------------------------------------------------------------------------------------------------


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
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(0).uniform(size=25) ** 3
    p[4] = p[9]
    np.testing.assert_allclose(statistics.holm(p), multitest.multipletests(p, method="holm")[1], rtol=1e-12)


# --- one rule against another -----------------------------------------------------------------------------------------


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


# --- many rules -------------------------------------------------------------------------------------------------------

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


# --- tuning -----------------------------------------------------------------------------------------------------------


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


SEEDS_OF_3 = list(itertools.product(range(3), repeat=3))


@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
def test_expected_best_curve_enumerates_all_choices(seeds, higher):
    x = np.round(np.exp(sample(6, seeds)), 1)  # with ties
    medians = np.median(x, axis=1)
    curve = statistics.expected_best_curve(x, higher, resamples=10).value
    for k in range(1, 7):
        every = [(max if higher else min)(chosen) for chosen in itertools.combinations(medians, k)]
        assert curve[k - 1] == pytest.approx(np.mean(every))
        assert curve[k - 1] == pytest.approx(statistics.expected_best(medians, k, higher))
    assert curve[-1] == (max if higher else min)(medians)


def test_expected_best_curves_band_is_that_of_all_resamples():
    x = np.array([[1.0, 5, 2], [4, 3, INF], [2, 8, 9]])
    every = []  # 27 draws of the trials by 27 of the seeds, all alike likely
    for seeds, trials in itertools.product(SEEDS_OF_3, SEEDS_OF_3):
        medians = [np.median([x[t, s] for s in seeds]) for t in trials]
        every.append([statistics.expected_best(medians, k) for k in (1, 2, 3)])
    band = statistics.expected_best_curve(x, resamples=20_000, confidence=0.8)
    for k in range(3):
        column = np.array(every)[:, k]
        for end, tail in ((band.low[k], 0.1), (band.high[k], 0.9)):
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
    assert [part.tolist() for part in alone] == [[2], [1], [9]]
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
    every = [statistics.good_band(steps, np.median(x[:, seeds], axis=1), higher=higher) for seeds in SEEDS_OF_3]
    found = statistics.good_band_interval(steps, x, higher=higher)
    assert found.value == statistics.good_band(steps, np.median(x, axis=1), higher=higher)
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
    higher = statistics.good_band_interval(steps, [[1, 5, 2], [2, 3, 4], [6, 7, 1]], higher=True)
    assert higher == statistics.good_band_interval(steps, 1 / np.array([[1, 5, 2], [2, 3, 4], [6, 7, 1.0]]))
    x, rng = np.exp(sample(3, 7)), np.random.default_rng(1)  # 7^7 resamples: drawn
    plain = [statistics.good_band(steps, np.median(x[:, rng.integers(7, size=7)], axis=1)) for _ in range(2000)]
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


# --- curves -----------------------------------------------------------------------------------------------------------


def test_best_last_gap_by_hand():
    curves = [[5, 1, 2, 4], [4, 3, 2, 1], [5, 1, 3, NAN], [2, NAN, NAN, NAN], [1, 2, INF, NAN], [INF] * 4, [NAN] * 4]
    assert statistics.best_last_gap(curves).tolist() == [3, 0, 2, 0, INF, 0, INF]
    assert statistics.best_last_gap(-np.array(curves), higher=True).tolist() == [3, 0, 2, 0, INF, 0, INF]
    assert statistics.best_last_gap(curves[0], higher=True) == 1
    assert statistics.best_last_gap(np.zeros((2, 3, 4))).shape == (2, 3)


def test_oscillation_by_hand():
    t = np.arange(40)
    swing = np.where(t % 2, 1.5, -1.5)
    expected = math.sqrt(np.mean((np.diff(swing[-10:]) - np.diff(swing[-10:]).mean()) ** 2))
    assert statistics.oscillation(3.0 * t) == pytest.approx(0, abs=1e-12)
    assert statistics.oscillation(swing) == pytest.approx(expected)
    assert statistics.oscillation(swing + 3 * t) == pytest.approx(expected)
    assert statistics.oscillation(swing[:9], tail=1) == pytest.approx(3)  # eight differences of +-3
    assert statistics.oscillation(np.where(t < 25, swing, 0)) == 0  # looks at the end alone
    assert statistics.oscillation(np.where(t < 25, 0, swing)) > 2
    assert statistics.oscillation([0, 0, 0, 0, 1, 0]) == pytest.approx(
        1
    )  # a quarter is short of three points: three are taken


def test_oscillation_ignores_what_was_not_measured():
    x = sample(16)
    padded = np.append(x, [NAN] * 7)
    assert statistics.oscillation(padded) == pytest.approx(statistics.oscillation(x))
    assert statistics.oscillation(padded) == pytest.approx(np.std(np.diff(x[-4:])))
    rows = [padded, np.append(x[::-1], [NAN] * 7), np.full(23, NAN), np.append([1.0, 2.0], [NAN] * 21)]
    assert statistics.oscillation(rows)[:2] == pytest.approx(
        [float(statistics.oscillation(row)) for row in (x, x[::-1])]
    )
    assert statistics.oscillation(rows)[2:].tolist() == [INF, INF]
    assert statistics.oscillation([1, 2, 3, INF]) == INF


def test_cost_to_target_by_hand():
    costs, curve = [0, 10, 20, 30], [[9, 5, 3, 4], [9, 9, 9, 9], [9, 2, NAN, NAN], [1, 9, 9, 9]]
    assert statistics.cost_to_target(costs, curve, 4).tolist() == [20, INF, 10, 0]
    assert statistics.cost_to_target(costs, curve, 3)[0] == 20  # reached is at or better
    assert statistics.cost_to_target(costs, -np.array(curve), -4, higher=True).tolist() == [20, INF, 10, 0]
    assert statistics.cost_to_target(costs, curve[0], 4) == 20


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


def test_area_under_curve_by_hand():
    costs, area = [0, 10, 40], statistics.area_under_curve
    assert area(costs, [4, 2, 2]) == pytest.approx((30 + 60) / 40)
    assert area(costs, [5, 5, 5]) == 5
    assert area([7], [3]) == 3
    curves = [[4, 2, NAN], [NAN] * 3, [1, INF, 2], [1, 1, 1]]
    assert area(costs, curves).tolist() == [INF, INF, INF, 1]
    assert area(costs, -np.array(curves), higher=True).tolist() == [-INF, -INF, -INF, -1]
    assert area(costs, [8, 8, NAN], higher=True, worst=0) == pytest.approx((80 + 120) / 40)
    assert area(costs, [NAN] * 3, higher=True, worst=0) == 0
    assert area([0, 1], [1e308, 1e308]) == 1e308


@quick
@given(st.lists(st.tuples(st.integers(1, 50), st.floats(-9, 9)), min_size=2, max_size=12), st.floats(-9, 9))
def test_area_under_curve_is_trapezoids_over_the_width(points, shift):
    widths, curve = np.array(points, dtype=float).T
    costs = np.cumsum(widths)
    expected = np.trapezoid(curve, costs) / np.ptp(costs)
    found = statistics.area_under_curve(costs, [curve, curve + shift])
    assert found[0] == pytest.approx(expected, abs=1e-9)
    assert found[1] == pytest.approx(expected + shift, abs=1e-9)
    assert curve.min() <= found[0] <= curve.max()
    assert statistics.area_under_curve(5 * costs - 3, curve) == pytest.approx(expected, abs=1e-9)


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
