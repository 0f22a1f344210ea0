"""Lion: evolved sign momentum (Chen et al. 2023, arXiv:2302.06675)."""

import torch
from torch import Tensor

from bench.contracts import Coefficient, Decay, Direction, State
from bench.registry import direction, preset


@direction("lion")
class Lion(Direction):
    """d = sign(b1 m + (1-b1) g) + weight_decay w;   m+ = b2 m + (1-b2) g

    Source: Chen et al. 2023, arXiv:2302.06675.
    """

    beta1: Decay = 0.9
    beta2: Decay = 0.99
    weight_decay: Coefficient = 0.0

    scale = 0.01

    def init(self, w: Tensor) -> State:
        return {"m": torch.zeros_like(w)}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        d = (self.beta1 * s["m"] + (1 - self.beta1) * g).sign() + self.weight_decay * w
        return d, {"m": self.beta2 * s["m"] + (1 - self.beta2) * g}


preset(
    "lion",
    "sgd[direction=lion]",
    """w+ = w - lr (sign(b1 m + (1-b1) F(w)) + weight_decay w);   m+ = b2 m + (1-b2) F(w)

    Source: Chen et al. 2023, arXiv:2302.06675.""",
)
