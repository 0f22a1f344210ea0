"""A game of two parameters whose solution is shielded by a limit cycle (Hsieh et al. 2021, arXiv:2006.09065)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.contracts import Batch, Game
from bench.numerics.randomness import uniform
from bench.registry import game

SOLUTION = (0.078026668738460073, 0.41193385136581985)
"""The critical point, by Newton's method in 50 digits."""


@game("forsaken")
@dataclass(frozen=True)
class Forsaken(Game):
    """min_x max_y x (y - 0.45) + phi(x) - phi(y),   phi(z) = z^2/4 - z^4/2 + z^6/6

    The solution (0.078, 0.412) attracts its neighbourhood, but two cycles stand around it: an unstable one that shields
    it, and an attracting one outside, to which descent, extragradient and optimism alike come from almost everywhere.
    Orbits stay bounded at small step sizes; the question is which arrive. Starts are even in [-1.5, 1.5]^2.

    Source: Hsieh, Mertikopoulos and Cevher 2021, arXiv:2006.09065 ("forsaken solutions").
    """

    dtype = torch.float64
    budget = 2000.0
    score = "distance"
    learned = 0.13  # a tenth of a typical start
    sizes = (1, 1)
    plane_names = ("x", "y")

    def init(self, seeds: Tensor) -> Tensor:
        return 3 * uniform(seeds, "start", 0, (2,), block=1).double() - 1.5

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        x, y = (player.squeeze(1) for player in players)
        f = x * (y - 0.45) + _phi(x) - _phi(y)
        return f, -f

    def solution(self) -> Tensor:
        return torch.tensor(SOLUTION, dtype=self.dtype)

    def plane(self) -> Tensor:
        """x and y themselves."""
        return torch.eye(2, dtype=self.dtype)


def _phi(z: Tensor) -> Tensor:
    square = z * z  # products alone: a power's bits would depend on the packing
    return square * (1 / 4 + square * (square / 6 - 1 / 2))
