"""The bilinear game, the smallest on which simultaneous descent spirals out (Gidel et al. 2019, arXiv:1802.10551)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.contracts import Batch
from bench.errors import UserError
from bench.games.harness.linear_field import LinearField, form
from bench.numerics.randomness import normal
from bench.registry import game


@game("bilinear")
@dataclass(frozen=True)
class Bilinear(LinearField):
    """min_x max_y x'Ay; the solution is 0.

    A = U diag(sigma) V' with random orthogonal U, V; sigma runs evenly in logarithm from 1 down to 1/condition.

    Source: Gidel et al. 2019, arXiv:1802.10551.
    """

    dim: int = 10
    condition: float = 3.0
    instance: int = 0

    budget = 2000.0
    score = "distance"
    plane_names = ("x, along the direction that turns fastest", "y, along its own")

    def __post_init__(self) -> None:
        if self.dim < 1 or self.condition < 1:
            raise UserError(
                f"bilinear: dim is {self.dim}, condition {self.condition:g}; at least 1 is allowed for both"
            )

    @cached_property
    def matrix(self) -> Tensor:
        """A, [dim, dim]."""
        draw = normal(torch.tensor([self.instance]), "matrix", 0, (2, self.dim, self.dim), torch.float64, block=1)[0]
        u, v = torch.linalg.qr(draw)[0]
        exponents = torch.linspace(0, 1, self.dim, dtype=torch.float64) if self.dim > 1 else torch.zeros(1).double()
        matrix: Tensor = (u * self.condition**-exponents) @ v.T
        return matrix

    @cached_property
    def jacobian(self) -> Tensor:
        """[[0, A], [-A', 0]]."""
        zeros = torch.zeros_like(self.matrix)
        return torch.cat([torch.cat([zeros, self.matrix], 1), torch.cat([-self.matrix.T, zeros], 1)])

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        x, y = players
        f = form(x, self.matrix.to(x.device), y)
        return f, -f

    def plane(self) -> Tensor:
        """The two directions [2, n] in which the game turns fastest: the first singular pair of A, one a player."""
        u, _, vh = torch.linalg.svd(self.matrix)
        zeros = torch.zeros(self.dim, dtype=self.dtype)
        return torch.stack([torch.cat([u[:, 0], zeros]), torch.cat([zeros, vh[0]])])
