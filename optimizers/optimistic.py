"""Optimistic gradient descent (Rakhlin and Sridharan 2013; for GANs, Daskalakis et al. 2018, arXiv:1711.00141)."""

import torch
from torch import Tensor

from bench.contracts import Coefficient, Direction, State, StepSize, UpdateRule
from bench.oracle import Oracle
from bench.registry import preset, rule
from optimizers.plain import Plain


@rule("optimistic")
class Optimistic(UpdateRule):
    """w+ = w - lr (d_t + optimism (d_t - d_{t-1})),   d_t = d(F(w_t))

    The first step has no past: it takes d_0 for it, so its length is lr. ``zero_past=true`` takes 0 instead (a first
    step of twice the length), as several published implementations do.

    Source: Daskalakis et al. 2018, arXiv:1711.00141, eq. 3; with optimism, Mokhtari et al. 2020, arXiv:1901.08511.
    """

    lr: StepSize = 0.1
    optimism: Coefficient = 1.0
    zero_past: bool = False
    direction: Direction = Plain()

    def init(self, w: Tensor) -> State:
        past = {"past": torch.zeros_like(w), "begun": torch.full_like(w[:, :1], float(self.zero_past))}
        return past | {"direction": self.direction.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        d, memory = self.direction(F(w), s["direction"], w)
        past = torch.where(s["begun"] > 0, s["past"], d)
        ahead = d + self.optimism * (d - past)
        return w - self.lr * ahead, {"past": d, "begun": torch.ones_like(s["begun"]), "direction": memory}


preset(
    "optimistic-adam",
    "optimistic[direction=adam[beta1=0.5,beta2=0.9]]",
    """w+ = w - lr (2 r_t - r_{t-1}),   r_t = adam(F(w_t))

    Source: Daskalakis et al. 2018, arXiv:1711.00141, algorithm 1.""",
)
