"""AMSGrad (Reddi, Kale and Kumar 2018, arXiv:1904.09237)."""

import torch
from torch import Tensor

from bench.contracts import Decay, Direction, Epsilon, State
from bench.numerics.elementwise import power
from bench.registry import direction, preset


@direction("amsgrad")
class AMSGrad(Direction):
    """m, v as Adam;   u+ = max(u, v+);   d = m+/(1-b1^t) / (sqrt(u+/(1-b2^t)) + eps)

    torch.optim.Adam(amsgrad=True): the maximum is taken before the bias correction, which the paper leaves out.

    Source: Reddi et al. 2018, arXiv:1904.09237, algorithm 2.
    """

    beta1: Decay = 0.5
    beta2: Decay = 0.999
    eps: Epsilon = 1e-8

    scale = 0.01

    def init(self, w: Tensor) -> State:
        return {key: torch.zeros_like(w) for key in "mvu"} | {"t": torch.zeros_like(w[:, :1])}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        t = s["t"] + 1
        m = self.beta1 * s["m"] + (1 - self.beta1) * g
        v = self.beta2 * s["v"] + (1 - self.beta2) * g * g
        u = torch.maximum(s["u"], v)
        d = m / (1 - power(self.beta1, t)) / (u.sqrt() / (1 - power(self.beta2, t)).sqrt() + self.eps)
        return d, {"m": m, "v": v, "u": u, "t": t}


preset(
    "amsgrad",
    "sgd[direction=amsgrad]",
    """m, v as Adam on F(w);   u+ = max(u, v+);   w+ = w - lr m^ / (sqrt(u^) + eps)

    Source: Reddi et al. 2018, arXiv:1904.09237, algorithm 2.""",
)
