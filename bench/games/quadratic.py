"""A strongly monotone quadratic game, turned from a potential game to a Hamiltonian one (Balduzzi et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import pi, sin

import torch
from torch import Tensor

from bench.contracts import Batch
from bench.errors import UserError
from bench.games.harness.linear_field import LinearField, form
from bench.numerics.randomness import normal
from bench.registry import game


@game("quadratic")
@dataclass(frozen=True)
class Quadratic(LinearField):
    """F(w) = J w,   J = mu I + cos(a) [[U S U', 0], [0, V S V']] + sin(a) [[0, U S V'], [-V S U', 0]]

    a = rotation pi/2; the solution is 0. With ``rotation=0`` J is symmetric and the game has a potential: each player
    descends a bowl of its own. With 1 what is not mu I is skew: the bilinear game. Between the two, and wherever
    mu > 0, it is of general sum. U, V are random orthogonal; the diagonal S runs evenly in logarithm from 1 down to
    1/condition. J is normal with eigenvalues mu + s exp(+-ia): ``rotation`` turns the spectrum about mu and leaves its
    radii. F is strongly monotone with mu + cos(a)/condition. Simultaneous descent converges exactly where
    lr < 2 Re z / |z|^2 for every eigenvalue z.

    Source: Balduzzi et al. 2018, arXiv:1802.05642, section 2 (a game as a potential and a Hamiltonian part).
    """

    rotation: float = 0.9
    dim: int = 10
    condition: float = 10.0
    mu: float = 0.01
    instance: int = 0

    budget = 2000.0
    score = "distance"
    plane_names = ("x, along the direction that turns fastest", "y, along its own")

    def __post_init__(self) -> None:
        if self.dim < 1 or self.condition < 1:
            raise UserError(
                f"quadratic: dim is {self.dim}, condition {self.condition:g}; at least 1 is allowed for both"
            )
        if not 0 <= self.rotation <= 1:
            raise UserError(f"quadratic: rotation is {self.rotation:g}; a number in [0, 1] is allowed")
        if self.mu < 0:
            raise UserError(f"quadratic: mu is {self.mu:g}; at least 0 is allowed")

    @cached_property
    def _bases(self) -> Tensor:
        """U and V, [2, dim, dim]."""
        draw = normal(torch.tensor([self.instance]), "bases", 0, (2, self.dim, self.dim), torch.float64, block=1)[0]
        bases: Tensor = torch.linalg.qr(draw)[0]
        return bases

    @cached_property
    def jacobian(self) -> Tensor:
        """J, [n, n], the same everywhere."""
        u, v = self._bases
        exponents = torch.linspace(0, 1, self.dim, dtype=self.dtype) if self.dim > 1 else torch.zeros(1).double()
        s = self.condition**-exponents
        along, across = sin((1 - self.rotation) * pi / 2), sin(self.rotation * pi / 2)  # exactly 0 at either end
        whole = self.mu * torch.eye(2 * self.dim, dtype=self.dtype)
        first, second = slice(0, self.dim), slice(self.dim, 2 * self.dim)
        coupling = across * (u * s) @ v.T
        whole[first, first] += along * (u * s) @ u.T
        whole[second, second] += along * (v * s) @ v.T
        whole[first, second], whole[second, first] = coupling, -coupling.T
        return whole

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        x, y = players
        J, d = self.jacobian.to(x.device), self.dim
        coupling = form(x, J[:d, d:], y)
        return form(x, J[:d, :d], x) / 2 + coupling, form(y, J[d:, d:], y) / 2 - coupling

    def plane(self) -> Tensor:
        """The two directions [2, n] in which the game turns fastest, one a player."""
        u, v = self._bases
        zeros = torch.zeros(self.dim, dtype=self.dtype)
        return torch.stack([torch.cat([u[:, 0], zeros]), torch.cat([zeros, v[:, 0]])])
