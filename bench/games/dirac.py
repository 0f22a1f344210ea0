"""Dirac-GAN: one parameter a player, and it need not converge (Mescheder et al. 2018, arXiv:1801.04406)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import softplus

from bench.contracts import Batch, Game
from bench.randomness import normal
from bench.registry import game


@game("dirac")
@dataclass(frozen=True)
class Dirac(Game):
    """min_theta max_psi f(psi theta) + f(0) with f(t) = -log(1 + exp(-t)); the solution is 0.

    The data are a point at 0, the generator a point at theta, the discriminator psi x. ``saturating=false`` gives the
    generator the loss -f(-psi theta), whose field is the same at first order.
    """

    saturating: bool = True

    dtype = torch.float64
    budget = 2000.0
    score = "distance"
    sizes = (1, 1)
    escape = 5 * sqrt(2)  # five times a typical start

    def init(self, seeds: Tensor) -> Tensor:
        return normal(seeds, "start", 0, (2,), torch.float64, block=1)

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        t = (players[0] * players[1]).squeeze(1)
        f = -softplus(-t)
        return (f if self.saturating else softplus(t)), -f

    def solution(self) -> Tensor:
        return torch.zeros(2, dtype=self.dtype)

    def plane(self) -> Tensor:
        """theta and psi themselves."""
        return torch.eye(2, dtype=self.dtype)
