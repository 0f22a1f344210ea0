"""One rule against another: a paired test, Holm's correction, probability of improvement."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bench.analysis.statistics.arrays import Array, Interval, numbers, within
from bench.analysis.statistics.bootstrap import counts, draw, percentiles


def paired_gaps(a: ArrayLike, b: ArrayLike) -> Array:
    """Differences of pairs a[n], b[n], those that are equal (two failures too) left out: [at most n]."""
    x, y = numbers("a", a, dims=(1,)), numbers("b", b, dims=(1,))
    if x.shape != y.shape:
        raise ValueError(f"a, b: found lengths {len(x)} and {len(y)}; allowed: equal ones, since they are paired")
    with np.errstate(over="ignore"):
        return np.asarray(x[x != y] - y[x != y])


def paired_test(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test on pairs a[n], b[n]. Wilcoxon 1945.

    Exact at every n, ties included: the distribution of the rank sum over all 2^n sign flips. Equal pairs (two failures
    too) are left out; a failure against a number is the largest difference of all. Nothing left gives p = 1.
    """
    gaps = paired_gaps(a, b)
    ranks = np.rint(2 * stats.rankdata(np.abs(gaps))).astype(int)  # tied ranks are halves: doubled, whole
    chance = np.zeros(ranks.sum() + 1)  # chance[s]: the positive ranks sum to s
    chance[0] = 1
    for rank in ranks:
        chance[rank:] += chance[:-rank].copy()
        chance /= 2
    off_centre = np.abs(2 * np.arange(len(chance)) - ranks.sum())
    return min(1.0, float(chance[off_centre >= abs(2 * ranks[gaps > 0].sum() - ranks.sum())].sum()))


def holm(p_values: ArrayLike) -> Array:
    """Adjusted p values [m] -> [m], the family's error rate kept. Holm 1979, Scand. J. Statist. 6:65."""
    p = numbers("p_values", p_values, dims=(1,))
    if p.min() < 0 or p.max() > 1:
        raise ValueError(f"p_values: found {p.min()} to {p.max()}; allowed: 0 to 1")
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def probability_of_improvement(
    a: ArrayLike, b: ArrayLike, higher: bool = False, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """P(a run of a is better than one of b), ties half, mean over strata: a [n] or [strata, n], b [m] or [strata, m].

    Mann-Whitney's U / nm, its interval by a bootstrap that draws a and b apart. Agarwal et al. 2021, arXiv:2108.13264.
    """
    x, y = (np.atleast_2d(numbers(name, given, dims=(1, 2))) for name, given in (("a", a), ("b", b)))
    within("confidence", confidence, 0, 1)
    within("resamples", resamples, 0, math.inf)
    if len(x) != len(y):
        raise ValueError(f"a, b: found {len(x)} and {len(y)} strata; allowed: equally many")
    if higher:
        x, y = -x, -y
    rng = np.random.default_rng(seed)
    wins = (x[:, :, None] < y[:, None]) + 0.5 * (x[:, :, None] == y[:, None])
    total = np.zeros(resamples)
    for stratum in wins:
        rows, columns = (counts(draw(1, n, resamples, rng)).astype(np.float64) for n in stratum.shape)
        total += ((stratum.T @ rows) * columns).sum(axis=0)
    low, high = percentiles(total / wins.size, confidence)
    return Interval(float(wins.mean()), float(low), float(high))
