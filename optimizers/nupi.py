"""The nuPI controller (Sohrabi et al. 2024, arXiv:2406.04558)."""

import torch
from torch import Tensor

from bench.contracts import Coefficient, Direction, Fraction, State
from bench.registry import direction, preset


@direction("nupi")
class NuPI(Direction):
    """xi+ = nu xi + (1-nu) g;   d = ki g + kp (xi+ - xi)

    A proportional-integral controller. The first step takes the first gradient for xi, so it is ki g;
    ``zero_past=true`` takes 0. With nu = 0 it is generalised optimistic descent.

    Source: Sohrabi et al. 2024, arXiv:2406.04558.
    """

    kp: Coefficient = 1.0
    ki: Coefficient = 1.0
    nu: Fraction = 0.0
    zero_past: bool = False

    def init(self, w: Tensor) -> State:
        return {"xi": torch.zeros_like(w), "begun": torch.full_like(w[:, :1], float(self.zero_past))}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        past = s["xi"] if bool(s["begun"][0] > 0) else g  # all replicas have a past, or none
        xi = self.nu * past + (1 - self.nu) * g
        return self.ki * g + self.kp * (xi - past), {"xi": xi, "begun": torch.ones_like(s["begun"])}


preset(
    "nupi",
    "sgd[direction=nupi]",
    """xi+ = nu xi + (1-nu) F(w);   w+ = w - lr (ki F(w) + kp (xi+ - xi))

    Source: Sohrabi et al. 2024, arXiv:2406.04558.""",
)
