"""Networks for stacked replicas: weights ``[R, out, in]`` as in nn.Linear, activations ``[R, features, batch]``.

Features come first because matrix products are many times slower where the last dimension is 1 or 2. Parameter blocks
are padded to 16 columns: vector kernels then have no tails, and a replica's bits do not depend on its packing for two
replicas or more (Kaiming-uniform starts as nn.Linear: He et al. 2015, arXiv:1502.01852).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, relu

from bench.randomness import GRAIN, uniform

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": relu,
    "leaky-relu": lambda h: leaky_relu(h, 0.2),
    "tanh": torch.tanh,
    "none": lambda h: h,
}


def _padded(count: int) -> int:
    return -(-count // GRAIN) * GRAIN


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron for each replica: h <- a(W h + b), the last layer with its own activation.

    Args:
        widths: features from input to output.
        activation: between the layers; one of ACTIVATIONS.
        output: after the last layer.
    """

    widths: tuple[int, ...]
    activation: str = "relu"
    output: str = "none"

    @cached_property
    def layout(self) -> list[int]:
        """Columns of W, b, W, b, ... in turn, each followed by its padding."""
        columns = []
        for fan_in, fan_out in zip(self.widths, self.widths[1:], strict=False):
            for count in (fan_out * fan_in, fan_out):
                columns += [count, _padded(count) - count]
        return columns

    @cached_property
    def size(self) -> int:
        """Columns of all parameters, padding included."""
        return sum(self.layout)

    def init(self, seeds: Tensor, stream: str) -> Tensor:
        """nn.Linear's start, U(-1/sqrt(in), 1/sqrt(in)) for weights and biases, zeros in the padding: [R, size]."""
        bound = []
        for fan_in, fan_out in zip(self.widths, self.widths[1:], strict=False):
            for count in (fan_out * fan_in, fan_out):
                bound += [torch.full((count,), 1 / sqrt(fan_in)), torch.zeros(_padded(count) - count)]
        return (2 * uniform(seeds, stream, 0, (self.size,), block=1) - 1) * torch.cat(bound)

    def __call__(self, parameters: Tensor, h: Tensor) -> Tensor:
        """parameters [R, size], h [R, in, batch] -> [R, out, batch]."""
        parts = iter(torch.split(parameters, self.layout, dim=1))
        last = len(self.widths) - 2
        for i, (fan_in, fan_out) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            weight, _, bias, _ = next(parts), next(parts), next(parts), next(parts)
            h = torch.baddbmm(bias.unsqueeze(2), weight.view(-1, fan_out, fan_in), h)
            h = ACTIVATIONS[self.output if i == last else self.activation](h)
        return h
