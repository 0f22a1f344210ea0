"""Collapse as the outcome of a replica: what it is, for which game, and at what cost it came.

A game declares a metric and a threshold (`Collapse`). The definition, one for all games:

    A replica has collapsed if at its last evaluation it is beyond the threshold and has been so, without a break, for
    at least a tenth of the budget. The onset is the first evaluation of that last run beyond it; a replica that was
    never within has its onset at half of the budget, the time that it had to learn.

So a replica that has learned nothing yet is not collapsed (it has until half of the budget), a dip from which it comes
back is not, and a dip in the last tenth, of which nobody knows whether it would have come back, is not either. A
replica that diverged is judged by the part that was measured: collapsed if it had been for a tenth of the budget when
it diverged, else censored there. `fell` tells the loss of modes that had been there from never having had them; the
second is also what a rule looks like that learned nothing: it must be read beside the game's primary metric.

The numbers go to `statistics.wilson` (the rate) and `statistics.survival` (onsets, inf for never, censored at the cost
at which the replica ended).

The support estimate after Arora and Zhang 2017, arXiv:1706.08224, is a check that needs neither classes nor modes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

LASTING = 0.1
"""The share of the budget for which a collapse must have lasted."""
GRACE = 0.5
"""The share of the budget that a replica has to come within the threshold for the first time."""
BLOCK = 1024  # rows of a distance matrix that are in memory at once


@dataclass(frozen=True)
class Collapse:
    """What a game calls collapse: a metric beyond a threshold. Exactly one of `below` and `above` is finite.

    Args:
        metric: its name.
        below: collapsed where the metric is strictly below it.
        above: collapsed where the metric is strictly above it.
    """

    metric: str
    below: float = -math.inf
    above: float = math.inf

    def __post_init__(self) -> None:
        if math.isfinite(self.below) == math.isfinite(self.above):
            raise ValueError(f"collapse: found below {self.below}, above {self.above}; allowed: exactly one is finite")

    def beyond(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Whether values [...] are beyond the threshold; NaN, being no number, is."""
        x = np.asarray(values, dtype=np.float64)
        return np.asarray((x < self.below) | (x > self.above) | np.isnan(x))


class Collapsed(NamedTuple):
    """Of every replica, [R]: whether it collapsed, at what cost (inf: it did not), whether it had been within before.

    `fell` is false where `collapsed` is.
    """

    collapsed: NDArray[np.bool_]
    onset: NDArray[np.float64]
    fell: NDArray[np.bool_]


def of_modes(modes: int) -> Collapse:
    """For mixtures: fewer than half of the modes have a quarter of their share of the samples within 3 sd."""
    return Collapse("modes_strict", below=modes / 2)


def of_classes(classes: int) -> Collapse:
    """For images with classes: at least half of the classes have less than a tenth of their share of the samples.

    It needs some 10 samples a class: with N samples of K classes, exp(-N / K) of them are missing by chance alone.
    """
    return Collapse("classes_missing", above=math.ceil(classes / 2) - 0.5)


def collapses(what: Collapse, costs: ArrayLike, values: ArrayLike, budget: float) -> Collapsed:
    """Which replicas collapsed, from curves of the metric: costs [T] rising, values [R, T], NaN after divergence."""
    at, x = np.asarray(costs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 2 or x.shape[1:] != at.shape or not at.size or (np.diff(at) <= 0).any():
        raise ValueError(f"curves: found costs {at.shape}, values {x.shape}; allowed: [T >= 1], rising, and [R, T]")
    beyond, steps = what.beyond(x), np.arange(len(at))
    ends = np.where(~np.isnan(x), steps, -1).max(axis=1)  # the last that was measured; -1: none was
    within = np.where(beyond, -1, steps).max(axis=1)  # the last within; -1: none was
    fell = within >= 0
    onset = np.where(fell, at[np.minimum(within + 1, len(at) - 1)], GRACE * budget)
    lasted = at[np.maximum(ends, 0)] - onset
    collapsed = (within < ends) & (lasted >= LASTING * budget * (1 - 1e-9))
    return Collapsed(collapsed, np.where(collapsed, onset, math.inf), fell & collapsed)


def support(samples: Tensor, radius: float) -> Tensor:
    """How many distinct things a generator makes, from near-duplicates among samples [R, N, d]: float64[R].

    The number of pairs over the number of near-duplicate pairs, N (N - 1) / 2c: with k equally frequent things two
    samples agree with probability 1 / k, which is where the birthday paradox comes from (of sqrt(k) samples, two agree
    about as often as not); where they are not equally frequent it is 1 / sum p^2, their effective number. It reads the
    count c, where Arora and Zhang 2017 ask at which N duplicates first appear. Without any pair it is N (N - 1) / 2,
    the most that N samples can tell: at least that many. 0 where a sample is not finite.

    Args:
        radius: two samples at most this far apart are the same thing; `pair_radius` takes it from the data.
    """
    if samples.ndim != 3 or samples.shape[1] < 2:
        raise ValueError(f"samples: found shape {tuple(samples.shape)}, allowed [R, N >= 2, d]")
    count = samples.shape[1]
    pairs = count * (count - 1) / 2
    found = torch.zeros(len(samples), dtype=torch.float64, device=samples.device)
    for index, row in enumerate(samples.detach()):
        if row.isfinite().all():
            points = row.to(torch.float64, copy=True, memory_format=torch.contiguous_format)
            close = sum(int((part <= radius).sum()) for part in _distances(points))
            found[index] = pairs / max((close - count) / 2, 1)
    return found


def pair_radius(data: Tensor, share: float = 1e-4) -> float:
    """The distance within which a share of the pairs of data [M, d] lie: the data's own support is then 1 / share.

    What Arora and Zhang 2017 leave to the eye (which of the closest pairs are duplicates) is here a unit: `support`
    says how many times more often two samples agree than two of the data do. M (M - 1) / 2 should be well above
    1 / share; M up to some thousand.
    """
    if data.ndim != 2 or len(data) < 2 or not data.isfinite().all():
        raise ValueError(f"data: found shape {tuple(data.shape)}, allowed finite [M >= 2, d]")
    points = data.to(torch.float64)
    apart = torch.nn.functional.pdist(points).sort().values
    return float(apart[max(0, math.ceil(share * len(apart)) - 1)])


def _distances(points: Tensor) -> Iterator[Tensor]:
    """The distance matrix of [N, d] in blocks of rows; not by inner products, whose rounding parts equal points."""
    for start in range(0, len(points), BLOCK):
        yield torch.cdist(points[start : start + BLOCK], points, compute_mode="donot_use_mm_for_euclid_dist")
