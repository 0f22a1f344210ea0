"""Simultaneous gradient descent: each player descends its own loss at the same time (Arrow et al. 1958)."""

from torch import Tensor

from bench.contracts import Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain


@rule("sgd")
class Simultaneous(UpdateRule):
    """w+ = w - lr d(F(w)), that is theta <- theta - lr dL/dtheta for each player

    Also called SimGDA or SimGD. On a bilinear game with singular value sigma it grows by sqrt(1 + (lr sigma)^2) a step,
    whatever the step size.

    Source: Arrow, Hurwicz and Uzawa 1958; for GANs, Mescheder et al. 2017, arXiv:1705.10461.
    """

    lr: StepSize = 0.1
    direction: Direction = Plain()

    def init(self, w: Tensor) -> State:
        return self.direction.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        return self.direction.descend(F(w), s, w, self.lr)
