"""Statistics of tuning: the expected best of k trials, the stability of the choice, the width of the good band."""

import math
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.analysis.statistics.arrays import ENUMERATED, Array, Band, Interval, numbers, within
from bench.analysis.statistics.averages import interquartile_mean
from bench.analysis.statistics.bootstrap import percentiles


def expected_best(scores: ArrayLike, k: int, higher: bool = False) -> float:
    """Expected best of k of n trials [n], drawn without replacement: sum of x_(i) C(n-i, k-1) / C(n, k), i = 1..n-k+1.

    Dodge et al. 2019, arXiv:1909.03004; without replacement, and so unbiased: Tang et al. 2020, arXiv:2004.13705.
    """
    x = np.sort(numbers("scores", scores, dims=(1,)) * (-1 if higher else 1))
    n = len(x)
    if not 1 <= k <= n:
        raise ValueError(f"k: found {k}; allowed: 1 to the {n} trials there are")
    x = x[: n - k + 1]
    if np.isinf(x).any():
        best = float(x[np.isinf(x)][0])
    else:
        best = sum(math.comb(n - 1 - i, k - 1) / math.comb(n, k) * float(score) for i, score in enumerate(x))
    return -best if higher else best


def _resampled_means(scores: Array, drawn: NDArray[np.int64]) -> Array:
    """Every trial's interquartile mean over resampled seeds, the same ones for all trials: [T, S], [B, S] -> [T, B]."""
    return np.stack([interquartile_mean(row[drawn]) for row in scores])


def _seed_draws(seeds: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """Resamples of seeds [B, seeds]: all of them where they are at most ENUMERATED, else so many random ones."""
    within("resamples", resamples, 0, math.inf)
    if seeds**seeds > ENUMERATED:
        return np.random.default_rng(seed).integers(seeds, size=(resamples, seeds))
    return np.stack(np.unravel_index(np.arange(seeds**seeds), (seeds,) * seeds), axis=1)


@lru_cache(maxsize=16)
def _seed_sets(seeds: int, resamples: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`_seed_draws` of which the order does not matter: resamples [M, seeds], and how many draws each stands for [M].

    Six seeds can be drawn in 46,656 ways, which are 462 when their order says nothing.
    """
    if seeds**seeds > ENUMERATED:
        return _seed_draws(seeds, resamples, seed), np.ones(resamples, dtype=np.int64)
    within("resamples", resamples, 0, math.inf)
    sets = np.array(list(combinations_with_replacement(range(seeds), seeds)))
    each = (sets[:, :, None] == np.arange(seeds)).sum(axis=1)
    ways = [math.factorial(seeds) // math.prod(map(math.factorial, counts)) for counts in each.tolist()]
    return sets, np.array(ways)


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
    """`expected_best` of k = 1..T trials by their interquartile means over the seeds: [T, S] -> Band of [T].

    The interval is a percentile bootstrap that draws trials and seeds apart, a seed for all trials at once, since they
    meet the same starts there; for such crossed data no bootstrap is exact, this one errs towards wide: Owen 2007, the
    pigeonhole bootstrap, Ann. Appl. Stat. 1:386. As far as k failures may be drawn the value is infinite, and an end of
    the interval is where so many resamples are. At k = T the value is the best of all, and few resamples are better.
    """
    x = numbers("scores", scores, dims=(2,)) * (-1 if higher else 1)
    within("confidence", confidence, 0, 1)
    within("resamples", resamples, 0, math.inf)
    rng, (trials, seeds) = np.random.default_rng(seed), x.shape
    means = _resampled_means(x, rng.integers(seeds, size=(resamples, seeds)))
    drawn = np.take_along_axis(means.T, rng.integers(trials, size=(resamples, trials)), axis=1)
    low, high = percentiles(_expected_bests(drawn).T, confidence)
    value = _expected_bests(interquartile_mean(x)[None])[0]
    return Band(-value, -high, -low) if higher else Band(value, low, high)


def choice_stability(
    scores: ArrayLike, chosen: int, higher: bool = False, resamples: int = 10_000, seed: int = 0
) -> float:
    """Share of resamples of the seeds in which another trial's interquartile mean beats the chosen one's: [T, S].

    0 is a choice that no draw of these seeds would change. A tie changes nothing. All S^S resamples of up to six seeds,
    else random ones. The measure is this suite's own.
    """
    x = numbers("scores", scores, dims=(2,)) * (-1 if higher else 1)
    if not 0 <= chosen < len(x):
        raise ValueError(f"chosen: found {chosen}; allowed: 0 to {len(x) - 1}, a trial's place")
    drawn, often = _seed_sets(x.shape[1], resamples, seed)
    means = interquartile_mean(x[:, drawn])
    rounding = 1e-12 * np.abs(np.where(np.isfinite(means[chosen]), means[chosen], 0.0))
    return float(often[means.min(axis=0) < means[chosen] - rounding].sum() / often.sum())


def _widths(step_sizes: ArrayLike, scores: Array, factor: float, tolerance: float, higher: bool) -> Array:
    """`good_band` of scores [..., S] at step sizes [S]: [...]."""
    steps = numbers("step_sizes", step_sizes, dims=(1,))
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
    return float(_widths(step_sizes, numbers("scores", scores, dims=(1,)), factor, tolerance, higher))


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
    """`good_band` by the interquartile means of scores [S, seeds], with a percentile bootstrap over seeds. Efron 1979.

    All resamples where they are at most 10,000, else random ones. The step sizes are not resampled, so the interval
    does not include how finely they were spaced.
    """
    x = numbers("scores", scores, dims=(2,))
    within("confidence", confidence, 0, 1)
    means = _resampled_means(x, _seed_draws(x.shape[1], resamples, seed))
    low, high = percentiles(_widths(step_sizes, means.T, factor, tolerance, higher), confidence)
    return Interval(good_band(step_sizes, interquartile_mean(x), factor, tolerance, higher), float(low), float(high))
