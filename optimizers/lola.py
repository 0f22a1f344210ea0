"""Learning with opponent-learning awareness (Foerster et al. 2018, arXiv:1709.04326)."""

from torch import Tensor

from bench.contracts import Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain


@rule("lola")
class LOLA(UpdateRule):
    """w_i+ = w_i - lr d(grad_i L_i - grad_i <grad_j L_i, lr grad_j L_j>)

    The exact first-order form, each player differentiating through the opponent's next plain step:
    grad_i <grad_j L_i, grad_j L_j> = (H_o F + H_o' C)_i with C_j = grad_j L_i.

    Source: Foerster et al. 2018, arXiv:1709.04326; in this form, Letcher et al. 2019, arXiv:1811.08469.
    """

    lr: StepSize = 0.1
    direction: Direction = Plain()

    players = 2
    cost = 6.0

    def init(self, w: Tensor) -> State:
        return self.direction.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        g, push, pull = F.linear(w, own=False)
        return self.direction.descend(g - push(self.lr * g) - pull(self.lr * F.cross(w)), s, w, self.lr)
