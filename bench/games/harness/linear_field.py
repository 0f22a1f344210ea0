"""Games of two players whose losses are quadratic: their field is linear, F(w) = J w, and 0 is a solution."""

from __future__ import annotations

from abc import abstractmethod
from math import sqrt

import torch
from torch import Tensor

from bench.contracts import Batch, Game
from bench.numerics.randomness import normal


class LinearField(Game):
    """F(w) = J w for players of ``dim`` parameters each."""

    dim: int
    dtype = torch.float64

    @property
    @abstractmethod
    def jacobian(self) -> Tensor:
        """J, [n, n], the same everywhere."""

    @property
    def sizes(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.dim, self.dim

    @property
    def escape(self) -> float:  # type: ignore[override]
        """Five times a typical start: the orbits of rules that stay bounded do not reach it."""
        return 5 * sqrt(2 * self.dim)

    @property
    def learned(self) -> float:  # type: ignore[override]
        """A tenth of a typical start: who turns round the solution, or stands still, does not come so near."""
        return sqrt(2 * self.dim) / 10

    def init(self, seeds: Tensor) -> Tensor:
        return normal(seeds, "start", 0, (2 * self.dim,), self.dtype, block=1)

    def field(self, w: Tensor, batch: Batch | None, player: int | None) -> Tensor:
        """J w, by a small product for each replica: a product of all rows would change the bits of the last block."""
        full_field = torch.bmm(w.unsqueeze(1), self.jacobian.T.to(w.device).expand(len(w), -1, -1)).squeeze(1)
        if player is None:
            return full_field
        block = slice(player * self.dim, (player + 1) * self.dim)
        player_field = torch.zeros_like(full_field)
        player_field[:, block] = full_field[:, block]
        return player_field

    def solution(self) -> Tensor:
        return torch.zeros(2 * self.dim, dtype=self.dtype)


def form(x: Tensor, matrix: Tensor, y: Tensor) -> Tensor:
    """x'My of every replica, [R]: by products and sums, so that a row's bits do not depend on the rows beside it."""
    value: Tensor = (x.unsqueeze(2) * matrix * y.unsqueeze(1)).sum((1, 2))
    return value
