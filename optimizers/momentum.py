"""Heavy-ball momentum, positive or negative (Polyak 1964; Gidel et al. 2019)."""

import torch
from torch import Tensor

from bench.contracts import Direction, Momentum, State, Value
from bench.numerics.passes import momentum_descent
from bench.registry import direction, preset


@direction("momentum")
class HeavyBall(Direction):
    """v+ = beta v + g;   d = v+

    The first memory is 0, so the first step is the gradient's, as in torch.optim.SGD(dampening=0). A negative beta is
    the negative momentum of Gidel et al. 2019 (arXiv:1807.04740), which helps alternating descent.

    Source: Polyak 1964; Sutskever et al. 2013.
    """

    beta: Momentum = 0.9

    def init(self, w: Tensor) -> State:
        return {"v": torch.zeros_like(w)}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        v = self.beta * s["v"] + g
        return v, {"v": v}

    def descend(self, g: Tensor, s: State, w: Tensor, lr: Value) -> tuple[Tensor, State]:
        passed = momentum_descent(g, s["v"], self.beta, w, lr)
        return super().descend(g, s, w, lr) if passed is None else (passed[0], {"v": passed[1]})

    def descend_block(self, g: Tensor, s: State, w: Tensor, lr: Value, block: slice) -> tuple[Tensor, State]:
        passed = momentum_descent(g, s["v"], self.beta, w, lr, block)
        return super().descend_block(g, s, w, lr, block) if passed is None else (passed[0], {"v": passed[1]})


preset(
    "momentum",
    "sgd[direction=momentum]",
    """v+ = beta v + F(w);   w+ = w - lr v+

    Source: Polyak 1964.""",
)
preset(
    "negative-momentum",
    "alternating[direction=momentum[beta=-0.5],generator_first=true]",
    """alternating, v+ = beta v + g with beta < 0;   w+ = w - lr v+

    Source: Gidel et al. 2019, arXiv:1807.04740.""",
)
