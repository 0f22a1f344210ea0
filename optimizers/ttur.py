"""Two time-scale update rule (Heusel et al. 2017, arXiv:1706.08500)."""

from torch import Tensor

from bench.contracts import Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.adam import Adam


@rule("ttur")
class TwoTimeScale(UpdateRule):
    """theta+ = theta - lr_g d(grad L_G(w));   phi+ = phi - lr_d d(grad L_D(w))

    A step size for each player, both tuned. The published GAN settings use Adam with beta1 = 0, beta2 = 0.9.

    Source: Heusel et al. 2017, arXiv:1706.08500, eq. 1; "Adam Follows an HBF ODE and Ensures TTUR Convergence".
    """

    lr_g: StepSize = 1e-3
    lr_d: StepSize = 4e-3
    direction: Direction = Adam(beta1=0.0, beta2=0.9)

    players = 2

    def init(self, w: Tensor) -> State:
        return self.direction.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        return self.direction.descend(F(w), s, w, F.per_player(w, self.lr_g, self.lr_d))
