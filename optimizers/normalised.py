"""Normalised gradient descent: steps of equal length (Nesterov 1984; Hazan, Levy and Shalev-Shwartz 2015)."""

from torch import Tensor

from bench.contracts import Direction, Epsilon, State
from bench.numerics.krylov import dot
from bench.registry import direction, preset


@direction("normalised")
class Normalised(Direction):
    """d = g / (||g|| + eps)

    The norm is a replica's, over all that moves at once: the whole field under a simultaneous scheme, one player's
    gradient under an alternating one.

    Source: Nesterov 1984; Hazan et al. 2015, arXiv:1507.02030.
    """

    eps: Epsilon = 1e-10

    scale = 0.1  # a step of length 1 is spread over all parameters

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        return g / (dot(g, g).sqrt() + self.eps), s


preset(
    "normalised",
    "sgd[direction=normalised]",
    """w+ = w - lr F(w) / ||F(w)||

    Source: Nesterov 1984; Hazan et al. 2015, arXiv:1507.02030.""",
)
