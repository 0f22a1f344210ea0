"""Competitive gradient descent (Schaefer and Anandkumar 2019, arXiv:1905.12103)."""

import torch
from torch import Tensor

from bench.contracts import Count, Oracle, State, StepSize, UpdateRule
from bench.contracts.oracle import Product
from bench.numerics.krylov import solve
from bench.registry import rule


def competitive_step(linear: tuple[Tensor, Product, Product], steps: Tensor, iterations: int) -> Tensor:
    """(I + E H_o)^-1 E F(w) with E = diag(steps), steps [R, n] >= 0; ``linear`` is F.linear(w, own=False).

    Solved as E^1/2 (I + S)^-1 E^1/2 F with S = E^1/2 H_o E^1/2, which is skew where the game is zero-sum: its normal
    equations are then as well conditioned as they can be.
    """
    root = steps.sqrt()
    g, push, pull = linear
    return root * solve(lambda v: v + root * push(root * v), lambda u: u + root * pull(root * u), root * g, iterations)


@rule("cgd")
class CompetitiveGradient(UpdateRule):
    """w+ = w - (I + lr H_o)^-1 lr F(w),   H_o the Jacobian without its diagonal blocks

    The Nash equilibrium of the local bilinear game. The system is solved by ``iterations`` of conjugate gradients on
    the normal equations (exact from n/2 on in a zero-sum game). On bilinear games it is the proximal point method.

    Source: Schaefer and Anandkumar 2019, arXiv:1905.12103.
    """

    lr: StepSize = 0.1
    iterations: Count = 5

    players = 2

    @property
    def cost(self) -> float:
        return 1 + 4.0 * self.iterations

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        return w - competitive_step(F.linear(w, own=False), torch.zeros_like(w) + self.lr, self.iterations), s
