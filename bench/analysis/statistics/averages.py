"""Averages that a failure does not break: the interquartile mean and the median."""

import numpy as np
from numpy.typing import ArrayLike

from bench.analysis.statistics.arrays import Array, mean, numbers


def interquartile_mean(scores: ArrayLike, axis: int = -1) -> Array:
    """Mean of the middle half, n // 4 cut at each end: [..., n] -> [...]. Agarwal et al. 2021, arXiv:2108.13264."""
    x = np.sort(np.moveaxis(numbers("scores", scores), axis, -1), axis=-1)
    cut = x.shape[-1] // 4
    return mean(x[..., cut : x.shape[-1] - cut])


def median(scores: ArrayLike, axis: int = -1) -> Array:
    """Median [..., n] -> [...]: that of a failure and a number is a failure, and none overflows."""
    x = np.sort(np.moveaxis(numbers("scores", scores), axis, -1), axis=-1)
    n = x.shape[-1]
    return mean(x[..., [(n - 1) // 2, n // 2]])
