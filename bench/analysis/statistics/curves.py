"""Numbers of a curve through training: its end beside its best, its swing, its area, when it met a target."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.analysis.statistics.arrays import Array, numbers


def _curve(curve: ArrayLike) -> tuple[Array, NDArray[np.int64]]:
    """Curves [..., T] and how many points of each were measured [...]: NaN at the end only."""
    x = np.asarray(curve, dtype=np.float64)
    if x.size == 0:
        raise ValueError(f"curve: found no number (shape {x.shape}); allowed: at least one")
    missing = np.isnan(x)
    if (missing[..., :-1] & ~missing[..., 1:]).any():
        raise ValueError("curve: found NaN before a number; allowed: NaN at the end only, after divergence")
    return x, (~missing).sum(axis=-1)


def _against(costs: ArrayLike, curve: ArrayLike) -> tuple[Array, Array]:
    """Costs [T], rising, and curves [..., T] measured at them."""
    at, (x, _) = numbers("costs", costs, dims=(1,)), _curve(curve)
    if x.shape[-1] != len(at) or (np.diff(at) <= 0).any():
        raise ValueError(f"costs: found {len(at)} for {x.shape[-1]} points; allowed: one a point, rising")
    return at, x


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
    at, x = _against(costs, curve)
    if math.isnan(target):
        raise ValueError("target: found NaN; allowed: a number")
    reached = x >= target if higher else x <= target
    return np.where(reached.any(axis=-1), at[reached.argmax(axis=-1)], np.inf)


def area_under_curve(costs: ArrayLike, curve: ArrayLike, higher: bool = False, worst: float | None = None) -> Array:
    """Mean score over training, the area by trapezoids over its width: costs [T], curve [..., T] -> [...].

    What a replica did not reach counts as the worst score there is, infinitely bad where nothing else is said: then the
    area of one that failed is, too. A single point is its own mean.
    """
    at, x = _against(costs, curve)
    worst_score = (-math.inf if higher else math.inf) if worst is None else worst
    if math.isnan(worst_score):
        raise ValueError("worst: found NaN; allowed: a number, or an infinity")
    filled = np.where(np.isnan(x), worst_score, x)
    numbers("curve", filled)
    widths = np.diff(at) / (at[-1] - at[0]) if len(at) > 1 else np.ones(0)
    weights = (np.append(widths, 0) + np.append(0, widths)) / 2 if len(at) > 1 else np.ones(1)
    bad = np.isinf(filled)
    finite = np.where(bad, 0, filled)
    area = np.clip(finite @ weights, finite.min(axis=-1), finite.max(axis=-1))
    worse = np.where(bad, filled, 0).sum(axis=-1)
    return np.where(bad.any(axis=-1), worse, area)
