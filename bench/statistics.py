"""Statistics of a study: arrays in, numbers out; reads no files.

The protocol follows Agarwal et al. 2021 (arXiv:2108.13264): interquartile mean, stratified bootstrap, probability of
improvement, performance profiles. Each function names its own source.

A failed replica is never dropped: the caller gives it the worst value, +inf where lower is better, -inf where higher
is. NaN is refused everywhere but at the end of a curve, where it means "not measured after divergence".
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

Array = NDArray[np.float64]
Statistic = Callable[..., Any]  # statistic(x, axis=-1): [..., n] -> [...]

ENUMERATED = 6**6  # resamples of a few seeds that are all taken rather than some drawn


class Interval(NamedTuple):
    """A number and its confidence interval."""

    value: float
    low: float
    high: float


class Band(NamedTuple):
    """Numbers and their confidence intervals, three arrays of one shape."""

    value: Array
    low: Array
    high: Array


class Friedman(NamedTuple):
    """Average ranks [rules] (1 is best), the test over all rules, Nemenyi's p values [rules, rules].

    Where no test can be given, all but the ranks are None and `reason` says why.
    """

    ranks: Array
    statistic: float | None = None
    p: float | None = None
    nemenyi: Array | None = None
    reason: str = ""


def _numbers(name: str, given: ArrayLike, dims: tuple[int, ...] = ()) -> Array:
    """`given` as floats: none of them NaN, at least one, infinities of one sign."""
    x = np.asarray(given, dtype=np.float64)
    if dims and x.ndim not in dims:
        raise ValueError(f"{name}: found shape {x.shape}; allowed: {' or '.join(map(str, dims))} dimensions")
    if x.size == 0:
        raise ValueError(f"{name}: found no number (shape {x.shape}); allowed: at least one")
    if np.isnan(x).any():
        raise ValueError(f"{name}: found {np.isnan(x).sum()} NaN in {x.size}; allowed: numbers, and inf for a failure")
    if (x == np.inf).any() and (x == -np.inf).any():
        raise ValueError(f"{name}: found both +inf and -inf; allowed: one of them, as the worst value")
    return x


def _within(name: str, found: float, low: float, high: float) -> None:
    if not low < found < high:
        raise ValueError(f"{name}: found {found}; allowed: above {low} and below {high}")


def _mean(x: Array) -> Array:
    """Mean over the last axis [..., n] -> [...]: cannot overflow, and exact where all n are equal."""
    return np.asarray(np.clip((x / x.shape[-1]).sum(-1), x.min(-1), x.max(-1)))


def interquartile_mean(scores: ArrayLike, axis: int = -1) -> Array:
    """Mean of the middle half, n // 4 cut at each end: [..., n] -> [...]. Agarwal et al. 2021, arXiv:2108.13264."""
    x = np.sort(np.moveaxis(_numbers("scores", scores), axis, -1), axis=-1)
    cut = x.shape[-1] // 4
    return _mean(x[..., cut : x.shape[-1] - cut])


def optimality_gap(scores: ArrayLike, target: float, axis: int = -1, higher: bool = False) -> Array:
    """Mean shortfall from `target`, 0 where better: [..., n] -> [...]. Agarwal et al. 2021, arXiv:2108.13264."""
    x, sign = np.moveaxis(_numbers("scores", scores), axis, -1), -1 if higher else 1
    if not math.isfinite(target):
        raise ValueError(f"target: found {target}; allowed: a finite number")
    return _mean(np.maximum(sign * (x - target), 0))


def _draw(strata: int, n: int, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions [resamples, strata * n] in the strata laid end to end, each stratum drawn from itself alone."""
    drawn = rng.integers(n, size=(resamples, strata, n)) + n * np.arange(strata)[:, None]
    return drawn.reshape(resamples, strata * n)


def _counts(drawn: NDArray[np.int64]) -> NDArray[np.int32]:
    """How often each position was drawn: [resamples, N] -> [N, resamples]."""
    resamples, n = drawn.shape
    flat = (drawn * resamples + np.arange(resamples)[:, None]).ravel()
    return np.bincount(flat, minlength=n * resamples).astype(np.int32).reshape(n, resamples)


def _resampled_iqm(scores: Array, counts: NDArray[np.int32]) -> Array:
    """Interquartile mean of every resample: [N], [N, resamples] -> [resamples].

    A sorted resample is the sorted scores, each repeated as often as it was drawn. So the scores are sorted once, and
    the running count says where each one's copies end: clipped to the middle half, it leaves the copies that are kept.
    No resample is gathered or sorted, and every rule uses the same counts, which pairs the rules.
    """
    n, order = len(scores), np.argsort(scores)
    cut = n // 4
    ends = np.clip(np.cumsum(counts[order], axis=0, dtype=np.int32), cut, n - cut)
    kept = np.diff(ends, axis=0, prepend=np.int32(cut))
    ordered, failed = scores[order], np.isinf(scores[order])
    if failed.all():
        return np.full(counts.shape[1], ordered[0])
    finite = np.where(failed, ordered[~failed][0], ordered)  # since 0 * inf is NaN
    values = np.clip(finite / (n - 2 * cut) @ kept, finite.min(), finite.max())
    if failed.any():
        values[kept[failed].any(axis=0)] = ordered[failed][0]
    return values


def _percentiles(values: Array, confidence: float) -> tuple[Array, Array]:
    """Both ends of the central share of values [..., resamples]."""
    # Order statistics as they are, the outer one of two: an interpolation between infinities would be NaN.
    last = values.shape[-1] - 1
    tail = int((1 - confidence) / 2 * last)
    ordered = np.partition(values, (tail, last - tail), axis=-1)
    return ordered[..., tail], ordered[..., last - tail]


def bootstrap_rules(
    scores: ArrayLike,
    statistic: Statistic = interquartile_mean,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Band:
    """Percentile bootstrap of many rules on the same resamples: [rules, n] or [rules, strata, n] -> Band of [rules].

    Each stratum (a game) is resampled apart; `statistic(x, axis=-1)` is that of the strata pooled. Efron 1979;
    stratified: Agarwal et al. 2021, arXiv:2108.13264.
    """
    x = _numbers("scores", scores, dims=(2, 3))
    _within("confidence", confidence, 0, 1)
    _within("resamples", resamples, 0, math.inf)
    strata, n = x.shape[1:] if x.ndim == 3 else (1, x.shape[1])
    pooled = x.reshape(len(x), strata * n)
    drawn = _draw(strata, n, resamples, np.random.default_rng(seed))
    if statistic is interquartile_mean:
        counts = _counts(drawn)
        values = np.stack([_resampled_iqm(row, counts) for row in pooled])
    else:
        values = np.stack([np.asarray(statistic(row[drawn], axis=-1), dtype=np.float64) for row in pooled])
    if np.isnan(values).any():
        raise ValueError(f"statistic: found NaN in {np.isnan(values).sum()} resamples; allowed: numbers and infinities")
    return Band(np.asarray(statistic(pooled, axis=-1), dtype=np.float64), *_percentiles(values, confidence))


def stratified_bootstrap(
    scores: ArrayLike,
    statistic: Statistic = interquartile_mean,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """`bootstrap_rules` for one rule: scores [n] or [strata, n] -> Interval."""
    x = _numbers("scores", scores, dims=(1, 2))
    band = bootstrap_rules(x[None], statistic, resamples, confidence, seed)
    return Interval(*(float(part[0]) for part in band))


def _wilson(share: Array, n: Array, confidence: float) -> Band:
    """Wilson's interval for shares [...] of n > 0 trials [...]; n need not be whole."""
    _within("confidence", confidence, 0, 1)
    z = float(special.ndtri((1 + confidence) / 2))
    centre = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    low, high = (np.clip((centre + side * half) / (1 + z**2 / n), 0, 1) for side in (-1, 1))
    return Band(share, np.where(share == 0, 0.0, low), np.where(share == 1, 1.0, high))


def wilson(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Share k/n and its score interval; of no trials nothing is known: (0, 0, 1). Wilson 1927, JASA 22:209."""
    if not 0 <= k <= n:
        raise ValueError(f"k: found {k} of n = {n}; allowed: from 0 to n")
    if n == 0:
        return Interval(0.0, 0.0, 1.0)
    return Interval(*(float(x) for x in _wilson(np.asarray(k / n), np.asarray(float(n)), confidence)))


def paired_test(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test on pairs a[n], b[n]. Wilcoxon 1945.

    Exact at every n, ties included: the distribution of the rank sum over all 2^n sign flips. Equal pairs (two failures
    too) are left out; a failure against a number is the largest difference of all. Nothing left gives p = 1.
    """
    x, y = _numbers("a", a, dims=(1,)), _numbers("b", b, dims=(1,))
    if x.shape != y.shape:
        raise ValueError(f"a, b: found lengths {len(x)} and {len(y)}; allowed: equal ones, since they are paired")
    with np.errstate(over="ignore"):
        gaps = x[x != y] - y[x != y]
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
    p = _numbers("p_values", p_values, dims=(1,))
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
    x, y = (np.atleast_2d(_numbers(name, given, dims=(1, 2))) for name, given in (("a", a), ("b", b)))
    _within("confidence", confidence, 0, 1)
    _within("resamples", resamples, 0, math.inf)
    if len(x) != len(y):
        raise ValueError(f"a, b: found {len(x)} and {len(y)} strata; allowed: equally many")
    if higher:
        x, y = -x, -y
    rng = np.random.default_rng(seed)
    wins = (x[:, :, None] < y[:, None]) + 0.5 * (x[:, :, None] == y[:, None])
    total = np.zeros(resamples)
    for stratum in wins:
        rows, columns = (_counts(_draw(1, n, resamples, rng)).astype(np.float64) for n in stratum.shape)
        total += ((stratum.T @ rows) * columns).sum(axis=0)
    low, high = _percentiles(total / wins.size, confidence)
    return Interval(float(wins.mean()), float(low), float(high))


def cliffs_delta(a: ArrayLike, b: ArrayLike) -> float:
    """Effect size P(a > b) - P(a < b) over all pairs of a[n], b[m], in [-1, 1]. Cliff 1993, Psychol. Bull. 114:494."""
    x, y = _numbers("a", a, dims=(1,))[:, None], _numbers("b", b, dims=(1,))
    return float((x > y).mean() - (x < y).mean())


def friedman_nemenyi(scores: ArrayLike, higher: bool = False) -> Friedman:
    """Do rules differ over games, and which: scores [games, rules]. Friedman 1937; Nemenyi 1963; Demsar 2006, JMLR 7:1.

    A failure has the worst rank of its game, failures tie. Nemenyi's p is that of the studentised range of mean ranks.
    """
    x = _numbers("scores", scores, dims=(2,))
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


def expected_best(scores: ArrayLike, k: int, higher: bool = False) -> float:
    """Expected best of k of n trials [n], drawn without replacement: sum of x_(i) C(n-i, k-1) / C(n, k), i = 1..n-k+1.

    Dodge et al. 2019, arXiv:1909.03004; without replacement, and so unbiased: Tang et al. 2020, arXiv:2004.13705.
    """
    x = np.sort(_numbers("scores", scores, dims=(1,)) * (-1 if higher else 1))
    n = len(x)
    if not 1 <= k <= n:
        raise ValueError(f"k: found {k}; allowed: 1 to the {n} trials there are")
    x = x[: n - k + 1]
    if np.isinf(x).any():
        best = float(x[np.isinf(x)][0])
    else:
        best = sum(math.comb(n - 1 - i, k - 1) / math.comb(n, k) * float(score) for i, score in enumerate(x))
    return -best if higher else best


def _medians(x: Array) -> Array:
    """Median over the last axis [..., n] -> [...]: that of a failure and a number is a failure, and none overflows."""
    ordered, n = np.sort(x, axis=-1), x.shape[-1]
    return _mean(ordered[..., [(n - 1) // 2, n // 2]])


def _resampled_medians(scores: Array, drawn: NDArray[np.int64]) -> Array:
    """Every trial's median over resampled seeds, the same ones for all trials: [T, S], [B, S] -> [T, B]."""
    return np.stack([_medians(row[drawn]) for row in scores])


def _seed_draws(seeds: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """Resamples of seeds [B, seeds]: all of them where they are at most ENUMERATED, else so many random ones."""
    _within("resamples", resamples, 0, math.inf)
    if seeds**seeds > ENUMERATED:
        return np.random.default_rng(seed).integers(seeds, size=(resamples, seeds))
    return np.stack(np.unravel_index(np.arange(seeds**seeds), (seeds,) * seeds), axis=1)


def _expected_bests(trials: Array) -> Array:
    """`expected_best` of k = 1..n of trials, lower is better: [B, n] -> [B, n]."""
    x, n = np.sort(trials, axis=1), trials.shape[1]
    k, i = np.arange(1, n + 1), np.arange(n - 1)
    onward = np.maximum(n - i - k[:, None], 0) / (n - 1 - i)  # C(n-2-i, k-1) / C(n-1-i, k-1): no binomial overflows
    weights = np.cumprod(np.concatenate([k[:, None] / n, onward], axis=1), axis=1)
    finite = np.isfinite(x)  # the others are left out, since 0 * inf is NaN
    low = x.min(axis=1, where=finite, initial=np.inf, keepdims=True)
    high = x.max(axis=1, where=finite, initial=-np.inf, keepdims=True)
    best = np.clip(np.where(finite, x, 0) @ weights.T, low, high)
    best = np.where(np.isneginf(x[:, :1]), -np.inf, best)
    return np.where(k <= np.isposinf(x).sum(axis=1, keepdims=True), np.inf, best)


def expected_best_curve(
    scores: ArrayLike, higher: bool = False, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> Band:
    """`expected_best` of k = 1..T trials by their medians over the seeds: [T, S] -> Band of [T].

    The interval is a percentile bootstrap that draws trials and seeds apart, a seed for all trials at once, since they
    meet the same starts there; for such crossed data no bootstrap is exact, this one errs towards wide: Owen 2007, the
    pigeonhole bootstrap, Ann. Appl. Stat. 1:386. As far as k failures may be drawn the value is infinite, and an end of
    the interval is where so many resamples are. At k = T the value is the best of all, and few resamples are better.
    """
    x = _numbers("scores", scores, dims=(2,)) * (-1 if higher else 1)
    _within("confidence", confidence, 0, 1)
    _within("resamples", resamples, 0, math.inf)
    rng, (trials, seeds) = np.random.default_rng(seed), x.shape
    medians = _resampled_medians(x, rng.integers(seeds, size=(resamples, seeds)))
    drawn = np.take_along_axis(medians.T, rng.integers(trials, size=(resamples, trials)), axis=1)
    low, high = _percentiles(_expected_bests(drawn).T, confidence)
    value = _expected_bests(_medians(x)[None])[0]
    return Band(-value, -high, -low) if higher else Band(value, low, high)


def choice_stability(
    scores: ArrayLike, chosen: int, higher: bool = False, resamples: int = 10_000, seed: int = 0
) -> float:
    """Share of resamples of the seeds in which another trial's interquartile mean beats the chosen one's: [T, S].

    0 is a choice that no draw of these seeds would change. A tie changes nothing. All S^S resamples of up to six seeds,
    else random ones. The measure is this suite's own.
    """
    x = _numbers("scores", scores, dims=(2,)) * (-1 if higher else 1)
    if not 0 <= chosen < len(x):
        raise ValueError(f"chosen: found {chosen}; allowed: 0 to {len(x) - 1}, a trial's place")
    means = interquartile_mean(x[:, _seed_draws(x.shape[1], resamples, seed)])
    best = means.min(axis=0)
    return float(((best < means[chosen]) & ~np.isclose(best, means[chosen], rtol=1e-12, atol=0)).mean())


def _widths(step_sizes: ArrayLike, scores: Array, factor: float, tolerance: float, higher: bool) -> Array:
    """`good_band` of scores [..., S] at step sizes [S]: [...]."""
    steps = _numbers("step_sizes", step_sizes, dims=(1,))
    if len(steps) != scores.shape[-1]:
        raise ValueError(f"step_sizes, scores: found lengths {len(steps)} and {scores.shape[-1]}; allowed: equal ones")
    if steps.min() <= 0 or np.isinf(steps).any() or len(np.unique(steps)) < len(steps):
        raise ValueError(f"step_sizes: found {steps.tolist()}; allowed: positive, finite, each once")
    if factor < 1 or tolerance < 0:
        raise ValueError(f"factor, tolerance: found {factor}, {tolerance}; allowed: at least 1, at least 0")
    order = np.argsort(steps)
    steps, x = np.log10(steps[order]), scores[..., order]
    with np.errstate(over="ignore"):
        if higher:
            best = x.max(axis=-1, keepdims=True)
            good = x >= np.minimum(best / factor, best - tolerance)
        else:
            best = x.min(axis=-1, keepdims=True)
            good = x <= np.maximum(best * factor, best + tolerance)
    good &= np.isfinite(x)
    return np.asarray(((good[..., 1:] & good[..., :-1]) * np.diff(steps)).sum(axis=-1))


def good_band(
    step_sizes: ArrayLike, scores: ArrayLike, factor: float = 2.0, tolerance: float = 0.0, higher: bool = False
) -> float:
    """Decades of step size [S] that do well by scores [S]: the log10 gaps between neighbours both good, summed.

    Good is within `factor` (of use where scores are positive) or `tolerance` of the best score, whichever is wider. A
    failure is never good, and one good step size alone is 0 wide. The measure is this suite's own.
    """
    return float(_widths(step_sizes, _numbers("scores", scores, dims=(1,)), factor, tolerance, higher))


def good_band_interval(
    step_sizes: ArrayLike,
    scores: ArrayLike,
    factor: float = 2.0,
    tolerance: float = 0.0,
    higher: bool = False,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """`good_band` by the medians of scores [S, seeds], with its percentile bootstrap over the seeds. Efron 1979.

    All resamples where they are at most 10,000, else random ones. Step sizes stand as they were tried, so how finely
    they were is in no interval.
    """
    x = _numbers("scores", scores, dims=(2,))
    _within("confidence", confidence, 0, 1)
    medians = _resampled_medians(x, _seed_draws(x.shape[1], resamples, seed))
    low, high = _percentiles(_widths(step_sizes, medians.T, factor, tolerance, higher), confidence)
    return Interval(good_band(step_sizes, _medians(x), factor, tolerance, higher), float(low), float(high))


def _curve(curve: ArrayLike) -> tuple[Array, NDArray[np.int64]]:
    """Curves [..., T] and how many points of each were measured [...]: NaN at the end only."""
    x = np.asarray(curve, dtype=np.float64)
    if x.size == 0:
        raise ValueError(f"curve: found no number (shape {x.shape}); allowed: at least one")
    missing = np.isnan(x)
    if (missing[..., :-1] & ~missing[..., 1:]).any():
        raise ValueError("curve: found NaN before a number; allowed: NaN at the end only, after divergence")
    return x, (~missing).sum(axis=-1)


def best_last_gap(curve: ArrayLike, higher: bool = False) -> Array:
    """How much worse the last measured point is than the best: [..., T] -> [...] >= 0; inf where none was measured."""
    x, measured = _curve(curve)
    x = -x if higher else x
    last = np.take_along_axis(x, np.maximum(measured - 1, 0)[..., None], axis=-1)[..., 0]
    best = np.where(np.isnan(x), np.inf, x).min(axis=-1)
    gap = np.zeros(last.shape)
    with np.errstate(over="ignore"):
        np.subtract(last, best, out=gap, where=last != best)
    return np.where(measured == 0, np.inf, gap)


def oscillation(curve: ArrayLike, tail: float = 0.25) -> Array:
    """Standard deviation of successive differences over the last `tail` of the measured points: [..., T] -> [...].

    0 at rest and for a steady drift, 2A for a swing between +A and -A at an even number of differences. It looks at 3
    points or more; a curve that failed before it had 3, or is infinite there, gives inf. The root of von Neumann's mean
    square successive difference (1941), with the drift taken off.
    """
    x, measured = _curve(curve)
    if not 0 < tail <= 1 or x.shape[-1] < 3:
        raise ValueError(f"tail, points: found {tail}, {x.shape[-1]}; allowed: above 0 and at most 1, at least 3")
    ends, points = measured[..., None], np.maximum(np.ceil(tail * measured), 3)[..., None]
    left = np.arange(x.shape[-1] - 1)
    inside = (left >= ends - points) & (left + 1 < ends)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(x, axis=-1)
        drift = np.where(inside, steps, 0).sum(axis=-1, keepdims=True) / (points - 1)
        square = np.where(inside, (steps - drift) ** 2, 0).sum(axis=-1) / (points - 1)[..., 0]
    return np.where(np.isfinite(square) & (measured >= 3), np.sqrt(np.nan_to_num(square)), np.inf)


def cost_to_target(costs: ArrayLike, curve: ArrayLike, target: float, higher: bool = False) -> Array:
    """First of costs [T] at which curve [..., T] is at `target` or better: [...]; inf where it never is."""
    at, (x, _) = _numbers("costs", costs, dims=(1,)), _curve(curve)
    if x.shape[-1] != len(at) or (np.diff(at) <= 0).any():
        raise ValueError(f"costs: found {len(at)} for {x.shape[-1]} points; allowed: one a point, rising")
    if math.isnan(target):
        raise ValueError("target: found NaN; allowed: a number")
    reached = x >= target if higher else x <= target
    return np.where(reached.any(axis=-1), at[reached.argmax(axis=-1)], np.inf)


def performance_profile(costs_to_target: ArrayLike, grid: ArrayLike) -> Array:
    """Share of runs done by each cost: [rules, n], [G] -> [rules, G]; inf is never done. After Dolan and More 2002."""
    costs, at = _numbers("costs_to_target", costs_to_target, dims=(2,)), _numbers("grid", grid, dims=(1,))
    return np.asarray(((costs[..., None] <= at) & np.isfinite(costs)[..., None]).mean(axis=1))


def survival(event_costs: ArrayLike, censored_at: ArrayLike, grid: ArrayLike, confidence: float = 0.95) -> Band:
    """Share still alive after each cost of grid [G], of n replicas whose event came at event_costs [n], inf for never.

    censored_at ([n] or a number) is where watching ended. Kaplan and Meier 1958; the interval is Wilson's with Peto's
    effective number at risk, as in Rothman 1978, which is n itself, and so Wilson's own, as long as none is censored.
    """
    events, ends = _numbers("event_costs", event_costs, dims=(1,)), _numbers("censored_at", censored_at, dims=(0, 1))
    at = _numbers("grid", grid, dims=(1,))
    if ends.ndim and ends.shape != events.shape:
        raise ValueError(f"censored_at: found {len(ends)} for {len(events)} replicas; allowed: one each, or one number")
    times, died = np.minimum(events, ends), (events <= ends) & np.isfinite(events)
    moments = np.unique(times[np.isfinite(times)])
    at_risk = (times >= moments[:, None]).sum(axis=1)
    deaths = ((times == moments[:, None]) & died).sum(axis=1)
    share = np.cumprod(np.append(1.0, 1 - deaths / at_risk))
    effective = np.append(len(times), at_risk / share[:-1])  # share is 0 at the last moment only: nobody is left then
    since = np.searchsorted(moments, at, side="right")
    return _wilson(share[since], effective[since], confidence)
