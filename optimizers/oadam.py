"""Optimistic Adam as its widely used PyTorch port computes it (after Daskalakis et al. 2018, arXiv:1711.00141)."""

import torch
from torch import Tensor

from bench.contracts import Coefficient, Decay, Direction, Epsilon, State
from bench.numerics.elementwise import power
from bench.registry import direction, preset


@direction("oadam")
class OAdam(Direction):
    """d = c_t ((1 + optimism) m+/(sqrt(v+) + eps) - optimism m/(sqrt(v) + eps)),   c_t = sqrt(1-b2^t)/(1-b1^t)

    m, v as Adam. Both terms get the bias correction of this step; ``optimistic[direction=adam]``, which is the paper's,
    corrects each by its own. eps is added before the correction. The past starts at 0.

    Source: G. Paraskevopoulos, optimistic-adam; Daskalakis et al. 2018, arXiv:1711.00141.
    """

    beta1: Decay = 0.5
    beta2: Decay = 0.9
    eps: Epsilon = 1e-8
    optimism: Coefficient = 1.0

    scale = 0.01

    def init(self, w: Tensor) -> State:
        return {"m": torch.zeros_like(w), "v": torch.zeros_like(w), "t": torch.zeros_like(w[:, :1])}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        t = s["t"] + 1
        m = self.beta1 * s["m"] + (1 - self.beta1) * g
        v = self.beta2 * s["v"] + (1 - self.beta2) * g * g
        new, old = m / (v.sqrt() + self.eps), s["m"] / (s["v"].sqrt() + self.eps)
        correction = (1 - power(self.beta2, t)).sqrt() / (1 - power(self.beta1, t))
        return correction * (new + self.optimism * (new - old)), {"m": m, "v": v, "t": t}


preset(
    "oadam",
    "sgd[direction=oadam]",
    """w+ = w - lr c_t (2 m+/(sqrt(v+) + eps) - m/(sqrt(v) + eps)),   c_t = sqrt(1-b2^t)/(1-b1^t), m and v as Adam

    Source: G. Paraskevopoulos, optimistic-adam; Daskalakis et al. 2018, arXiv:1711.00141.""",
)
