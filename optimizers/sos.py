"""Stable opponent shaping (Letcher, Foerster, Balduzzi, Rocktaeschel and Whiteson 2019, arXiv:1811.08469)."""

import torch
from torch import Tensor

from bench.contracts import Direction, Fraction, Oracle, State, StepSize, UpdateRule
from bench.numerics.krylov import dot
from bench.registry import rule
from optimizers.plain import Plain


@rule("sos")
class StableOpponentShaping(UpdateRule):
    """w+ = w - lr d(xi - p lr chi),   xi = F - H_o lr F,   chi = H_o' C,   C_j = grad_j L_i

    Between LookAhead (p = 0) and LOLA (p = 1): p is 1 where -<lr chi, xi> >= 0, else at most
    a ||xi||^2 / <lr chi, xi>; and at most ||F||^2 where ||F|| < b.

    Source: Letcher et al. 2019, arXiv:1811.08469, algorithm 1.
    """

    lr: StepSize = 0.1
    a: Fraction = 0.5
    b: Fraction = 0.1
    direction: Direction = Plain()

    players = 2
    cost = 6.0

    def init(self, w: Tensor) -> State:
        return self.direction.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        g, push, pull = F.linear(w, own=False)
        xi, shaping = g - push(self.lr * g), pull(self.lr * F.cross(w))
        along, size = dot(shaping, xi), dot(g, g)
        stable = torch.where(along <= 0, 1.0, (self.a * dot(xi, xi) / along).clamp(max=1))
        near = torch.where(size.sqrt() < self.b, size, 1.0)
        return self.direction.descend(xi - torch.minimum(stable, near) * shaping, s, w, self.lr)
