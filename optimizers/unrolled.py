"""Unrolled GANs (Metz, Poole, Pfau and Sohl-Dickstein 2017, arXiv:1611.02163)."""

from typing import Annotated

import torch
from torch import Tensor

from bench.contracts import (
    Count,
    Direction,
    Hyperparameter,
    Oracle,
    State,
    StepSize,
    UpdateRule,
    hyperparameters,
    later,
)
from bench.contracts.hyperparameter import Value
from bench.errors import UserError
from bench.numerics.elementwise import where_given
from bench.registry import rule
from optimizers.plain import Plain

GENERATOR, DISCRIMINATOR = 0, 1
InnerStepSize = Annotated[Value, Hyperparameter("step size", 1e-3, 10.0, log=True, least=0.0)]
"""A step size that is tuned where all hyperparameters are: it is ``lr`` unless it is given."""


def has_derivative(direction: Direction) -> bool:
    """Whether autograd goes back from a direction's step to the gradient; of one with stacked values, yes."""
    if not all(isinstance(value, (int, float)) for _, value in hyperparameters(direction).values()):
        return True  # it was asked before it was stacked
    w = torch.zeros(1, 16)
    with torch.enable_grad():
        d, _ = direction(torch.ones_like(w).requires_grad_(True), direction.init(w), w)
    return d.requires_grad


@rule("unrolled")
class Unrolled(UpdateRule):
    """theta+ = theta - lr d(d/dtheta L_G(theta, phi^k(theta)));   phi+ = phi - lr d(grad L_D(theta, phi))

    phi^0 = phi, phi^{i+1} = phi^i - inner_lr a(grad L_D(theta, phi^i)), a the direction ``look_ahead``: the generator
    differentiates through k steps of the discriminator, a's memory included, which the discriminator then does not
    keep. Both players move at once; ``discriminator_first=true`` lets phi move before, and unrolls from there. k = 0 is
    simultaneous descent. An ``inner_lr`` of 0 is lr, the discriminator's where the players have one each.

    The memory of a goes with the discriminator: it has seen the gradients that the discriminator moved by, and every
    look-ahead starts from it. So with ``look_ahead`` the same as ``direction`` the first look-ahead step is the
    discriminator's own, as in the authors' notebook (github.com/poolio/unrolled_gan), whose look-ahead is Adam from the
    discriminator's current moments, on one minibatch, and whose generator and discriminator are updated at once:
    unrolled[k=5,lr=0.001:0.0001,direction=adam,look_ahead=adam].

    Source: Metz et al. 2017, arXiv:1611.02163, eq. 6-11.
    """

    k: Count = 5
    lr: StepSize = 0.1
    discriminator_first: bool = False
    direction: Direction = Plain()
    inner_lr: InnerStepSize = later(0.0)
    look_ahead: Direction = later(Plain())

    players = 2

    def __post_init__(self) -> None:
        if not has_derivative(self.look_ahead):
            raise UserError(f"unrolled: look_ahead is {self.look_ahead.name}; a direction with a derivative is allowed")

    @property
    def cost(self) -> float:
        return 1 + 1.5 * self.k

    def init(self, w: Tensor) -> State:
        directions = {"generator": self.direction, "discriminator": self.direction, "look_ahead": self.look_ahead}
        return {name: direction.init(w) for name, direction in directions.items()}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        g, inner_lr = F(w, DISCRIMINATOR), where_given(self.inner_lr, self.lr)
        moved, discriminator = self.direction.descend(g, s["discriminator"], w, self.lr)
        moved = F.project(F.within(DISCRIMINATOR, moved, w))
        _, look_ahead = self.look_ahead.descend(g, s["look_ahead"], w, inner_lr)
        first = self.discriminator_first
        g = self._surrogate(F, moved if first else w, look_ahead if first else s["look_ahead"], inner_lr)
        g = F.within(GENERATOR, g, torch.zeros_like(g))
        ahead, generator = self.direction.descend(g, s["generator"], w, self.lr)
        s = {"generator": generator, "discriminator": discriminator, "look_ahead": look_ahead}
        return F.within(GENERATOR, ahead, moved), s

    def _surrogate(self, F: Oracle, w: Tensor, memory: State, inner_lr: Value) -> Tensor:
        """Its generator's block is d/dtheta L_G(theta, phi^k(theta)), back through the look-ahead."""
        with torch.enable_grad():
            start = ahead = w.detach().requires_grad_(True)
            for _ in range(self.k):
                g = F.tracked(ahead, DISCRIMINATOR)
                moved, memory = self.look_ahead.descend(g, memory, ahead, inner_lr)
                ahead = F.project(F.within(DISCRIMINATOR, moved, ahead))
        adjoint = F.loss_gradient(ahead.detach(), GENERATOR)
        return torch.autograd.grad(ahead, start, adjoint)[0]
