"""The statistics as a whole: what may come in, and that no NaN comes out."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import INF, NAN, quick

from bench.analysis import statistics

nasty = st.sampled_from([0.0, 0.1, 1.0, -2.5, 1e-300, 1e308, -1e308, INF])  # ties, failures, near overflow
nasty_lists = st.lists(nasty, min_size=1, max_size=12)
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
