"""Many rules over many games: mean ranks with intervals, Friedman's test and Nemenyi's (Demsar 2006, JMLR 7:1)."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bench.analysis.statistics.arrays import Array, Band, numbers, within
from bench.analysis.statistics.averages import interquartile_mean
from bench.analysis.statistics.bootstrap import percentiles


class Friedman(NamedTuple):
    """Average ranks [rules] (1 is best), the test over all rules, Nemenyi's p values [rules, rules].

    Where no test can be given, all but the ranks are None and `reason` says why.
    """

    ranks: Array
    statistic: float | None = None
    p: float | None = None
    nemenyi: Array | None = None
    reason: str = ""


def friedman_nemenyi(scores: ArrayLike, higher: bool = False) -> Friedman:
    """Do rules differ over games, and which: scores [games, rules]. Friedman 1937; Nemenyi 1963; Demsar 2006, JMLR 7:1.

    A failure has the worst rank of its game, failures tie. Nemenyi's p is that of the studentised range of mean ranks.
    """
    x = numbers("scores", scores, dims=(2,))
    games, rules = x.shape
    by_game = np.asarray(stats.rankdata(-x if higher else x, axis=1))
    ranks = by_game.mean(axis=0)
    if rules < 3:
        return Friedman(ranks, reason=f"the Friedman test needs at least 3 rules, there are {rules}")
    if games < 2:
        return Friedman(ranks, reason=f"the Friedman test needs at least 2 games, there are {games}")
    if (by_game == by_game[:, :1]).all():
        return Friedman(ranks, reason="in every game all rules tie")
    statistic, p = stats.friedmanchisquare(*by_game.T)
    spread = np.abs(ranks[:, None] - ranks) / math.sqrt(rules * (rules + 1) / (12 * games))
    nemenyi = np.clip(stats.studentized_range.sf(spread, rules, np.inf), 0, 1)
    return Friedman(ranks, float(statistic), float(p), nemenyi)


def mean_ranks(
    scores: ArrayLike, resamples: int = 2000, confidence: float = 0.95, seed: int = 0, higher: bool = False
) -> Band:
    """Mean over games of each rule's rank by interquartile mean (1 is best): [games, rules, n] -> Band of [rules].

    Its bootstrap draws seeds anew, apart in each game and the same for all rules, which shared them. So it says how
    sure the order is on these games, and nothing of others (for that, `friedman_nemenyi`). Agarwal et al. 2021,
    arXiv:2108.13264.
    """
    x = numbers("scores", scores, dims=(3,)) * (-1 if higher else 1)
    within("confidence", confidence, 0, 1)
    rng, n = np.random.default_rng(seed), x.shape[2]
    ranks = np.zeros((x.shape[1], resamples))
    for game in x:
        drawn = game[:, rng.integers(n, size=(resamples, n))]
        ranks += stats.rankdata(interquartile_mean(drawn), axis=0)
    value = stats.rankdata(interquartile_mean(x), axis=1).mean(axis=0)
    return Band(value, *percentiles(ranks / len(x), confidence))


def critical_difference(rules: int, games: int, confidence: float = 0.95) -> float:
    """How far apart mean ranks must be for Nemenyi's test; inf for one rule or no game. Demsar 2006, section 3.2.2."""
    within("confidence", confidence, 0, 1)
    if rules < 2 or games < 1:
        return math.inf
    spread = float(stats.studentized_range.ppf(confidence, rules, np.inf)) / math.sqrt(2)
    return spread * math.sqrt(rules * (rules + 1) / (6 * games))
