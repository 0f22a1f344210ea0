"""Chambolle and Pock's primal-dual step, written with gradients (Chambolle and Pock 2011)."""

from torch import Tensor

from bench.contracts import Coefficient, Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain

X, Y = 0, 1


@rule("chambolle-pock")
class ChambollePock(UpdateRule):
    """x+ = x - lr d_x(x, y);   y+ = y - lr d_y(x+ + theta (x+ - x), y)

    x is the generator. theta = 1 is the primal-dual hybrid gradient method, theta = 0 alternating descent, generator
    first.

    Source: Chambolle and Pock 2011, without its proximal maps.
    """

    lr: StepSize = 0.1
    theta: Coefficient = 1.0
    direction: Direction = Plain()

    players = 2

    def init(self, w: Tensor) -> State:
        return {"generator": self.direction.init(w), "discriminator": self.direction.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        moved, generator = self.direction.descend(F(w, X), s["generator"], w, self.lr)
        moved = F.project(F.within(X, moved, w))
        ahead = moved + self.theta * (moved - w)
        w, discriminator = self.direction.descend(F(ahead, Y), s["discriminator"], w, self.lr)
        return F.within(Y, w, moved), {"generator": generator, "discriminator": discriminator}
