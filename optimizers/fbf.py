"""Tseng's forward-backward-forward (Tseng 2000; for GANs, Boehm et al. 2022, arXiv:2006.09033)."""

from torch import Tensor

from bench.contracts import Coefficient, Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain


@rule("fbf")
class ForwardBackwardForward(UpdateRule):
    """w' = prox(w - lr d(F(w)));   w+ = w' + lr (d(F(w)) - d(F(w'))),   prox(u) = sign(u) max(|u| - lr l1, 0)

    prox is that of ``l1`` times the 1-norm of the parameters, the regulariser of the paper's GANs. Without it (the
    default) the step is extragradient's, which needs two projections where this needs one.

    Source: Tseng 2000; Boehm et al. 2022, arXiv:2006.09033.
    """

    lr: StepSize = 0.1
    l1: Coefficient = 0.0
    direction: Direction = Plain()

    cost = 2.0

    def init(self, w: Tensor) -> State:
        return self.direction.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        d, s = self.direction(F(w), s, w)
        forward = w - self.lr * d
        ahead = forward.sign() * (forward.abs() - self.lr * self.l1).clamp(min=0)
        corrected, s = self.direction(F(ahead), s, w)
        return ahead + self.lr * (d - corrected), s
