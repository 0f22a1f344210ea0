"""Nesterov's accelerated gradient (Nesterov 1983; Sutskever et al. 2013)."""

import torch
from torch import Tensor

from bench.contracts import Direction, Momentum, State
from bench.registry import direction, preset


@direction("nesterov")
class Nesterov(Direction):
    """v+ = beta v + g;   d = g + beta v+

    The form of torch.optim.SGD(nesterov=True), in which the gradient is taken at the point looked ahead to.

    Source: Nesterov 1983; Sutskever et al. 2013.
    """

    beta: Momentum = 0.9

    def init(self, w: Tensor) -> State:
        return {"v": torch.zeros_like(w)}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        v = self.beta * s["v"] + g
        return g + self.beta * v, {"v": v}


preset(
    "nesterov",
    "sgd[direction=nesterov]",
    """v+ = beta v + F(w);   w+ = w - lr (F(w) + beta v+)

    Source: Nesterov 1983; Sutskever et al. 2013.""",
)
