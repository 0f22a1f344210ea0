"""The bilinear game, the smallest on which simultaneous descent spirals out (Gidel et al. 2019, arXiv:1802.10551)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import torch
from torch import Tensor

from bench.contracts import Batch, Game
from bench.randomness import normal
from bench.registry import game
from bench.spelling import SpecError


@game("bilinear")
@dataclass(frozen=True)
class Bilinear(Game):
    """min_x max_y x'Ay; the solution is 0.

    A = U diag(sigma) V' with random orthogonal U, V; sigma runs evenly in logarithm from 1 down to 1/condition.

    Source: Gidel et al. 2019, arXiv:1802.10551.
    """

    dim: int = 10
    condition: float = 3.0
    instance: int = 0

    dtype = torch.float64
    budget = 2000.0
    score = "distance"

    def __post_init__(self) -> None:
        if self.dim < 1 or self.condition < 1:
            raise SpecError(
                f"bilinear: dim is {self.dim}, condition {self.condition:g}; at least 1 is allowed for both"
            )

    @property
    def sizes(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.dim, self.dim

    @property
    def escape(self) -> float:  # type: ignore[override]
        """Five times a typical start: the orbits of rules that stay bounded do not reach it."""
        return 5 * sqrt(2 * self.dim)

    @cached_property
    def matrix(self) -> Tensor:
        """A, [dim, dim]."""
        draw = normal(torch.tensor([self.instance]), "matrix", 0, (2, self.dim, self.dim), torch.float64, block=1)[0]
        u, v = torch.linalg.qr(draw)[0]
        exponents = torch.linspace(0, 1, self.dim, dtype=torch.float64) if self.dim > 1 else torch.zeros(1).double()
        matrix: Tensor = (u * self.condition**-exponents) @ v.T
        return matrix

    def init(self, seeds: Tensor) -> Tensor:
        return normal(seeds, "start", 0, (2 * self.dim,), torch.float64, block=1)

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        x, y = players
        # Products and sums rather than a matrix product: a row's bits then do not depend on the rows beside it.
        f = (x.unsqueeze(2) * self.matrix.to(x.device) * y.unsqueeze(1)).sum((1, 2))
        return f, -f

    def field(self, w: Tensor, batch: Batch | None, player: int | None) -> Tensor:
        """(A y, -A'x)."""
        x, y, matrix = w[:, : self.dim], w[:, self.dim :], self.matrix.to(w.device)
        blocks = [(matrix * y.unsqueeze(1)).sum(2), -(matrix * x.unsqueeze(2)).sum(1)]
        return torch.cat([part if player in (None, i) else torch.zeros_like(part) for i, part in enumerate(blocks)], 1)

    def solution(self) -> Tensor:
        return torch.zeros(2 * self.dim, dtype=self.dtype)

    def plane(self) -> Tensor:
        """The two directions [2, n] in which the game turns fastest: the first singular pair of A, one a player."""
        u, _, vh = torch.linalg.svd(self.matrix)
        zeros = torch.zeros(self.dim, dtype=self.dtype)
        return torch.stack([torch.cat([u[:, 0], zeros]), torch.cat([zeros, vh[0]])])
