"""The number of distinct samples of a generator, from near-duplicates among them.

The support estimate after Arora and Zhang 2017, arXiv:1706.08224: it needs neither classes nor modes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.numerics.neighbours import Pairs

BLOCK = 1024  # rows of a distance matrix that are in memory at once


def support(samples: Tensor, radius: float) -> Tensor:
    """The effective number of distinct outputs, from near-duplicates among samples [R, N, d]: float64[R].

    The number of pairs over the number of near-duplicate pairs, N (N - 1) / 2c: with k equally frequent outputs two
    samples agree with probability 1 / k, which gives the birthday paradox (of sqrt(k) samples, two agree about as often
    as not). Outputs that are not equally frequent have the effective number 1 / sum p^2. The estimate uses the count c,
    where Arora and Zhang 2017 use the N at which duplicates first appear. Without any pair it is N (N - 1) / 2, the
    largest estimate from N samples and a lower bound. 0 if a sample is not finite.

    Args:
        radius: two samples at most this far apart count as duplicates; `pair_radius` computes it from the data.
    """
    if samples.ndim != 3 or samples.shape[1] < 2:
        raise ValueError(f"samples: found shape {tuple(samples.shape)}, allowed [R, N >= 2, d]")
    count = samples.shape[1]
    pairs = count * (count - 1) / 2
    estimates = torch.zeros(len(samples), dtype=torch.float64, device=samples.device)
    for index, row in enumerate(samples.detach()):
        if row.isfinite().all():
            points = row.to(torch.float64, copy=True, memory_format=torch.contiguous_format)
            close = sum(int(Pairs(part, points).within(radius, closed=True).sum()) for part in points.split(BLOCK))
            estimates[index] = pairs / max((close - count) / 2, 1)
    return estimates


def pair_radius(data: Tensor, share: float = 1e-4) -> float:
    """The distance within which a share of the pairs of data [M, d] lie: the data's own support is then 1 / share.

    Arora and Zhang 2017 judge by eye which of the closest pairs are duplicates; this radius replaces it: `support` is
    relative to how often two points of the data agree. M (M - 1) / 2 should be well above 1 / share; M up to some
    thousand.
    """
    if data.ndim != 2 or len(data) < 2 or not data.isfinite().all():
        raise ValueError(f"data: found shape {tuple(data.shape)}, allowed finite [M >= 2, d]")
    points = data.to(torch.float64)
    apart = torch.nn.functional.pdist(points).sort().values
    return float(apart[max(0, math.ceil(share * len(apart)) - 1)])
