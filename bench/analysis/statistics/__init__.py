"""Statistics of a study: arrays in, numbers out; reads no files.

The protocol follows Agarwal et al. 2021 (arXiv:2108.13264): interquartile mean, stratified bootstrap, probability of
improvement, performance profiles. Each function names its own source.

A failed replica is never dropped: the caller gives it the worst value, +inf where lower is better, -inf where higher
is. NaN is refused everywhere but at the end of a curve, where it means "not measured after divergence".

    from bench.analysis.statistics import bootstrap_rules

    bootstrap_rules(scores)  # [rules, seeds] -> value, low and high of each rule's interquartile mean

This package imports nothing of `bench`.
"""

from bench.analysis.statistics.arrays import Array, Band, Interval, Statistic
from bench.analysis.statistics.averages import interquartile_mean, median
from bench.analysis.statistics.bootstrap import bootstrap_rules, stratified_bootstrap
from bench.analysis.statistics.curves import area_under_curve, best_last_gap, cost_to_target, oscillation
from bench.analysis.statistics.factors import Shares, factor_shares
from bench.analysis.statistics.pairs import (
    holm,
    paired_test,
    probability_of_improvement,
)
from bench.analysis.statistics.power import games_needed, seeds_needed
from bench.analysis.statistics.ranks import Friedman, critical_difference, friedman_nemenyi, mean_ranks
from bench.analysis.statistics.shares import performance_profile_band, survival, wilson
from bench.analysis.statistics.tuning import (
    choice_stability,
    expected_best,
    expected_best_curve,
    good_band,
    good_band_interval,
)

__all__ = [
    "Array",
    "Band",
    "Friedman",
    "Interval",
    "Shares",
    "Statistic",
    "area_under_curve",
    "best_last_gap",
    "bootstrap_rules",
    "choice_stability",
    "cost_to_target",
    "critical_difference",
    "expected_best",
    "expected_best_curve",
    "factor_shares",
    "friedman_nemenyi",
    "games_needed",
    "good_band",
    "good_band_interval",
    "holm",
    "interquartile_mean",
    "mean_ranks",
    "median",
    "oscillation",
    "paired_test",
    "performance_profile_band",
    "probability_of_improvement",
    "seeds_needed",
    "stratified_bootstrap",
    "survival",
    "wilson",
]
