"""Perceptrons forward and backward in closed form: what autograd would give, in a third of its operations.

Activations are features first, ``[R, features, batch]``. A backward pass goes from the output to the input and gives,
at every layer, the derivative by ``W h + b``; the parameters' gradients are products of these with what the layer saw
(Rumelhart, Hinton and Williams 1986, Nature 323:533). Where the output is one number a sample, the derivative of any
loss at a layer is that of the output itself times the loss's slope by the output: one pass serves every loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import TypeIs

from bench.layers import ACTIVATIONS
from bench.networks import MLP, Network
from bench.randomness import GRAIN

aten = torch.ops.aten

Slope = Callable[[Tensor, Tensor], Tensor]
SLOPES: dict[str, Slope] = {
    "relu": lambda g, h: aten.threshold_backward(g, h, 0),
    "leaky-relu": lambda g, h: aten.leaky_relu_backward(g, h, 0.2, True),
    "elu": lambda g, h: aten.elu_backward(g, 1.0, 1.0, 1.0, True, h),
    "tanh": lambda g, h: aten.tanh_backward(g, h),
    "sigmoid": lambda g, h: aten.sigmoid_backward(g, h),
    "none": lambda g, h: g,
}
"""g a'(z) of those of ACTIVATIONS that can be told by h = a(z)."""
IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "leaky-relu": lambda h: aten.leaky_relu_(h, 0.2),
    "tanh": torch.tanh_,
    "sigmoid": torch.sigmoid_,
}


@dataclass(frozen=True)
class Trace:
    """A forward pass of a perceptron, layer by layer: h' = a(z), z = W h + b."""

    network: MLP
    weights: list[Tensor]
    seen: list[Tensor]
    """h of every layer: [R, fan_in, batch]."""
    out: Tensor

    def backward(self, along: Tensor) -> list[Tensor]:
        """d <along, out> / dz of every layer, [R, fan_out, batch]; along [R, out, batch]."""
        after, g = [*self.seen[1:], self.out], along
        found = [along] * len(after)
        for i in reversed(range(len(after))):
            found[i] = g = self.slope(i)(g, after[i])
            if i and g.shape[1] == 1:  # a product over one number is slow
                g = self.weights[i].transpose(1, 2) * g
            elif i:
                g = torch.bmm(self.weights[i].transpose(1, 2), g)
        return found

    def slope(self, layer: int) -> Slope:
        """How a layer's activation passes a derivative on."""
        last = layer == len(self.weights) - 1
        return SLOPES[self.network.output if last else self.network.activation]

    def by_input(self, first: Tensor) -> Tensor:
        """The derivative by the input, [R, fan_in, batch], of that by the first layer's z."""
        return torch.bmm(self.weights[0].transpose(1, 2), first)


def closed(network: Network) -> TypeIs[MLP]:
    """Whether a network is a perceptron that this module knows the backward pass of."""
    plain = type(network) is MLP and not network.spectral
    return plain and {network.activation, network.output} <= SLOPES.keys()  # type: ignore[attr-defined]


def piecewise_linear(network: MLP) -> bool:
    """Whether the slope of the output by the input is a product of weights and of ones and constants."""
    return {network.activation, network.output} <= {"relu", "leaky-relu", "none"}


def forward(network: MLP, parameters: Tensor, h: Tensor) -> Trace:
    """Parameters [R, size], h [R, features, batch]."""
    parts = aten.split_with_sizes(parameters, network.layout, 1)[::2]
    weights, seen, last = [], [], len(network.shapes) - 1
    for i, (fan_in, fan_out) in enumerate(network.shapes):
        weights.append(parts[2 * i].view(-1, fan_out, fan_in))
        seen.append(h)
        h = torch.baddbmm(parts[2 * i + 1].unsqueeze(2), weights[i], h)
        activation = network.output if i == last else network.activation
        h = IN_PLACE.get(activation, ACTIVATIONS[activation])(h)
    return Trace(network, weights, seen, h)


def gradient(trace: Trace, found: list[Tensor]) -> list[Tensor]:
    """The parameters' gradient as blocks [R, .] side by side, padding included; ``found`` is what backward gave."""
    blocks = []
    for h, g in zip(trace.seen, found, strict=True):
        blocks += _padded(torch.bmm(g, h.transpose(1, 2))) + _padded(g.sum(2))
    return blocks


def weighed(trace: Trace, found: list[Tensor], weight: Tensor) -> list[Tensor]:
    """`gradient` with every sample's part times its weight [R, 1, batch]."""
    blocks = []
    for h, g in zip(trace.seen, found, strict=True):
        if h.shape[1] < g.shape[1]:  # the narrower of the two is scaled; the bias has an input of its own, always 1
            both = torch.bmm(g, torch.cat([h * weight, weight], 1).transpose(1, 2))
            blocks += _padded(both[..., :-1]) + _padded(both[..., -1])
        else:
            own = g * weight
            blocks += _padded(torch.bmm(own, h.transpose(1, 2))) + _padded(own.sum(2))
    return blocks


def slope_gradient(trace: Trace, by_slope: Callable[[Tensor], Tensor], features: int) -> Tensor:
    """The gradient by the parameters, [R, size], of a function of the slope of one output by the first features.

    The slope of a piecewise linear network is linear in each weight matrix: what stands on its left comes from the
    output as in a backward pass, what stands on its right from the input as in a forward pass. ``by_slope`` is the
    function's derivative, [R, features, batch] -> the same.
    """
    found = trace.backward(torch.ones_like(trace.out))
    right = by_slope(trace.by_input(found[0])[:, :features])
    after, blocks = [*trace.seen[1:], trace.out], []
    for i, (left, weight) in enumerate(zip(found, trace.weights, strict=True)):
        by_weight = torch.zeros_like(weight)
        by_weight[..., : right.shape[1]] = torch.bmm(left, right.transpose(1, 2))
        blocks += _padded(by_weight) + _padded(torch.zeros_like(weight[..., 0]))
        right = trace.slope(i)(torch.bmm(weight[..., : right.shape[1]], right), after[i])
    return torch.cat(blocks, 1)


def _padded(block: Tensor) -> list[Tensor]:
    flat = block.flatten(1)
    missing = -flat.shape[1] % GRAIN
    return [flat, flat.new_zeros(len(flat), missing)] if missing else [flat]
