"""Schedule-free descent (Defazio et al. 2024, arXiv:2405.15682)."""

import torch
from torch import Tensor

from bench.contracts import Decay, Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain


@rule("schedule-free")
class ScheduleFree(UpdateRule):
    """z+ = z - lr d(F(w));   x+ = x + (z+ - x)/t;   w+ = (1-beta) z+ + beta x+;   x is judged

    w is the sequence that the paper calls y, at which gradients are taken.

    Source: Defazio et al. 2024, arXiv:2405.15682.
    """

    lr: StepSize = 0.1
    beta: Decay = 0.9
    direction: Direction = Plain()

    def init(self, w: Tensor) -> State:
        start = {"z": w.clone(), "x": w.clone(), "t": torch.zeros_like(w[:, :1])}
        return start | {"direction": self.direction.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        d, memory = self.direction(F(w), s["direction"], w)
        t, z = s["t"] + 1, s["z"] - self.lr * d
        x = s["x"] + (z - s["x"]) / t
        return (1 - self.beta) * z + self.beta * x, {"z": z, "x": x, "t": t, "direction": memory}

    def answer(self, w: Tensor, s: State) -> Tensor:
        judged: Tensor = s["x"]
        return judged
