"""AdaBelief (Zhuang et al. 2020, arXiv:2010.07468)."""

import torch
from torch import Tensor

from bench.contracts import Decay, Direction, Epsilon, State
from bench.numerics.elementwise import power
from bench.registry import direction, preset


@direction("adabelief")
class AdaBelief(Direction):
    """m+ = b1 m + (1-b1) g;   s+ = b2 s + (1-b2) (g - m+)^2 + eps;   d = m+/(1-b1^t) / (sqrt(s+/(1-b2^t)) + eps)

    eps is accumulated in the memory at every step, as in the authors' code and in optax (its eps_root).

    Source: Zhuang et al. 2020, arXiv:2010.07468.
    """

    beta1: Decay = 0.5
    beta2: Decay = 0.999
    eps: Epsilon = 1e-12

    scale = 0.01

    def init(self, w: Tensor) -> State:
        return {"m": torch.zeros_like(w), "s": torch.zeros_like(w), "t": torch.zeros_like(w[:, :1])}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        t = s["t"] + 1
        m = self.beta1 * s["m"] + (1 - self.beta1) * g
        v = self.beta2 * s["s"] + (1 - self.beta2) * (g - m) ** 2 + self.eps
        d = m / (1 - power(self.beta1, t)) / (v.sqrt() / (1 - power(self.beta2, t)).sqrt() + self.eps)
        return d, {"m": m, "s": v, "t": t}


preset(
    "adabelief",
    "sgd[direction=adabelief]",
    """m+ = b1 m + (1-b1) F;   s+ = b2 s + (1-b2) (F - m+)^2 + eps;   w+ = w - lr m^ / (sqrt(s^) + eps)

    Source: Zhuang et al. 2020, arXiv:2010.07468.""",
)
