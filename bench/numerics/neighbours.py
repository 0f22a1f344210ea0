"""Which points lie within a distance of which, to the bit, and most pairs by an inner product alone.

The distance of two points must be computed from their difference: by inner products, equal points would come out a
little apart. But a matrix product is an order of magnitude quicker, and its error is bounded. So pairs are told by
|x|^2 + |y|^2 - 2 x.y, and the few for which that is too near to tell by their difference.
"""

from __future__ import annotations

import torch
from torch import Tensor

MANY = 1 / 8
"""From this share of all pairs on, it is quicker to take every distance than those of the pairs that are unsure."""


def distances(x: Tensor, y: Tensor) -> Tensor:
    """From every point of x [N, d] to every one of y [M, d], by their differences: [N, M]."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


class Pairs:
    """The pairs of two sets of points.

    Args:
        x, y: finite points [N, d] and [M, d], float64.
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y
        self.square, self.error = _squares(x, y)

    def within(self, radius: Tensor | float, *, closed: bool = False) -> Tensor:
        """Whether `distances` are below a radius, or one each of x, [N, 1], or y, [1, M]: bool [N, M].

        Args:
            radius: how far is near.
            closed: whether a distance that is the radius counts.
        """
        limit = torch.as_tensor(radius, dtype=self.x.dtype, device=self.x.device)
        gap = self.square - limit.square()
        unsure = (~(gap.abs() > self.error)).nonzero()  # true of NaN, where squares overflow
        if len(unsure) > MANY * gap.numel():
            apart = distances(self.x, self.y)
            return apart <= limit if closed else apart < limit
        inside = gap < 0
        rows, columns = unsure.unbind(1)
        apart, limits = _pairs(self.x[rows], self.y[columns]), limit.expand_as(gap)[rows, columns]
        inside[rows, columns] = apart <= limits if closed else apart < limits
        return inside


def reach(points: Tensor, k: int) -> Tensor:
    """Distance [N] of every one of points [N, d], float64, to its k-th neighbour; the nearest of all is itself."""
    square, error = _squares(points, points)
    about = square.topk(k + 1, dim=1, largest=False).values[:, -1:]
    sure = square < about - 2 * error  # nearer than the k-th: order statistics are off by the error at most
    unsure = (~(square > about + 2 * error) & ~sure).nonzero()
    if len(unsure) > MANY * square.numel():
        return distances(points, points).topk(k + 1, dim=1, largest=False).values[:, -1]
    rows, columns = unsure.unbind(1)
    counts = torch.bincount(rows, minlength=len(points))
    places = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    apart = points.new_full((len(points), int(counts.max())), torch.inf)
    apart[rows, places] = _pairs(points[rows], points[columns])
    return apart.sort(dim=1).values.gather(1, k - sure.sum(dim=1, keepdim=True))[:, 0]


def _squares(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances [N, M] by inner products, and a bound on what they and `distances` are off."""
    own, others = x.square().sum(dim=1, keepdim=True), y.square().sum(dim=1)
    square = torch.addmm(own + others, x, y.mT, alpha=-2)
    return square, 8 * (x.shape[1] + 8) * torch.finfo(x.dtype).eps * (own.max() + others.max())


def _pairs(x: Tensor, y: Tensor) -> Tensor:
    """Distances [P] of points [P, d] and [P, d], with the bits of `distances`."""
    return distances(x[:, None], y[:, None])[:, 0, 0]
