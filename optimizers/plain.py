"""The plain direction: the gradient itself."""

from torch import Tensor

from bench.contracts import Direction, State, Value
from bench.numerics.passes import descent
from bench.registry import direction


@direction("plain")
class Plain(Direction):
    """d = g

    Source: Cauchy 1847.
    """

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        return g, s

    def descend(self, g: Tensor, s: State, w: Tensor, lr: Value) -> tuple[Tensor, State]:
        passed = descent(g, w, lr)
        return super().descend(g, s, w, lr) if passed is None else (passed, s)

    def descend_block(self, g: Tensor, s: State, w: Tensor, lr: Value, block: slice) -> tuple[Tensor, State]:
        passed = descent(g, w, lr, block)
        return super().descend_block(g, s, w, lr, block) if passed is None else (passed, s)
