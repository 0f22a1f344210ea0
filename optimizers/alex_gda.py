"""Alternating-extrapolation GDA (Lee, Cho and Yun 2024, arXiv:2402.10475)."""

from torch import Tensor

from bench.contracts import Coefficient, Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain

X, Y = 0, 1


@rule("alex-gda")
class AlexGDA(UpdateRule):
    """x' = x - gamma lr d_x(x, y');   x+ = x - lr d_x(x, y');   y'+ = y - delta lr d_y(x', y);   y+ = y - lr d_y(x', y)

    x is the generator, d_x(x, y') its step along grad_x L_G there; y' starts at y. gamma = delta = 1 is alternating
    descent, generator first. Where both exceed 1 it contracts on bilinear games, at one gradient of each player.

    Source: Lee et al. 2024, arXiv:2402.10475.
    """

    lr: StepSize = 0.1
    gamma: Coefficient = 2.0
    delta: Coefficient = 2.0
    direction: Direction = Plain()

    players = 2

    def init(self, w: Tensor) -> State:
        return {"ahead": w.clone(), "generator": self.direction.init(w), "discriminator": self.direction.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        seen = F.within(Y, s["ahead"], w)  # (x, y')
        d, generator = self.direction(F(seen, X), s["generator"], w)
        ahead = F.within(X, w - self.gamma * self.lr * d, w)  # (x', y)
        w = F.within(X, w - self.lr * d, w)
        d, discriminator = self.direction(F(ahead, Y), s["discriminator"], w)
        far, near = (F.project(F.within(Y, w - factor * self.lr * d, w)) for factor in (self.delta, 1.0))
        return near, {"ahead": far, "generator": generator, "discriminator": discriminator}
