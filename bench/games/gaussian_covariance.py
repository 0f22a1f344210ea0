"""A linear GAN that learns the covariance of a Gaussian (Daskalakis et al. 2018, arXiv:1711.00141)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.contracts import Batch, Game, Oracle
from bench.errors import UserError
from bench.numerics.randomness import normal
from bench.registry import game, metric


@game("gaussian-covariance")
@dataclass(frozen=True)
class GaussianCovariance(Game):
    """min_V max_W sum_ij W_ij (Sigma_ij - (V V')_ij);   F = 0 where V V' = Sigma and W + W' = 0

    The WGAN of a generator V z with standard normal z and a critic x'Wx, in expectation: the game is deterministic and
    its critic free of constraints. The data are normal with covariance Sigma = Q diag(s) Q', Q random orthogonal, s
    evenly in logarithm from 1 down to 1/condition. Solutions are many, V may be turned by any rotation, so there is no
    distance to one: ``covariance_error`` is the score.

    Source: Daskalakis et al. 2018, arXiv:1711.00141, the WGAN that learns a covariance matrix.
    """

    dim: int = 3
    condition: float = 4.0
    instance: int = 0

    dtype = torch.float64
    budget = 2000.0
    score = "covariance_error"

    def __post_init__(self) -> None:
        if self.dim < 1 or self.condition < 1:
            raise UserError(
                f"gaussian-covariance: dim is {self.dim}, condition {self.condition:g}; at least 1 is allowed for both"
            )

    @property
    def sizes(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.dim**2, self.dim**2

    @property
    def learned(self) -> float:  # type: ignore[override]
        """A tenth of a typical start, the root of E ||V V' - Sigma||^2 for standard normal V."""
        sigma = self.covariance
        square = self.dim**2 * (2 * self.dim + 1) - 2 * self.dim * sigma.trace() + sigma.square().sum()
        return float(square.sqrt()) / 10

    @cached_property
    def covariance(self) -> Tensor:
        """Sigma, [dim, dim]."""
        draw = normal(torch.tensor([self.instance]), "covariance", 0, (self.dim, self.dim), torch.float64, block=1)[0]
        q = torch.linalg.qr(draw)[0]
        exponents = torch.linspace(0, 1, self.dim, dtype=self.dtype) if self.dim > 1 else torch.zeros(1).double()
        sigma: Tensor = (q * self.condition**-exponents) @ q.T
        return (sigma + sigma.T) / 2

    def init(self, seeds: Tensor) -> Tensor:
        return normal(seeds, "start", 0, (2 * self.dim**2,), torch.float64, block=1)

    def generated(self, generator: Tensor) -> Tensor:
        """V V', [R, dim, dim], of a generator [R, dim^2]."""
        v = generator.view(-1, self.dim, self.dim)
        # Products and sums rather than a matrix product: a row's bits then do not depend on the rows beside it.
        product: Tensor = (v.unsqueeze(2) * v.unsqueeze(1)).sum(3)
        return product

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        missing = self.covariance.to(players[0].device) - self.generated(players[0])
        f = (players[1].view_as(missing) * missing).sum((1, 2))
        return f, -f


@metric("covariance_error", on=GaussianCovariance)
def covariance_error(game: GaussianCovariance, w: Tensor, F: Oracle) -> Tensor:
    """||V V' - Sigma||, Frobenius: how far the generator's covariance is from the data's."""
    error = game.generated(w[:, : game.sizes[0]]) - game.covariance.to(w.device)
    length: Tensor = torch.linalg.matrix_norm(error)
    return length
