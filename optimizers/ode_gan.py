"""ODE-GAN: Runge-Kutta steps along the field (Qin et al. 2020, arXiv:2010.15040)."""

import torch
from torch import Tensor

from bench.contracts import Coefficient, Direction, Oracle, State, StepSize, UpdateRule
from bench.errors import UserError
from bench.registry import preset, rule
from optimizers.plain import Plain

TABLEAUS: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {  # how far ahead each slope is taken; weights
    1: ((0.0,), (1.0,)),
    2: ((0.0, 1.0), (1 / 2, 1 / 2)),
    4: ((0.0, 1 / 2, 1 / 2, 1.0), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
}


@rule("ode-gan")
class RungeKutta(UpdateRule):
    """w+ = w - lr d(sum_i b_i F(w - c_i lr F_{i-1}));   phi also descends reg ||grad_theta L_G(w)||^2

    Order 1 is Euler's step, 2 Heun's, 4 the classical one, on the joint field as in the authors' training code. The
    penalty is the discriminator's alone, at the point where the step starts; ``penalty=false`` saves its product.

    Source: Qin et al. 2020, arXiv:2010.15040.
    """

    lr: StepSize = 0.1
    reg: Coefficient = 0.002
    order: int = 2
    penalty: bool = True
    direction: Direction = Plain()

    def __post_init__(self) -> None:
        if self.order not in TABLEAUS:
            raise UserError(f"ode-gan: order is {self.order}; 1, 2 or 4 is allowed")

    @property
    def players(self) -> int:
        return 1 + self.penalty

    @property
    def cost(self) -> float:
        return self.order + float(self.penalty)

    def init(self, w: Tensor) -> State:
        return self.direction.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        if self.penalty:
            g, _, pull = F.linear(w, player=0)
            extra = 2 * self.reg * F.within(1, pull(g), torch.zeros_like(w))
            slope = g + F(w, 1)
        else:
            slope, extra = F(w), torch.zeros_like(w)
        ahead, weights = TABLEAUS[self.order]
        total = weights[0] * slope
        for c, b in zip(ahead[1:], weights[1:], strict=True):
            slope = F(w - c * self.lr * slope)
            total = total + b * slope
        return self.direction.descend(total + extra, s, w, self.lr)


preset(
    "rk4",
    "ode-gan[order=4,penalty=false]",
    """w+ = w - lr (F_1 + 2 F_2 + 2 F_3 + F_4) / 6: the classical Runge-Kutta step, without ODE-GAN's penalty

    Source: Qin et al. 2020, arXiv:2010.15040.""",
)
