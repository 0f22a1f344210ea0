"""Which replicas collapsed, and when, from the curves of a metric.

A game declares a metric and a threshold (`bench.contracts.Collapse`). The definition, one for all games:

    A replica has collapsed if it has been within the threshold at an evaluation, is beyond it at its last one, and has
    been so, without a break, for at least a tenth of the budget. The onset is the first evaluation of that last run
    beyond it.

Only what was there can collapse: a replica that was never within has learned nothing, which is another result. Neither
has one collapsed that recovers from a dip, nor one whose dip began in the last tenth, because it might still have
recovered. A replica that diverged is judged by the part that was measured: it has collapsed if it had been beyond the
threshold for a tenth of the budget when it diverged; otherwise it is censored there.

The numbers go to `statistics.wilson` (the rate) and `statistics.survival` (onsets, inf for never, censored at the cost
at which the replica ended).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.contracts import Collapse

LASTING = 0.1
"""The share of the budget for which a collapse must have lasted."""


class Collapsed(NamedTuple):
    """For each replica, [R]: whether it collapsed, and at what cost (inf: it did not)."""

    collapsed: NDArray[np.bool_]
    onset: NDArray[np.float64]


def collapses(what: Collapse, costs: ArrayLike, values: ArrayLike, budget: float) -> Collapsed:
    """Which replicas collapsed, from curves of the metric: costs [T] rising, values [R, T], NaN after divergence."""
    at, x = np.asarray(costs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 2 or x.shape[1:] != at.shape or not at.size or (np.diff(at) <= 0).any():
        raise ValueError(f"curves: found costs {at.shape}, values {x.shape}; allowed: [T >= 1], rising, and [R, T]")
    beyond, steps = what.beyond(x), np.arange(len(at))
    ends = np.where(~np.isnan(x), steps, -1).max(axis=1)  # the last that was measured; -1: none was
    within = np.where(beyond, -1, steps).max(axis=1)  # the last within; -1: none was
    onset = at[np.minimum(within + 1, len(at) - 1)]
    lasted = at[np.maximum(ends, 0)] - onset
    collapsed = (within >= 0) & (within < ends) & (lasted >= LASTING * budget * (1 - 1e-9))
    return Collapsed(collapsed, np.where(collapsed, onset, math.inf))
