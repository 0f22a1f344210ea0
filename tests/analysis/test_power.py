"""How many seeds, how many games: against simulated tests, known cases, and where nothing can be said."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from samples import INF, sample
from scipy import stats

from bench.analysis.statistics import critical_difference, friedman_nemenyi, games_needed, paired_test, seeds_needed

Quantile = Callable[[np.ndarray], np.ndarray]  # of the differences: shares in (0, 1) -> differences
SIMULATED = 500
ERROR = 4 * math.sqrt(0.8 * 0.2 / SIMULATED)  # four standard errors of a simulated power near 0.8

LAWS: dict[str, Quantile] = {
    "normal": lambda u: stats.norm.ppf(u) + 0.35,
    "heavy-tailed": lambda u: stats.t.ppf(u, 3) + 0.4,
    "skewed": lambda u: stats.expon.ppf(u) - 0.6,
    "failing": lambda u: np.where(u < 0.1, INF, stats.norm.ppf((u - 0.1).clip(0) / 0.9) + 0.2),
    "tied": lambda u: np.where(u < 0.4, 0.0, stats.norm.ppf((u - 0.4).clip(0) / 0.6) + 0.45),
}
"""Differences of pairs; of two, a tenth of the seeds fail under the first rule alone, and four in ten end alike."""


@pytest.mark.parametrize("level", [0.05, 0.05 / 3])
@pytest.mark.parametrize("law", LAWS)
def test_so_many_seeds_have_that_power(law: str, level: float) -> None:
    """The effect is taken from a law's quantiles; Wilcoxon's test of N pairs drawn from it then finds it in 80 %."""
    differences = LAWS[law]((np.arange(2000) + 0.5) / 2000)
    needed = int(seeds_needed(differences, np.zeros(2000), level))
    assert 20 < needed < 250
    drawn = LAWS[law](np.random.default_rng(0).random((SIMULATED, needed)))
    found = [paired_test(one, np.zeros(needed)) <= level for one in drawn]
    assert np.mean(found) == pytest.approx(0.8, abs=ERROR)


def test_by_hand() -> None:
    """Four of the six sums of two differences are above 0: 1+2, 1+4, 2+4, 4-3, but not 1-3 and 2-3."""
    a = np.array([1.0, 2.0, 4.0, -3.0])
    expected = (1.959964 + 0.841621) ** 2 / (3 * (4 / 6 - 1 / 2) ** 2)
    assert seeds_needed(a, np.zeros(4)) == math.ceil(expected) == 95
    assert seeds_needed(np.append(a, np.full(4, 7.0)), np.append(np.zeros(4), np.full(4, 7.0))) == math.ceil(
        2 * expected
    )


def test_more_comparisons_and_more_power_take_more_seeds() -> None:
    a, b = sample(20), sample(20, seed=1) + 0.5
    assert seeds_needed(a, b) < seeds_needed(a, b, level=0.05 / 5) < seeds_needed(a, b, level=0.05 / 50)
    assert seeds_needed(a, b, power=0.5) < seeds_needed(a, b, power=0.95)
    assert seeds_needed(a, b) == seeds_needed(b, a) == seeds_needed(a[::-1], b[::-1])


@pytest.mark.parametrize("rules", [1, 3, 70, 10_000])
def test_never_fewer_than_the_exact_test_can_decide(rules: int) -> None:
    """With all differences on one side: so many pairs are significant, whatever the normal approximation says."""
    needed = int(seeds_needed(np.arange(1.0, 9), np.zeros(8), level=0.05 / rules))
    assert paired_test(np.arange(1.0, needed + 1), np.zeros(needed)) <= 0.05 / rules


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([2.0] * 9, [2.0] * 9),
        ([INF] * 9, [INF] * 9),
        ([1.0], [2.0]),
        ([1.0] * 8 + [2.0], [1.0] * 9),
        ([1.0, 2.0], [2.0, 1.0]),
        ([INF, 0.0], [0.0, INF]),
        ([INF, 0.0, INF, 1.0], [0.0, INF, INF, 1.0]),
    ],
)
def test_where_nothing_leans_no_number_is_enough(a: list[float], b: list[float]) -> None:
    assert seeds_needed(a, b) == INF


def test_failures_are_numbers_too() -> None:
    for a, b in (([INF] * 6, [1.0] * 6), ([INF, 1, 2, 3], [1, 2, INF, 2.5]), ([INF, INF, 0], [0, 1, INF])):
        assert 1 < seeds_needed(a, b) < INF
    with pytest.raises(ValueError, match="NaN"):
        seeds_needed([math.nan, 1], [1, 2])
    with pytest.raises(ValueError, match="level: found 0"):
        seeds_needed([1, 2], [2, 2], level=0)
    with pytest.raises(ValueError, match="power: found 1"):
        seeds_needed([1, 2], [2, 2], power=1)


def test_games_for_nemenyis_test() -> None:
    """At power 1/2 it is where the critical difference is what was seen; at 80 % it takes more."""
    for rules, difference in ((3, 0.8), (10, 2.5), (24, 6.0)):
        games = int(games_needed(difference, rules, power=0.5))
        assert critical_difference(rules, games) <= difference < critical_difference(rules, games - 1)
        assert games < games_needed(difference, rules) == games_needed(-difference, rules)
    assert games_needed(0.0, 5) == games_needed(1.0, 1) == INF


def test_so_many_games_have_that_power() -> None:
    """Rules with normal scores over independent games: the first two are told apart in about 80 % of simulations."""
    means, rng = np.array([0.0, 0.6, 0.3, 0.3]), np.random.default_rng(1)
    ranks = friedman_nemenyi(means + rng.normal(size=(4000, 4))).ranks
    games = int(games_needed(ranks[1] - ranks[0], 4))
    drawn = means + rng.normal(size=(SIMULATED, games, 4))
    apart = np.diff(np.argsort(np.argsort(drawn, axis=2), axis=2).mean(axis=1)[:, :2], axis=1)[:, 0]
    assert np.mean(apart >= critical_difference(4, games)) == pytest.approx(0.8, abs=ERROR)
