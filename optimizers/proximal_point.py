"""The proximal point method, one Newton step of it (Martinet 1970; Rockafellar 1976)."""

from torch import Tensor

from bench.contracts import Count, Oracle, State, StepSize, UpdateRule
from bench.numerics.krylov import solve
from bench.registry import rule


@rule("proximal-point")
class ProximalPoint(UpdateRule):
    """w+ = w - lr F(w+), linearised at w:   w+ = w - (I + lr J)^-1 lr F(w)

    The implicit step that optimistic and extragradient descent approximate; exact where F is linear. The system is
    solved by ``iterations`` of conjugate gradients on the normal equations.

    Source: Rockafellar 1976; as the model of OGDA and EG, Mokhtari et al. 2020, arXiv:1901.08511.
    """

    lr: StepSize = 0.1
    iterations: Count = 5

    @property
    def cost(self) -> float:
        return 1 + 4.0 * self.iterations

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        g, push, pull = F.linear(w)
        step = solve(lambda v: v + self.lr * push(v), lambda u: u + pull(self.lr * u), self.lr * g, self.iterations)
        return w - step, s
