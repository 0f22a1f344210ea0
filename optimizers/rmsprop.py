"""RMSprop (Tieleman and Hinton 2012)."""

import torch
from torch import Tensor

from bench.contracts import Decay, Direction, Epsilon, State, Value
from bench.numerics.passes import rmsprop_step
from bench.registry import direction, preset


@direction("rmsprop")
class RMSprop(Direction):
    """v+ = alpha v + (1 - alpha) g^2;   d = g / (sqrt(v+) + eps)

    torch.optim.RMSprop's convention: v starts at 0, eps stands outside the root. TensorFlow 1 starts v at 1 and puts
    eps inside: ``v0=1, inside=true``.

    Source: Tieleman and Hinton 2012, lecture 6.5.
    """

    alpha: Decay = 0.99
    eps: Epsilon = 1e-8
    v0: float = 0.0
    inside: bool = False

    scale = 0.01

    def init(self, w: Tensor) -> State:
        return {"v": torch.full_like(w, self.v0)}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        v = self.alpha * s["v"] + (1 - self.alpha) * g * g
        root = (v + self.eps).sqrt() if self.inside else v.sqrt() + self.eps
        return g / root, {"v": v}

    def descend(self, g: Tensor, s: State, w: Tensor, lr: Value) -> tuple[Tensor, State]:
        passed = rmsprop_step(g, s["v"], self.alpha, self.eps, inside=self.inside, w=w, lr=lr)
        return super().descend(g, s, w, lr) if passed is None else (passed[0], {"v": passed[1]})

    def descend_block(self, g: Tensor, s: State, w: Tensor, lr: Value, block: slice) -> tuple[Tensor, State]:
        passed = rmsprop_step(g, s["v"], self.alpha, self.eps, inside=self.inside, w=w, lr=lr, block=block)
        return super().descend_block(g, s, w, lr, block) if passed is None else (passed[0], {"v": passed[1]})


preset(
    "rmsprop",
    "sgd[direction=rmsprop]",
    """v+ = alpha v + (1 - alpha) F(w)^2;   w+ = w - lr F(w) / (sqrt(v+) + eps)

    Source: Tieleman and Hinton 2012, lecture 6.5.""",
)
