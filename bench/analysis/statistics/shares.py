"""Shares of replicas: how many failed, how many survive, how many reached a target by a cost."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from bench.analysis.statistics.arrays import Array, Band, Interval, numbers, within
from bench.analysis.statistics.bootstrap import counts, draw, percentiles


def wilson_band(share: Array, n: Array, confidence: float) -> Band:
    """Wilson's interval for shares [...] of n > 0 trials [...]; n need not be whole."""
    within("confidence", confidence, 0, 1)
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
    return Interval(*(float(x) for x in wilson_band(np.asarray(k / n), np.asarray(float(n)), confidence)))


def survival(event_costs: ArrayLike, censored_at: ArrayLike, grid: ArrayLike, confidence: float = 0.95) -> Band:
    """Share without the event after each cost of grid [G], of n replicas with events at event_costs [n], inf for never.

    censored_at ([n] or a number) is the end of observation. Kaplan and Meier 1958; the interval is Wilson's with Peto's
    effective number at risk, as in Rothman 1978, which is n itself, and so Wilson's own, as long as none is censored.
    """
    events, ends = numbers("event_costs", event_costs, dims=(1,)), numbers("censored_at", censored_at, dims=(0, 1))
    at = numbers("grid", grid, dims=(1,))
    if ends.ndim and ends.shape != events.shape:
        raise ValueError(f"censored_at: found {len(ends)} for {len(events)} replicas; allowed: one each, or one number")
    times, died = np.minimum(events, ends), (events <= ends) & np.isfinite(events)
    moments = np.unique(times[np.isfinite(times)])
    at_risk = (times >= moments[:, None]).sum(axis=1)
    worker_errors = ((times == moments[:, None]) & died).sum(axis=1)
    share = np.cumprod(np.append(1.0, 1 - worker_errors / at_risk))
    effective = np.append(len(times), at_risk / share[:-1])  # share is 0 at the last moment only, with none at risk
    since = np.searchsorted(moments, at, side="right")
    return wilson_band(share[since], effective[since], confidence)


def performance_profile_band(
    costs_to_target: ArrayLike, grid: ArrayLike, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> Band:
    """Share of runs and targets done by each cost: [rules, strata, n, targets], [G] -> Band of [rules, G].

    Strata (games) and targets may be left out. The interval is a percentile bootstrap over the n seeds of each stratum
    apart, a seed with all its targets, for they are met by one training. Dolan and More 2002, Math. Program. 91:201;
    with budgets for costs, the data profile of More and Wild 2009, SIAM J. Optim. 20:172; bands as in Agarwal et al.
    2021, arXiv:2108.13264.
    """
    costs, at = numbers("costs_to_target", costs_to_target, dims=(2, 3, 4)), numbers("grid", grid, dims=(1,))
    within("confidence", confidence, 0, 1)
    within("resamples", resamples, 0, math.inf)
    costs = costs[:, None] if costs.ndim == 2 else costs
    costs = costs[..., None] if costs.ndim == 3 else costs
    rules, strata, n, targets = costs.shape
    met = _done(costs, at).sum(axis=3).reshape(rules, strata * n, len(at))
    often = counts(draw(strata, n, resamples, np.random.default_rng(seed)))
    # Whole numbers until the end: no order of summation, so no number of threads, changes a bit.
    ends = [percentiles(met_by_rule.T @ often / (strata * n * targets), confidence) for met_by_rule in met]
    shares = met.sum(axis=1) / (strata * n * targets)
    return Band(shares, np.stack([low for low, _ in ends]), np.stack([high for _, high in ends]))


def _done(costs: Array, at: Array) -> Array:
    """1 where a run of costs [...] is done by at [G], else 0: [..., G]."""
    return np.asarray((costs[..., None] <= at) & np.isfinite(costs)[..., None], dtype=np.float64)
