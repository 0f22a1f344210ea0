"""Adaptive competitive gradient descent (Schaefer, Zheng and Anandkumar 2020, arXiv:1910.05852)."""

from typing import Annotated

import torch
from torch import Tensor

from bench.contracts import Count, Decay, Epsilon, Hyperparameter, Oracle, State, UpdateRule
from bench.numerics.elementwise import power
from bench.registry import rule
from optimizers.cgd import competitive_step

# Steps are normalised entry by entry, so that a step size of 1 is far longer than a gradient's.
StepSize = Annotated[float, Hyperparameter("step size", 1e-5, 0.1, log=True, least=0.0, step_size=True)]


@rule("acgd")
class AdaptiveCompetitiveGradient(UpdateRule):
    """v+ = beta v + (1-beta) F^2;   E = diag(lr sqrt(1-beta^t) / (sqrt(v+) + eps));   w+ = w - (I + E H_o)^-1 E F(w)

    No first moment. H_o is taken of both players' own losses, so general-sum games are covered (the published GACGD,
    whose eps is 1e-6).

    Source: Schaefer et al. 2020, arXiv:1910.05852.
    """

    lr: StepSize = 1e-3
    beta: Decay = 0.99
    eps: Epsilon = 1e-5
    iterations: Count = 5

    players = 2

    @property
    def cost(self) -> float:
        return 1 + 4.0 * self.iterations

    def init(self, w: Tensor) -> State:
        return {"v": torch.zeros_like(w), "t": torch.zeros_like(w[:, :1])}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        linear = F.linear(w, own=False)
        t, v = s["t"] + 1, self.beta * s["v"] + (1 - self.beta) * linear[0] ** 2
        steps = self.lr * (1 - power(self.beta, t)).sqrt() / (v.sqrt() + self.eps)
        return w - competitive_step(linear, steps, self.iterations), {"v": v, "t": t}
