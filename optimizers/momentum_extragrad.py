"""Extragradient with momentum on its second half-step (Azizian et al. 2020, arXiv:2001.00602)."""

import torch
from torch import Tensor

from bench.contracts import Coefficient, Direction, Momentum, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain


@rule("momentum-extragrad")
class MomentumExtragradient(UpdateRule):
    """w' = w - gamma lr d(F(w));   w+ = w - lr d(F(w')) + beta (w - w_before)

    The half-step ahead has no momentum; ``extragrad[direction=momentum]`` has it on both. Both half-steps advance the
    same memory of the direction. The first step has no step before it. On bilinear games with singular values from a
    to b, as lr -> 0 with gamma lr^2 = 4/(a+b)^2, beta = ((b-a)/(b+a))^2, it contracts by (b-a)/(b+a), where
    extragradient without momentum needs the square of b/a (Kim et al. 2023, arXiv:2211.04659). A negative beta is
    Mishchenko et al. 2020's (arXiv:1905.11373).

    Source: Azizian et al. 2020, arXiv:2001.00602, extragradient with momentum.
    """

    lr: StepSize = 0.1
    gamma: Coefficient = 1.0
    beta: Momentum = 0.3
    direction: Direction = Plain()

    cost = 2.0

    def init(self, w: Tensor) -> State:
        return {"moved": torch.zeros_like(w), "direction": self.direction.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        ahead, memory = self.direction.descend(F(w), s["direction"], w, self.gamma * self.lr)
        stepped, memory = self.direction.descend(F(ahead), memory, w, self.lr)
        moved = stepped - w + self.beta * s["moved"]
        return w + moved, {"moved": moved, "direction": memory}
