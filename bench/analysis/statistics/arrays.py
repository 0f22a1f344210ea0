"""Types of the statistics: arrays without NaN, numbers with their intervals."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Statistic = Callable[..., Any]  # statistic(x, axis=-1): [..., n] -> [...]

ENUMERATED = 6**6  # up to so many resamples or sign flips are enumerated rather than drawn


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


def numbers(name: str, given: ArrayLike, dims: tuple[int, ...] = ()) -> Array:
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


def within(name: str, number: float, low: float, high: float) -> None:
    if not low < number < high:
        raise ValueError(f"{name}: found {number}; allowed: above {low} and below {high}")


def mean(x: Array) -> Array:
    """Mean over the last axis [..., n] -> [...]: cannot overflow, and exact where all n are equal."""
    return np.asarray(np.clip((x / x.shape[-1]).sum(-1), x.min(-1), x.max(-1)))
