"""Adagrad (Duchi, Hazan and Singer 2011)."""

import torch
from torch import Tensor

from bench.contracts import Direction, Epsilon, State
from bench.registry import direction, preset


@direction("adagrad")
class Adagrad(Direction):
    """v+ = v + g^2;   d = g / (sqrt(v+) + eps)

    torch.optim.Adagrad's convention: v starts at 0, eps stands outside the root.

    Source: Duchi et al. 2011, JMLR 12, with a diagonal matrix.
    """

    eps: Epsilon = 1e-10

    scale = 0.1  # the first steps have length 1 an entry, later ones shrink as 1/sqrt(t)

    def init(self, w: Tensor) -> State:
        return {"v": torch.zeros_like(w)}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        v = s["v"] + g * g
        return g / (v.sqrt() + self.eps), {"v": v}


preset(
    "adagrad",
    "sgd[direction=adagrad]",
    """v+ = v + F(w)^2;   w+ = w - lr F(w) / (sqrt(v+) + eps)

    Source: Duchi et al. 2011, JMLR 12.""",
)
