"""Local symplectic surgery (Mazumdar, Jordan and Sastry 2019, arXiv:1901.00838)."""

from torch import Tensor

from bench.contracts import Count, Direction, Oracle, State, StepSize, UpdateRule
from bench.numerics.krylov import solve
from bench.registry import rule
from optimizers.plain import Plain


@rule("lss")
class LocalSymplecticSurgery(UpdateRule):
    """w+ = w - lr/2 d(F + J'J^-1 F)

    Removes the rotation: only local Nash equilibria attract. On a skew Jacobian the direction is 0 everywhere, so on a
    bilinear game it does not move. J^-1 F by ``iterations`` of conjugate gradients on the normal equations, stopped
    early where the paper regularises.

    Source: Mazumdar et al. 2019, arXiv:1901.00838.
    """

    lr: StepSize = 0.1
    iterations: Count = 5
    direction: Direction = Plain()

    @property
    def cost(self) -> float:
        return 1 + 4.0 * self.iterations + 2

    def init(self, w: Tensor) -> State:
        return self.direction.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        g, push, pull = F.linear(w)
        return self.direction.descend((g + pull(solve(push, pull, g, self.iterations))) / 2, s, w, self.lr)
