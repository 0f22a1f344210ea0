"""The plain direction: the gradient itself."""

from torch import Tensor

from bench.contracts import Direction, State
from bench.registry import direction


@direction("plain")
class Plain(Direction):
    """d = g

    Source: Cauchy 1847.
    """

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        return g, s
