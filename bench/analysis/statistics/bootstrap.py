"""Percentile bootstrap of many rules on the same resamples (Efron 1979; stratified: Agarwal et al. 2021)."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.analysis.statistics.arrays import Array, Band, Interval, Statistic, numbers, within
from bench.analysis.statistics.averages import interquartile_mean, median

AT_ONCE = 100_000  # resampled values that fit in the processor's cache
TRIMMED: dict[Statistic, Callable[[int], int]] = {interquartile_mean: lambda n: n // 4, median: lambda n: (n - 1) // 2}


def draw(strata: int, n: int, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions [resamples, strata * n] in the strata laid end to end, each stratum drawn from itself alone."""
    drawn = rng.integers(n, size=(resamples, strata, n)) + n * np.arange(strata)[:, None]
    return drawn.reshape(resamples, strata * n)


def counts(drawn: NDArray[np.int64]) -> NDArray[np.signedinteger]:
    """How often each position was drawn: [resamples, N] -> [N, resamples]."""
    resamples, n = drawn.shape
    flat = (drawn * resamples + np.arange(resamples)[:, None]).ravel()
    few: Any = np.int8 if n < 127 else np.int32  # a resample holds no more of one than there are
    frequencies: NDArray[np.signedinteger] = (
        np.bincount(flat, minlength=n * resamples).astype(few).reshape(n, resamples)
    )
    return frequencies


@lru_cache(maxsize=8)
def _shared_counts(strata: int, n: int, resamples: int, seed: int) -> NDArray[np.signedinteger]:
    """`counts` of a seed's draws, shared by all score arrays of this size."""
    frequencies = counts(draw(strata, n, resamples, np.random.default_rng(seed)))
    frequencies.flags.writeable = False
    return frequencies


def _trimmed(scores: Array, drawn: NDArray[np.signedinteger], cut: int) -> Array:
    """Mean of every resample without `cut` values at each end: [R, N], how often each was drawn [N, B] -> [R, B].

    A sorted resample is the sorted scores, each repeated as often as it was drawn. So the scores are sorted once, and
    the running count says where each one's copies end: clipped to the middle, it leaves the copies that are kept.
    No resample is gathered or sorted, and every rule uses the same counts, which pairs the rules.
    """
    n, order = scores.shape[1], np.argsort(scores, axis=1)
    ordered = np.take_along_axis(scores, order, axis=1)
    infinite = np.isinf(ordered)
    worst = np.where(infinite, ordered, 0.0).sum(axis=1)
    sound = np.take_along_axis(ordered, infinite.argmin(axis=1)[:, None], axis=1)  # some finite score, if there is one
    finite = np.where(infinite, np.where(np.isinf(sound), 0.0, sound), ordered)  # since 0 * inf is NaN
    shares = finite / (n - 2 * cut)
    values, failed = np.zeros((2, len(scores), drawn.shape[1]))
    ends = np.zeros(values.shape, dtype=drawn.dtype)
    before = np.full_like(ends, cut)
    for k in range(n):  # all rows at once, rank by rank
        ends += drawn[order[:, k]]
        position = np.clip(ends, cut, n - cut)
        kept = position - before
        values += shares[:, k, None] * kept
        if infinite[:, k].any():
            failed += kept * infinite[:, k, None]
        before = position
    values = np.clip(values, finite.min(axis=1, keepdims=True), finite.max(axis=1, keepdims=True))
    return np.where(failed > 0, worst[:, None], values)


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
    if statistic in TRIMMED:
        cut, often = TRIMMED[statistic](strata * n), _shared_counts(strata, n, resamples, seed)
        rows = max(1, AT_ONCE // resamples)
        values = np.concatenate([_trimmed(pooled[k : k + rows], often, cut) for k in range(0, len(pooled), rows)])
    else:
        drawn = draw(strata, n, resamples, np.random.default_rng(seed))
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
