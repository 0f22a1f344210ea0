"""Unrolled GANs (Metz, Poole, Pfau and Sohl-Dickstein 2017, arXiv:1611.02163)."""

import torch
from torch import Tensor

from bench.contracts import Count, Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain

GENERATOR, DISCRIMINATOR = 0, 1


@rule("unrolled")
class Unrolled(UpdateRule):
    """theta+ = theta - lr d(d/dtheta L_G(theta, phi^k(theta)));   phi+ = phi - lr d(grad L_D(theta, phi))

    phi^0 = phi, phi^{i+1} = phi^i - lr grad L_D(theta, phi^i): the generator differentiates through k plain steps of
    the discriminator, which it then does not keep. Both players move at once, as in the paper;
    ``discriminator_first=true`` lets phi move before, and unrolls from there. k = 0 is simultaneous descent.

    Source: Metz et al. 2017, arXiv:1611.02163, eq. 6-11.
    """

    k: Count = 5
    lr: StepSize = 0.1
    discriminator_first: bool = False
    direction: Direction = Plain()

    @property
    def cost(self) -> float:
        return 1 + 1.5 * self.k

    def init(self, w: Tensor) -> State:
        return {"generator": self.direction.init(w), "discriminator": self.direction.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        moved, discriminator = self.direction.descend(F(w, DISCRIMINATOR), s["discriminator"], w, self.lr)
        moved = F.project(F.within(DISCRIMINATOR, moved, w))
        g = self._surrogate(F, moved if self.discriminator_first else w)
        g = F.within(GENERATOR, g, torch.zeros_like(g))
        ahead, generator = self.direction.descend(g, s["generator"], w, self.lr)
        return F.within(GENERATOR, ahead, moved), {"generator": generator, "discriminator": discriminator}

    def _surrogate(self, F: Oracle, w: Tensor) -> Tensor:
        """Its generator's block is d/dtheta L_G(theta, phi^k(theta)): the unrolled steps' adjoints, last step first."""
        pulls = []
        for _ in range(self.k):
            g, _, pull = F.linear(w, DISCRIMINATOR)
            pulls.append(pull)
            w = F.project(w - self.lr * g)
        adjoint = F.loss_gradient(w, GENERATOR)
        for pull in reversed(pulls):
            adjoint = adjoint - pull(self.lr * adjoint)  # its rows are the discriminator's: the others do not count
        return adjoint
