"""Complex momentum (Lorraine, Acuna, Vicol and Duvenaud 2022, arXiv:2102.08431)."""

from math import pi
from typing import Annotated

import torch
from torch import Tensor

from bench.contracts import Decay, Direction, Hyperparameter, State
from bench.numerics.elementwise import evenly
from bench.registry import direction, preset

Angle = Annotated[float, Hyperparameter("angle", 0.0, pi, least=-pi, most=pi)]


@direction("complex-momentum")
class ComplexMomentum(Direction):
    """v+ = beta exp(i angle) v + g;   d = Re(v+)

    Angle 0 is heavy-ball momentum, angle pi negative momentum; what lies between can converge simultaneously. The step
    size is real, as in the paper's experiments.

    Source: Lorraine et al. 2022, arXiv:2102.08431.
    """

    beta: Decay = 0.8
    angle: Angle = pi / 8

    def init(self, w: Tensor) -> State:
        return {"real": torch.zeros_like(w), "imaginary": torch.zeros_like(w)}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        angle = w.new_zeros(len(w), 1) + self.angle
        a, b = self.beta * evenly(torch.cos, angle), self.beta * evenly(torch.sin, angle)
        real = a * s["real"] - b * s["imaginary"] + g
        return real, {"real": real, "imaginary": b * s["real"] + a * s["imaginary"]}


preset(
    "complex-momentum",
    "sgd[direction=complex-momentum]",
    """v+ = beta exp(i angle) v + F(w);   w+ = w - lr Re(v+)

    Source: Lorraine et al. 2022, arXiv:2102.08431.""",
)
