"""Networks forward and backward in closed form: the results of autograd, in a third of its operations.

A backward pass goes from the output to the input and gives, at every affine layer, the derivative by ``W h + b``; the
parameters' gradients are products of these with the layer's input (Rumelhart, Hinton and Williams 1986, Nature
323:533). Where the output is one number a sample, the derivative of any loss at a layer is that of the output itself
times the loss's slope by the output: one pass serves every loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bench.games.networks.layers import ACTIVATIONS, Activation, Affine, Layer, Reshape, Shape
from bench.games.networks.networks import Network
from bench.numerics.randomness import GRAIN

aten = torch.ops.aten

Slope = Callable[[Tensor, Tensor], Tensor]
SLOPES: dict[str, Slope] = {
    "relu": lambda g, h: aten.threshold_backward.grad_input(g, h, 0, grad_input=g),
    "leaky-relu": lambda g, h: aten.leaky_relu_backward.grad_input(g, h, 0.2, True, grad_input=g),
    "elu": lambda g, h: aten.elu_backward.grad_input(g, 1.0, 1.0, 1.0, True, h, grad_input=g),
    "tanh": lambda g, h: aten.tanh_backward.grad_input(g, h, grad_input=g),
    "sigmoid": lambda g, h: aten.sigmoid_backward.grad_input(g, h, grad_input=g),
    "none": lambda g, h: g,
}
"""g a'(z) of those of ACTIVATIONS that can be told by h = a(z); it takes the place of g."""
IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "leaky-relu": lambda h: aten.leaky_relu_(h, 0.2),
    "tanh": torch.tanh_,
    "sigmoid": torch.sigmoid_,
    "none": lambda h: h,
}
LINEAR = ("relu", "leaky-relu", "none")
"""Of SLOPES, those that are constant but for jumps."""


class Step(NamedTuple):
    """An affine layer with the activation after it: h' = a(z), z = M(W) s(h) + b."""

    layer: Affine
    matrix: Tensor
    """M(W), [R, fan_out, K]."""
    shape: Shape
    """Of h."""
    seen: Tensor
    """s(h), [R, K, n]: n is the batch, times the places where the layer stands."""
    after: Tensor
    """h', [R, fan_out, n]."""
    slope: Slope

    @property
    def places(self) -> int:
        """How many positions of h the layer is applied to; 1 if it takes all of h."""
        return self.after.shape[2] // self.shape[-1]

    def back(self, g: Tensor) -> Tensor:
        """The derivative by h of that by z, [R, fan_out, n], or of that by z of some of the samples."""
        shape = (*self.shape[:-1], g.shape[2] // self.places)
        if g.shape[1] == 1:  # a product over one number is slow
            return self.layer.unseen(self.matrix.transpose(1, 2) * g, shape)
        return self.layer.unseen(torch.bmm(self.matrix.transpose(1, 2), g), shape)


@dataclass(frozen=True)
class Trace:
    """A forward pass of a network, step by step."""

    steps: list[Step]
    out: Tensor

    def backward(self, along: Tensor) -> list[Tensor]:
        """d <along, out> / dz of every step, [R, fan_out, n]; along has out's shape and may be overwritten."""
        derivatives, g = [along] * len(self.steps), along
        for i in reversed(range(len(derivatives))):
            step = self.steps[i]
            derivatives[i] = g = step.slope(_as(g, step.after.shape), step.after)
            if i:
                g = step.back(g)
        return derivatives

    def by_input(self, first: Tensor, count: int) -> Tensor:
        """The derivative by the last samples of the input, [R, ..., count], of that by the first step's z."""
        step = self.steps[0]
        if step.places > 1:
            return step.back(first.view(*first.shape[:2], step.places, -1)[..., -count:].flatten(2))
        return step.back(first[..., -count:])


def closed(network: Network) -> bool:
    """Whether this module knows a network's backward pass: affine layers, each with one activation or none."""
    if network.plain is not network:
        return False
    before: Layer | None = None
    for layer in network.layers:
        if isinstance(layer, Activation):
            if layer.name not in SLOPES or not isinstance(before, Affine):
                return False
        elif not isinstance(layer, (Affine, Reshape)):
            return False
        before = layer if not isinstance(layer, Reshape) else before
    return before is not None


def piecewise_linear(network: Network) -> bool:
    """Whether the slope of the output by the input is a product of weights and of ones and constants."""
    return all(layer.name in LINEAR for layer in network.layers if isinstance(layer, Activation))


def forward(network: Network, parameters: Tensor, h: Tensor) -> Trace:
    """Parameters [R, size], h [R, ..., batch]."""
    parts = iter(aten.split_with_sizes(parameters, network.layout, 1)[::2])
    steps: list[Step] = []
    for layer in network.layers:
        if isinstance(layer, Affine):
            matrix = layer.matrix(next(parts).view(-1, *layer.shapes[0]))
            seen, shape = layer.seen(h), tuple(h.shape)
            z = torch.baddbmm(next(parts).unsqueeze(2), matrix, seen)
            steps.append(Step(layer, matrix, shape, seen, z, SLOPES["none"]))
            h = layer.sized(z, shape)
        elif isinstance(layer, Activation):
            after = IN_PLACE.get(layer.name, ACTIVATIONS[layer.name])(steps[-1].after)
            steps[-1] = steps[-1]._replace(after=after, slope=SLOPES[layer.name])
            h = _as(after, h.shape)
        else:
            h = layer((), h)
    return Trace(steps, h)


def gradient(trace: Trace, derivatives: list[Tensor]) -> list[Tensor]:
    """The parameters' gradient as blocks [R, .] side by side, with padding; ``derivatives`` are those of `backward`."""
    blocks = []
    for step, g in zip(trace.steps, derivatives, strict=True):
        blocks += _blocks(step, torch.bmm(g, step.seen.transpose(1, 2)), g.sum(2))
    return blocks


def weighed(trace: Trace, derivatives: list[Tensor], weight: Tensor) -> list[Tensor]:
    """`gradient` with every sample's part times its weight [R, 1, batch]."""
    blocks = []
    for step, g in zip(trace.steps, derivatives, strict=True):
        h, weights = step.seen, weight if step.places == 1 else weight.repeat(1, 1, step.places)
        if h.shape[1] < g.shape[1]:  # the narrower of the two is scaled; the bias has an input of its own, always 1
            both = torch.bmm(g, torch.cat([h * weights, weights], 1).transpose(1, 2))
            blocks += _blocks(step, both[..., :-1], both[..., -1])
        else:
            weights = g * weights
            blocks += _blocks(step, torch.bmm(weights, h.transpose(1, 2)), weights.sum(2))
    return blocks


def slope_gradient(trace: Trace, by_slope: Callable[[Tensor], Tensor]) -> Tensor:
    """The gradient by the parameters, [R, size], of a function of the slope of one output by the input.

    The slope of a piecewise linear network is linear in each weight matrix: the left factor comes from the output, as
    in a backward pass, the right factor from the input, as in a forward pass. ``by_slope`` is the function's
    derivative, [R, ..., batch] -> the same.
    """
    derivatives = trace.backward(torch.ones_like(trace.out))
    right, blocks = by_slope(trace.steps[0].back(derivatives[0])), []
    for step, left in zip(trace.steps, derivatives, strict=True):
        seen = step.layer.seen(_as(right, step.shape))
        by_matrix = torch.bmm(left, seen.transpose(1, 2))
        blocks += _blocks(step, by_matrix, left.new_zeros(left.shape[:2]))
        right = step.slope(torch.bmm(step.matrix, seen), step.after)
    return torch.cat(blocks, 1)


def _as(h: Tensor, shape: Shape) -> Tensor:
    """A view if the shape differs: a step has a dozen of these, and each costs as much as a small product."""
    return h if h.shape == shape else h.view(shape)


def _blocks(step: Step, by_matrix: Tensor, by_bias: Tensor) -> list[Tensor]:
    return _padded(step.layer.weight(by_matrix)) + _padded(by_bias)


def _padded(block: Tensor) -> list[Tensor]:
    flat = block.flatten(1)
    missing = -flat.shape[1] % GRAIN
    return [flat, flat.new_zeros(len(flat), missing)] if missing else [flat]
