"""How far rounding alone moves a training: every gradient is rounded anew, at random, and the training repeated.

Another processor sums in another order, so that every number that a game gives may differ in its last place. What
becomes of that is the training's own condition: a contraction forgets it, Adam close to an equilibrium divides it by
almost nothing, mixing several memories in two dimensions solves a nearly singular system. Perturbing every gradient by
one rounding measures that condition without another processor (Monte Carlo arithmetic: Parker 1997, Monte Carlo
arithmetic: exploiting randomness in floating-point arithmetic, UCLA CSD-970002; Croci et al. 2022, arXiv:2108.05217).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from math import inf

import torch
from torch import Tensor

from bench.contracts import Game, Oracle
from bench.contracts.oracle import Product
from bench.numerics.randomness import uniform

DRAWS = 1024
"""The largest number of draws for a seed: (seed, draw) is encoded in one number."""


def rounded(x: Tensor, keys: Tensor, stream: str, index: int = 0) -> Tensor:
    """x [R, n] times (1 + e): e is one rounding up or down, 2^-53 in float64, decided by (key, stream, index).

    Zeros stay zeros: a parameter that does not take part has no gradient anywhere.
    """
    unit = torch.finfo(x.dtype).eps / 2
    signs = uniform(keys, stream, index, (x.shape[1],), x.dtype, block=1).to(x.device) - 0.5
    return x + x * torch.copysign(torch.full_like(x, unit), signs)


class RoundingOracle(Oracle):
    """An oracle whose every answer is rounded once more, at random.

    Args:
        game: the game.
        seeds: int64[R], as of any oracle.
        draws: int64[R]; (seed, draw) decides the roundings of a replica.
        budget: as of any oracle.
    """

    def __init__(
        self, game: Game, seeds: Tensor | Sequence[int], draws: Tensor | Sequence[int], budget: float = inf
    ) -> None:
        super().__init__(game, seeds, budget=budget)
        self.keys = self.seeds * DRAWS + torch.as_tensor(draws, dtype=torch.int64)

    def select(self, rows: Tensor) -> RoundingOracle:
        part = copy(self)
        part.seeds, part.keys, part._batch, part._drawn = self.seeds[rows], self.keys[rows], None, False
        return part

    def _rounded(self, x: Tensor) -> Tensor:
        return rounded(x, self.keys, "rounding", round(1000 * self.cost))  # every answer has a cost of its own

    def __call__(self, w: Tensor, player: int | None = None) -> Tensor:
        return self._rounded(super().__call__(w, player))

    def cross(self, w: Tensor) -> Tensor:
        return self._rounded(super().cross(w))

    def loss_gradient(self, w: Tensor, player: int) -> Tensor:
        return self._rounded(super().loss_gradient(w, player))

    def linear(self, w: Tensor, player: int | None = None, own: bool = True) -> tuple[Tensor, Product, Product]:
        field, push, pull = super().linear(w, player, own)
        return self._rounded(field), lambda v: self._rounded(push(v)), lambda u: self._rounded(pull(u))
