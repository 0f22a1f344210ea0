"""Follow the ridge (Wang, Zhang and Ba 2020, arXiv:1910.07512)."""

import torch
from torch import Tensor

from bench.contracts import Coefficient, Count, Direction, Oracle, State, StepSize, UpdateRule
from bench.numerics.krylov import solve
from bench.registry import rule
from optimizers.plain import Plain

X, Y = 0, 1


@rule("follow-the-ridge")
class FollowTheRidge(UpdateRule):
    """x+ = x - lr d_x;   y+ = y - lr d_y + H_yy^-1 H_yx lr d_x,   H of the follower's loss L_D

    The follower stays on its ridge while the leader x, the generator, moves; stable points are local minimax. The
    system is solved by ``iterations`` of conjugate gradients on the normal equations, for H_yy may be indefinite or
    singular (on a bilinear game it is 0, and so is the correction). ``damping`` is added to H_yy, as in the authors'
    code for GANs.

    Source: Wang et al. 2020, arXiv:1910.07512, with the direction as their preconditioning.
    """

    lr: StepSize = 0.1
    damping: Coefficient = 0.0
    iterations: Count = 5
    direction: Direction = Plain()

    players = 2

    @property
    def cost(self) -> float:
        return 1 + 1 + 2.0 * self.iterations

    def init(self, w: Tensor) -> State:
        return self.direction.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        zeros = torch.zeros_like(w)
        g, push, pull = F.linear(w, player=Y)
        d, s = self.direction(F(w, X) + g, s, w)
        shift = push(F.within(X, self.lr * d, zeros))  # H_yx lr d_x
        correction = solve(
            lambda v: push(F.within(Y, v, zeros)) + self.damping * v,
            lambda u: F.within(Y, pull(u), zeros) + self.damping * u,
            shift, self.iterations,
        )  # fmt: skip
        return w - self.lr * d + correction, s
