"""Optimistic mirror descent (Rakhlin and Sridharan 2013, arXiv:1311.1869; for GANs, arXiv:1711.00141, 1807.02629)."""

from collections.abc import Callable

import torch
from torch import Tensor

from bench.contracts import Coefficient, Direction, Oracle, State, StepSize, UpdateRule
from bench.errors import UserError, nearest
from bench.numerics.elementwise import evenly
from bench.registry import rule
from optimizers.plain import Plain


def euclidean(w: Tensor, d: Tensor, beta: Coefficient) -> Tensor:
    """P(w) = w."""
    return w - d


def hypentropy(w: Tensor, d: Tensor, beta: Coefficient) -> Tensor:
    """P(w) = beta asinh(w / beta), so Q(P(w) - d) = beta sinh(asinh(w / beta) - d / beta), by the addition theorem."""
    rise = evenly(torch.sinh, d / beta)
    return w * (1 + rise * rise).sqrt() - (w * w + beta * beta) ** 0.5 * rise


MIRRORS: dict[str, Callable[[Tensor, Tensor, Coefficient], Tensor]] = {"euclidean": euclidean, "hypentropy": hypentropy}
"""The step Q(P(w) - d) of each mirror map."""


@rule("optimistic-mirror")
class OptimisticMirror(UpdateRule):
    """w'_t = Q(P(w_t) - lr d(F(w'_{t-1})));   w_{t+1} = Q(P(w_t) - lr d(F(w'_t))),   P = grad psi, Q its inverse

    The mirror map is the hyperbolic entropy, P(w) = beta asinh(w / beta), whose steps are longer where parameters are
    large (Ghai, Hazan and Singer 2020, arXiv:1902.01903). It tends to the Euclidean one as beta grows;
    ``mirror=euclidean`` is extrapolation from the past, the unconstrained form that the GAN literature calls by this
    name too. The first step takes 0 for its past.

    Source: Rakhlin and Sridharan 2013, arXiv:1311.1869; Daskalakis et al. 2018, arXiv:1711.00141.
    """

    lr: StepSize = 0.1
    beta: Coefficient = 1.0
    mirror: str = "hypentropy"
    direction: Direction = Plain()

    def __post_init__(self) -> None:
        if self.mirror not in MIRRORS:
            raise UserError(f"optimistic-mirror: mirror is {self.mirror!r}; {nearest(self.mirror, MIRRORS)}")

    def init(self, w: Tensor) -> State:
        return {"past": torch.zeros_like(w), "direction": self.direction.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        step = MIRRORS[self.mirror]
        ahead = step(w, self.lr * s["past"], self.beta)
        d, memory = self.direction(F(ahead), s["direction"], w)
        return step(w, self.lr * d, self.beta), {"past": d, "direction": memory}
