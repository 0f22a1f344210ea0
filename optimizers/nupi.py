"""The nuPI controller (Sohrabi et al. 2024, arXiv:2406.04558)."""

import torch
from torch import Tensor

from bench.contracts import Coefficient, Direction, Fraction, State
from bench.registry import direction, preset


@direction("nupi")
class NuPI(Direction):
    """xi+ = nu xi + (1-nu) g;   d = ki g + kp (xi+ - xi)

    A proportional-integral controller. With nu = 0 it is generalised optimistic descent whose past is 0 at the start.

    Source: Sohrabi et al. 2024, arXiv:2406.04558, algorithm 1.
    """

    kp: Coefficient = 1.0
    ki: Coefficient = 1.0
    nu: Fraction = 0.0

    def init(self, w: Tensor) -> State:
        return {"xi": torch.zeros_like(w)}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        xi = self.nu * s["xi"] + (1 - self.nu) * g
        return self.ki * g + self.kp * (xi - s["xi"]), {"xi": xi}


preset(
    "nupi",
    "sgd[direction=nupi]",
    """xi+ = nu xi + (1-nu) F(w);   w+ = w - lr (ki F(w) + kp (xi+ - xi))

    Source: Sohrabi et al. 2024, arXiv:2406.04558, algorithm 1.""",
)
