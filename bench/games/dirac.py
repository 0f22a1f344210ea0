"""Dirac-GAN: one parameter a player, and it need not converge (Mescheder et al. 2018, arXiv:1801.04406)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt, tau

import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor
from torch.nn.functional import softplus

from bench.contracts import Batch, Game
from bench.errors import UserError, nearest
from bench.numerics.elementwise import WHOLE
from bench.numerics.randomness import normal
from bench.registry import game

LOSSES = ("minimax", "non-saturating", "wgan")
REGULARISERS = ("none", "r1", "r2", "gradient-penalty", "instance-noise")
NODES = 64  # of the quadrature, a whole number of vectors; it is exact for polynomials in the noise up to degree 127


@game("dirac")
@dataclass(frozen=True)
class Dirac(Game):
    """min_theta max_psi f(psi theta) + f(0) with f(t) = -log(1 + exp(-t)); the solution is 0.

    The data are a point at 0, the generator a point at theta, the discriminator psi x. ``loss`` is minimax;
    non-saturating, where the generator descends -f(-psi theta), whose field is the same at first order; or wgan, where
    f(t) = t. ``saturating=false`` is another word for non-saturating.

    ``regulariser`` is what is added to the discriminator's loss: r1 or r2, gamma psi^2 / 2 (the slope of psi x is psi
    at real and generated points alike); gradient-penalty, gamma (|psi| - 1)^2, for which psi = 0 is a kink and no
    equilibrium, though theta = 0 is still where the generator is right; or instance-noise of deviation ``noise`` on
    both points, by quadrature, so that the game stays deterministic. ``clip`` bounds |psi| after every step; 0 does
    not. J at the solution has the eigenvalues c/2 +- sqrt(c^2/4 - f'(0)^2), where c is gamma for r1 and r2, noise^2 / 2
    for instance-noise (0 with wgan), 0 for none; f'(0) is 1/2, and 1 for wgan.

    Source: Mescheder, Geiger and Nowozin 2018, arXiv:1801.04406, sections 2 and 3.
    """

    saturating: bool = True
    loss: str = "minimax"
    regulariser: str = "none"
    gamma: float = 1.0
    noise: float = 0.7
    clip: float = 0.0

    dtype = torch.float64
    budget = 2000.0
    score = "distance"
    sizes = (1, 1)
    escape = 5 * sqrt(2)  # five times a typical start
    learned = sqrt(2) / 10  # a tenth of it
    plane_names = ("theta, of the generator", "psi, of the discriminator")

    def __post_init__(self) -> None:
        for key, names in (("loss", LOSSES), ("regulariser", REGULARISERS)):
            if (value := getattr(self, key)) not in names:
                raise UserError(f"dirac: {key} is {value!r}; {nearest(value, names)}")
        for key in ("gamma", "noise", "clip"):
            if getattr(self, key) < 0:
                raise UserError(f"dirac: {key} is {getattr(self, key):g}; at least 0 is allowed")
        if self.loss == "minimax" and not self.saturating:
            object.__setattr__(self, "loss", "non-saturating")
        object.__setattr__(self, "saturating", self.loss != "non-saturating")  # one game, one full spelling

    def init(self, seeds: Tensor) -> Tensor:
        return normal(seeds, "start", 0, (2,), torch.float64, block=1)

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        theta, psi = players
        if self.regulariser == "instance-noise":
            nodes, weights = (part.to(theta.device) for part in self._quadrature)
            t, real = psi * (theta + nodes), psi * nodes
            f = self._f(t)
            return (weights * self._generator(f, t)).sum(1), -(weights * (f + self._f(-real))).sum(1)
        t = (theta * psi).squeeze(1)
        f = self._f(t)
        return self._generator(f, t), self._penalised(-f, psi.squeeze(1))

    def _f(self, t: Tensor) -> Tensor:
        """f of t [R] or [R, NODES], in bits that do not depend on R: vector kernels get whole vectors."""
        if self.loss == "wgan":
            return t
        missing = -t.numel() % WHOLE
        if not missing:
            return -softplus(-t)
        return -softplus(-torch.cat([t, t.new_zeros(missing)]))[: len(t)]

    def _generator(self, f: Tensor, t: Tensor) -> Tensor:
        """What the generator descends, where f = f(t)."""
        return f if self.saturating else -self._f(-t)

    def _penalised(self, loss: Tensor, psi: Tensor) -> Tensor:
        """The discriminator's loss [R] with the regulariser's penalty on psi [R]."""
        if self.regulariser in ("r1", "r2"):
            return loss + self.gamma * psi.square() / 2
        if self.regulariser == "gradient-penalty":
            return loss + self.gamma * (psi.abs() - 1).square()
        return loss

    @cached_property
    def _quadrature(self) -> tuple[Tensor, Tensor]:
        """Points of the noise and their weights, [NODES] each (Gauss and Hermite)."""
        nodes, weights = hermegauss(NODES)
        return self.noise * torch.from_numpy(nodes), torch.from_numpy(weights) / sqrt(tau)

    def project(self, w: Tensor) -> Tensor:
        """WGAN's weight clipping of the discriminator (Arjovsky et al. 2017, arXiv:1701.07875)."""
        return torch.cat([w[:, :1], w[:, 1:].clamp(-self.clip, self.clip)], dim=1) if self.clip else w

    def solution(self) -> Tensor:
        return torch.zeros(2, dtype=self.dtype)

    def plane(self) -> Tensor:
        """theta and psi themselves."""
        return torch.eye(2, dtype=self.dtype)
