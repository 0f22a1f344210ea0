"""Layers for stacked replicas: what nn.Linear, nn.Conv2d, nn.ConvTranspose2d and nn.BatchNorm2d are for one.

Weights have torch's shapes with a leading R; activations are features first, ``[R, features, batch]`` or
``[R, channels, height, width, batch]``: the innermost axis is then long wherever a replica is small. A convolution is a
product of its weights with the patches that it sees, gathered by slices, so that every derivative of it is made of
slices and products too, and a replica's bits do not depend on its neighbours. Batch normalisation always normalises by
the statistics of the batch at hand (Ioffe and Szegedy 2015, arXiv:1502.03167), each replica by its own: there are no
running averages, so nothing is kept outside w, and generated samples are normalised by the batch they are drawn in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import elu, leaky_relu, pad, relu, silu, softplus

Shape = tuple[int, ...]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": relu,
    "leaky-relu": lambda h: leaky_relu(h, 0.2),
    "elu": elu,
    "silu": silu,
    "softplus": softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "none": lambda h: h,
}


class Layer(ABC):
    """A map on activations with parameters of its own, or none."""

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Of the parameters, in order, without R."""
        return ()

    @property
    def start(self) -> tuple[tuple[float, float], ...]:
        """The interval on which each parameter starts, uniformly; torch's own for that layer."""
        return ()

    @abstractmethod
    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        """parameters [R, *shape] each, activations [R, ..., batch] -> [R, ..., batch]."""


@dataclass(frozen=True)
class Linear(Layer):
    """h <- W h + b: [R, fan_in, batch] -> [R, fan_out, batch]."""

    fan_in: int
    fan_out: int

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return (self.fan_out, self.fan_in), (self.fan_out,)

    @property
    def start(self) -> tuple[tuple[float, float], ...]:
        return (-(self.fan_in**-0.5), self.fan_in**-0.5), (-(self.fan_in**-0.5), self.fan_in**-0.5)

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        weight, bias = parameters
        return torch.baddbmm(bias.unsqueeze(2), weight, h)


@dataclass(frozen=True)
class Conv2d(Layer):
    """Cross-correlation: [R, fan_in, H, W, batch] -> [R, fan_out, H', W', batch], H' = (H + 2 p - k) // s + 1."""

    fan_in: int
    fan_out: int
    kernel: int
    stride: int = 1
    padding: int = 0

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return (self.fan_out, self.fan_in, self.kernel, self.kernel), (self.fan_out,)

    @property
    def start(self) -> tuple[tuple[float, float], ...]:
        bound = (self.fan_in * self.kernel**2) ** -0.5
        return (-bound, bound), (-bound, bound)

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        weight, bias = parameters
        taps = [(i, j) for i in range(self.kernel) for j in range(self.kernel)]
        seen = pad(h, (0, 0, *[self.padding] * 4)) if self.padding else h
        size = [(length - self.kernel) // self.stride + 1 for length in seen.shape[2:4]]
        return _correlate(seen, weight.flatten(3).transpose(2, 3), bias, taps, size, self.stride)


@dataclass(frozen=True)
class ConvTranspose2d(Layer):
    """Conv2d's transpose: [R, fan_in, H, W, batch] -> [R, fan_out, H', W', batch], H' = (H - 1) s - 2 p + k.

    Each of the s x s phases of the output is a correlation of its own with the taps that reach it.
    """

    fan_in: int
    fan_out: int
    kernel: int
    stride: int = 1
    padding: int = 0

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return (self.fan_in, self.fan_out, self.kernel, self.kernel), (self.fan_out,)

    @property
    def start(self) -> tuple[tuple[float, float], ...]:
        bound = (self.fan_out * self.kernel**2) ** -0.5
        return (-bound, bound), (-bound, bound)

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        weight, bias = parameters
        k, s, p = self.kernel, self.stride, self.padding
        reach = -(-k // s)  # inputs on either side that may be met
        seen = pad(h, (0, 0, *[reach] * 4))
        size = [(length - 1) * s - 2 * p + k for length in h.shape[2:4]]
        rows = []
        for a in range(s):
            phases = [self._phase(seen, weight, bias, (a, b), size, reach) for b in range(s)]
            rows.append(_interleave(phases, 3, size[1]))
        return _interleave(rows, 2, size[0])

    def _phase(
        self, seen: Tensor, weight: Tensor, bias: Tensor, phase: tuple[int, int], size: list[int], reach: int
    ) -> Tensor:
        """Outputs y = phase, phase + s, ...: tap i meets input (y + p - i) / s where that is whole."""
        k, s, p = self.kernel, self.stride, self.padding
        offsets = [[(i, (a + p - i) // s + reach) for i in range(k) if (a + p - i) % s == 0] for a in phase]
        taps = [(y, x) for _, y in offsets[0] for _, x in offsets[1]]
        if not taps:
            count = [-(-(length - a) // s) for length, a in zip(size, phase, strict=True)]
            return bias[:, :, None, None, None].expand(-1, -1, *count, seen.shape[-1])
        chosen = torch.stack([weight[..., i, j] for i, _ in offsets[0] for j, _ in offsets[1]], dim=3)
        count = [-(-(length - a) // s) for length, a in zip(size, phase, strict=True)]
        return _correlate(seen, chosen.transpose(1, 2).transpose(2, 3), bias, taps, count, 1)


def _correlate(
    seen: Tensor, weight: Tensor, bias: Tensor, taps: list[tuple[int, int]], size: Sequence[int], stride: int
) -> Tensor:
    """Sum over taps (y, x) of weight [R, out, taps, in] with what stands at that offset: [R, out, *size, batch]."""
    height, width = ((count - 1) * stride + 1 for count in size)
    patches = torch.stack([seen[:, :, y : y + height : stride, x : x + width : stride] for y, x in taps], dim=1)
    out = torch.baddbmm(bias.unsqueeze(2), weight.flatten(2), patches.flatten(1, 2).flatten(2))
    return out.view(*out.shape[:2], *size, seen.shape[-1])


def _interleave(parts: list[Tensor], axis: int, length: int) -> Tensor:
    """Parts one place apart along an axis: part a holds the places a, a + s, ..."""
    if len(parts) == 1:
        return parts[0]
    longest = max(part.shape[axis] for part in parts)
    even = [
        part if part.shape[axis] == longest else torch.cat([part, part.narrow(axis, 0, 1)], dim=axis) for part in parts
    ]
    return torch.stack(even, dim=axis + 1).flatten(axis, axis + 1).narrow(axis, 0, length)


@dataclass(frozen=True)
class BatchNorm(Layer):
    """h <- weight (h - mean) / sqrt(variance + eps) + bias over the batch and all places: [R, features, ..., batch]."""

    features: int
    eps: float = 1e-5

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return (self.features,), (self.features,)

    @property
    def start(self) -> tuple[tuple[float, float], ...]:
        return (1.0, 1.0), (0.0, 0.0)

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        weight, bias = (part.view(*part.shape, *[1] * (h.ndim - 2)) for part in parameters)
        over = tuple(range(2, h.ndim))
        mean = h.mean(dim=over, keepdim=True)
        centred = h - mean
        variance = centred.square().mean(dim=over, keepdim=True)
        return weight * centred * (variance + self.eps).rsqrt() + bias


@dataclass(frozen=True)
class Activation(Layer):
    """h <- a(h), entry by entry; one of ACTIVATIONS."""

    name: str

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        return ACTIVATIONS[self.name](h)


@dataclass(frozen=True)
class Reshape(Layer):
    """[R, ..., batch] -> [R, *shape, batch]; flattens where the shape is one number."""

    shape: Shape

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        return h.reshape(len(h), *self.shape, h.shape[-1])


def count(layer: Layer) -> int:
    """Numbers that a layer's parameters hold."""
    return sum(map(prod, layer.shapes))
