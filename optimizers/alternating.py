"""Alternating gradient descent: the players move in turn (Gidel et al. 2019; Zhang and Yu 2020)."""

from torch import Tensor

from bench.contracts import Count, Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain

GENERATOR, DISCRIMINATOR = 0, 1


@rule("alternating")
class Alternating(UpdateRule):
    """phi+ = phi - lr d(grad L_D(theta, phi)), k times;   theta+ = theta - lr d(grad L_G(theta, phi+))

    k is ``discriminator_steps``. Each player's direction keeps a memory of its own. On a bilinear game it stays bounded
    for lr sigma < 2. ``generator_first`` turns the order. Every discriminator step after the first draws a minibatch of
    its own, as in Goodfellow's algorithm 1, unless ``fresh=false``; the generator meets the last one.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1; Gidel et al. 2019, arXiv:1807.04740.
    """

    lr: StepSize = 0.1
    discriminator_steps: Count = 1
    generator_first: bool = False
    fresh: bool = True
    direction: Direction = Plain()

    players = 2

    @property
    def cost(self) -> float:
        return (self.discriminator_steps + 1) / 2

    def init(self, w: Tensor) -> State:
        return {"generator": self.direction.init(w), "discriminator": self.direction.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        moves = [(DISCRIMINATOR, "discriminator")] * self.discriminator_steps
        first = [(GENERATOR, "generator")]
        before = None
        for player, name in first + moves if self.generator_first else moves + first:
            if self.fresh and player == before:
                F.new_batch()
            w, memory = self.direction.descend_block(F(w, player), s[name], w, self.lr, F.blocks[player])
            w, s, before = F.project(w), s | {name: memory}, player
        return w, s
