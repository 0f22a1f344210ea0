"""A linear WGAN that learns the mean of a Gaussian from minibatches (Daskalakis et al. 2018, arXiv:1711.00141)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from bench.contracts import Batch, Game, Oracle
from bench.errors import UserError
from bench.numerics.randomness import normal
from bench.registry import game, metric


@game("gaussian-mean")
@dataclass(frozen=True)
class GaussianMean(Game):
    """min_theta max_phi E phi'x - E phi'(z + theta),   x ~ N(mean, 1), z ~ N(0, 1);   solved by theta = mean, phi = 0

    The WGAN of a generator z + theta and a linear critic phi'x: a bilinear game under minibatch noise, on which
    simultaneous descent spirals out and optimism does not. Every coordinate of the mean is ``mean``; the noise of a
    minibatch's gradient has deviation sqrt(2 / batch_size), so a constant step size ends in a ball, not at the point.
    There is no solution at which the gradients of all minibatches vanish; ``mean_error`` is the score.

    Source: Daskalakis et al. 2018, arXiv:1711.00141, the WGAN that learns a mean.
    """

    dim: int = 3
    mean: float = 3.0
    batch_size: int = 64

    dtype = torch.float64
    budget = 2000.0
    score = "mean_error"

    def __post_init__(self) -> None:
        for key in ("dim", "batch_size"):
            if (value := getattr(self, key)) < 1:
                raise UserError(f"gaussian-mean: {key} is {value}; a positive number is allowed")

    @property
    def sizes(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.dim, self.dim

    @property
    def learned(self) -> float:  # type: ignore[override]
        """A tenth of a typical start."""
        return sqrt(self.dim * (self.mean**2 + 1)) / 10

    def init(self, seeds: Tensor) -> Tensor:
        return normal(seeds, "start", 0, (2 * self.dim,), torch.float64, block=1)

    def batch(self, seeds: Tensor, draw: int) -> Batch:
        """What a linear critic sees of a minibatch: the means of the real points and of the latents, [R, dim] each."""
        noise = normal(seeds, "means", draw, (2, self.dim), torch.float64) / self.batch_size**0.5
        return {"real": self.mean + noise[:, 0], "latent": noise[:, 1]}

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        assert batch is not None
        theta, phi = players
        f = (phi * (batch["real"] - batch["latent"] - theta)).sum(1)
        return f, -f


@metric("mean_error", on=GaussianMean)
def mean_error(game: GaussianMean, w: Tensor, F: Oracle) -> Tensor:
    """||theta - mean||: how far the generator's mean is from the data's."""
    length: Tensor = torch.linalg.vector_norm(w[:, : game.dim] - game.mean, dim=1)
    return length
