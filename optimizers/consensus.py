"""Consensus optimisation (Mescheder, Nowozin and Geiger 2017, arXiv:1705.10461)."""

from torch import Tensor

from bench.contracts import Coefficient, Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain


@rule("consensus")
class Consensus(UpdateRule):
    """w+ = w - lr d(F + gamma J'F),   J'F = grad ||F||^2 / 2

    gamma = 0.1 is the default of the authors' code, whose direction is RMSprop; their experiments go up to 10.

    Source: Mescheder et al. 2017, arXiv:1705.10461.
    """

    lr: StepSize = 0.1
    gamma: Coefficient = 0.1
    direction: Direction = Plain()

    cost = 3.0

    def init(self, w: Tensor) -> State:
        return self.direction.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        g, _, pull = F.linear(w)
        return self.direction.descend(g + self.gamma * pull(g), s, w, self.lr)
