"""Percentile bootstrap of many rules on the same resamples (Efron 1979; stratified: Agarwal et al. 2021)."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.statistics.arrays import Array, Band, Interval, Statistic, numbers, within
from bench.statistics.averages import interquartile_mean, median

TRIMMED: dict[Statistic, Callable[[int], int]] = {interquartile_mean: lambda n: n // 4, median: lambda n: (n - 1) // 2}


def draw(strata: int, n: int, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions [resamples, strata * n] in the strata laid end to end, each stratum drawn from itself alone."""
    drawn = rng.integers(n, size=(resamples, strata, n)) + n * np.arange(strata)[:, None]
    return drawn.reshape(resamples, strata * n)


def counts(drawn: NDArray[np.int64]) -> NDArray[np.int32]:
    """How often each position was drawn: [resamples, N] -> [N, resamples]."""
    resamples, n = drawn.shape
    flat = (drawn * resamples + np.arange(resamples)[:, None]).ravel()
    return np.bincount(flat, minlength=n * resamples).astype(np.int32).reshape(n, resamples)


def _trimmed(scores: Array, drawn: NDArray[np.int32], cut: int) -> Array:
    """Mean of every resample but for `cut` at each end: [N], how often each is there [N, resamples] -> [resamples].

    A sorted resample is the sorted scores, each repeated as often as it was drawn. So the scores are sorted once, and
    the running count says where each one's copies end: clipped to the middle, it leaves the copies that are kept.
    No resample is gathered or sorted, and every rule uses the same counts, which pairs the rules.
    """
    n, order = len(scores), np.argsort(scores)
    ends = np.clip(np.cumsum(drawn[order], axis=0, dtype=np.int32), cut, n - cut)
    kept = np.diff(ends, axis=0, prepend=np.int32(cut))
    ordered, failed = scores[order], np.isinf(scores[order])
    if failed.all():
        return np.full(drawn.shape[1], ordered[0])
    finite = np.where(failed, ordered[~failed][0], ordered)  # since 0 * inf is NaN
    values = np.clip(finite / (n - 2 * cut) @ kept, finite.min(), finite.max())
    if failed.any():
        values[kept[failed].any(axis=0)] = ordered[failed][0]
    return values


def percentiles(values: Array, confidence: float) -> tuple[Array, Array]:
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
    x = numbers("scores", scores, dims=(2, 3))
    within("confidence", confidence, 0, 1)
    within("resamples", resamples, 0, math.inf)
    strata, n = x.shape[1:] if x.ndim == 3 else (1, x.shape[1])
    pooled = x.reshape(len(x), strata * n)
    drawn = draw(strata, n, resamples, np.random.default_rng(seed))
    if statistic in TRIMMED:
        cut, often = TRIMMED[statistic](strata * n), counts(drawn)
        values = np.stack([_trimmed(row, often, cut) for row in pooled])
    else:
        values = np.stack([np.asarray(statistic(row[drawn], axis=-1), dtype=np.float64) for row in pooled])
    if np.isnan(values).any():
        raise ValueError(f"statistic: found NaN in {np.isnan(values).sum()} resamples; allowed: numbers and infinities")
    return Band(np.asarray(statistic(pooled, axis=-1), dtype=np.float64), *percentiles(values, confidence))


def stratified_bootstrap(
    scores: ArrayLike,
    statistic: Statistic = interquartile_mean,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """`bootstrap_rules` for one rule: scores [n] or [strata, n] -> Interval."""
    x = numbers("scores", scores, dims=(1, 2))
    band = bootstrap_rules(x[None], statistic, resamples, confidence, seed)
    return Interval(*(float(part[0]) for part in band))
