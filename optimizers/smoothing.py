"""Penalising the generator's gradient in the discriminator (Mescheder et al. 2017; Nie and Patel 2019)."""

import torch
from torch import Tensor

from bench.contracts import Coefficient, Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain


@rule("smoothing")
class Smoothing(UpdateRule):
    """theta+ = theta - lr d(grad L_G);   phi+ = phi - lr d(grad_phi (L_D + gamma ||grad_theta L_G||^2 / 2))

    Consensus optimisation's penalty on one player alone, close to the Jacobian regularisation of Nie and Patel
    (arXiv:1806.09235).

    Source: Mescheder et al. 2017, arXiv:1705.10461.
    """

    lr: StepSize = 0.1
    gamma: Coefficient = 0.1
    direction: Direction = Plain()

    players = 2
    cost = 2.0

    def init(self, w: Tensor) -> State:
        return self.direction.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        g, _, pull = F.linear(w, player=0)
        penalty = F.within(1, pull(g), torch.zeros_like(w))
        return self.direction.descend(g + F(w, 1) + self.gamma * penalty, s, w, self.lr)
