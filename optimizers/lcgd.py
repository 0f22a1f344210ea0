"""Linearised competitive gradient descent, the LookAhead of learning in games (Zhang and Lesser 2010)."""

from torch import Tensor

from bench.contracts import Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain


@rule("lcgd")
class LinearisedCompetitiveGradient(UpdateRule):
    """w+ = w - lr d(F - H_o lr F),   H_o the Jacobian without its diagonal blocks

    Each player answers the opponent's next plain step; the first two terms of competitive gradient descent's inverse.
    Called LA in work on opponent shaping; not lookahead-minmax.

    Source: Zhang and Lesser 2010; Letcher et al. 2019, arXiv:1811.08469; Schaefer, Anandkumar 2019, arXiv:1905.12103.
    """

    lr: StepSize = 0.1
    direction: Direction = Plain()

    players = 2
    cost = 3.0

    def init(self, w: Tensor) -> State:
        return self.direction.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        g, push, _ = F.linear(w, own=False)
        return self.direction.descend(g - push(self.lr * g), s, w, self.lr)
