"""How much more would tell apart what is not told apart: seeds for the paired test, games for Nemenyi's.

Both take the effect that was seen for the true one. That is a plan for another run, not a second verdict: where the
effect seen is chance, so is the number.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from bench.analysis.statistics.arrays import numbers, within
from bench.analysis.statistics.pairs import paired_gaps

POWER = 0.8
"""The usual one: four of five runs of that size would tell them apart."""


def seeds_needed(a: ArrayLike, b: ArrayLike, level: float = 0.05, power: float = POWER) -> float:
    """How many pairs Wilcoxon's signed-rank test needs to tell a[n] from b[n]: a whole number, or inf.

    N = (z_(1 - level/2) + z_power)^2 / (3 (p - 1/2)^2), with p the share of pairs of differences whose sum is above 0,
    ties half. Noether 1987, JASA 82:645, section 4. As in `paired_test`, equal pairs say nothing, so that N counts the
    others and is divided by their share; a failure against a number is the largest difference. Never fewer than the
    exact test needs where all differences have one sign: 2^(1 - N) <= level.

    Args:
        a, b: scores of the same n seeds, inf for a failure.
        level: of the test, with its correction for several comparisons: 0.05 / 3 for the first step of Holm's of three.
        power: how often so many seeds tell them apart if they differ as these do.

    Returns:
        inf where the differences lean to neither side, and where fewer than two differ: then nothing is known of them.
    """
    within("level", level, 0, 1)
    within("power", power, 0, 1)
    gaps = paired_gaps(a, b)
    n = len(gaps)
    if n < 2:
        return math.inf
    ranked = np.sign(gaps) * stats.rankdata(np.abs(gaps))  # two infinities have no sum; ranks order sums as well
    sums = np.add.outer(ranked, ranked)[np.triu_indices(n, k=1)]
    lean = abs(float(np.sign(sums).mean())) / 2  # |p - 1/2|
    if lean == 0:
        return math.inf
    z = float(special.ndtri(1 - level / 2) + special.ndtri(power))
    pairs = max(z**2 / (3 * lean**2), 1 - math.log2(level))
    return float(math.ceil(pairs * len(numbers("a", a)) / n))


def games_needed(difference: float, rules: int, level: float = 0.05, power: float = POWER) -> float:
    """Over how many games Nemenyi's test tells two mean ranks apart that differ by so much: a whole number, or inf.

    N = (q + z_power)^2 k (k + 1) / (6 difference^2) for k rules, q the critical value of Nemenyi's test at the level:
    the critical difference of Demsar 2006 (JMLR 7:1, section 3.2.2) solved for N, with what the power adds. Ranks are
    of games, so that more seeds do not help.
    """
    within("level", level, 0, 1)
    within("power", power, 0, 1)
    within("difference", difference, -math.inf, math.inf)
    if rules < 2 or difference == 0:
        return math.inf
    q = float(stats.studentized_range.ppf(1 - level, rules, np.inf)) / math.sqrt(2)
    return float(math.ceil((q + float(special.ndtri(power))) ** 2 * rules * (rules + 1) / (6 * difference**2)))
