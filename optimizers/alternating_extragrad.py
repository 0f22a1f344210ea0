"""Alternating extragradient: the players move in turn, each against a half-step ahead of both (Lee et al. 2024)."""

from torch import Tensor

from bench.contracts import Coefficient, Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain

X, Y = 0, 1


@rule("alternating-extragrad")
class AlternatingExtragradient(UpdateRule):
    """w' = w - gamma lr d(F(x, y)),   x+ = x - lr d_x(w');   w' = w - gamma lr d(F(x+, y)),   y+ = y - lr d_y(w')

    x is the generator, w = (x, y), d_x its step along grad_x L_G. The AltEG of Lee et al.: before either player moves,
    both go half a step ahead from where they now are, so a step takes three gradients.
    ``double-step-extragrad[alternating=true]`` sends the opponent ahead alone and takes two; on bilinear games that is
    the same but for the player that moves first. The half-steps ahead have a memory of their own, and so does each
    player. At lr sigma = s, gamma = 1, it contracts a bilinear game by 1 - s^2 as far as s^2 = 4/5, and for s < 1.

    Source: Lee, Cho and Yun 2024, arXiv:2402.10475, AltEG of its experiments.
    """

    lr: StepSize = 0.1
    gamma: Coefficient = 1.0
    direction: Direction = Plain()

    players = 2
    cost = 3.0

    def init(self, w: Tensor) -> State:
        return {name: self.direction.init(w) for name in ("ahead", "generator", "discriminator")}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        for player, name in ((X, "generator"), (Y, "discriminator")):
            ahead, memory = self.direction.descend(F(w), s["ahead"], w, self.gamma * self.lr)
            w, own = self.direction.descend_block(F(ahead, player), s[name], w, self.lr, F.blocks[player])
            w, s = F.project(w), s | {"ahead": memory, name: own}
        return w, s
