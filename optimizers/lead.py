"""LEAD: least action dynamics (Hemmat, Mitra, Lajoie and Mitliagkas 2023, arXiv:2010.13846)."""

import torch
from torch import Tensor

from bench.contracts import Coefficient, Direction, Momentum, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain


@rule("lead")
class LEAD(UpdateRule):
    """w+ = w + beta D - lr d(F + (alpha/lr) H_o D),   D = w_t - w_{t-1}

    With the plain direction, the paper's w_i+ = w_i + beta D_i - lr grad_i L_i - alpha J_ij D_j; its form for GANs
    gives F + (alpha/lr) H_o D to Adam, with beta = 0.

    Source: Hemmat et al. 2023, arXiv:2010.13846.
    """

    lr: StepSize = 0.1
    beta: Momentum = 0.3
    alpha: Coefficient = 0.1
    direction: Direction = Plain()

    players = 2
    cost = 3.0

    def init(self, w: Tensor) -> State:
        return {"moved": torch.zeros_like(w), "direction": self.direction.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        g, push, _ = F.linear(w, own=False)
        d, memory = self.direction(g + self.alpha / self.lr * push(s["moved"]), s["direction"], w)
        moved = self.beta * s["moved"] - self.lr * d
        return w + moved, {"moved": moved, "direction": memory}
