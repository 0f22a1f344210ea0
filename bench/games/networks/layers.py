"""Layers for stacked replicas: what nn.Linear, nn.Conv2d, nn.ConvTranspose2d and nn.BatchNorm2d are for one.

Weights have torch's shapes with a leading R; activations are features first, ``[R, features, batch]`` or
``[R, channels, height, width, batch]``: the innermost axis is then long wherever a replica is small. A convolution is a
product of its weights with the patches that it sees. Batch normalisation always normalises by the statistics of the
batch at hand (Ioffe and Szegedy 2015, arXiv:1502.03167), each replica by its own: there are no running averages, so
nothing is kept outside w, and generated samples are normalised by the batch they are drawn in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, leaky_relu, relu, silu, softplus

from bench.games.networks.convolution import Sliding, gather, scatter, sliding
from bench.games.networks.modules import OneReplica, filled

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
MODULES: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": lambda: nn.LeakyReLU(0.2),
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "none": nn.Identity,
}
"""Torch's modules of ACTIVATIONS."""


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

    @property
    def matrices(self) -> tuple[int, ...]:
        """Which of the parameters are weight matrices, that spectral normalisation divides."""
        return (0,) if self.shapes and len(self.shapes[0]) > 1 else ()

    @abstractmethod
    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        """parameters [R, *shape] each, activations [R, ..., batch] -> [R, ..., batch]."""

    def module(self, parameters: Sequence[Tensor], entry: Shape) -> nn.Module:
        """The layer of one replica on samples [N, *entry]: torch's own module where torch has one."""
        return OneReplica(self, parameters, entry)


class Affine(Layer):
    """z = M(W) s(h) + b: the product of a matrix that is the weight with what the layer sees of h."""

    @abstractmethod
    def matrix(self, weight: Tensor) -> Tensor:
        """The weight [R, ...] as M(W), [R, fan_out, K]."""

    @abstractmethod
    def weight(self, matrix: Tensor) -> Tensor:
        """M's inverse: [R, fan_out, K] -> the weight's shape."""

    @abstractmethod
    def seen(self, h: Tensor) -> Tensor:
        """s(h): [R, ..., batch] -> [R, K, places batch]."""

    @abstractmethod
    def unseen(self, seen: Tensor, shape: Shape) -> Tensor:
        """s's transpose: [R, K, places batch] -> h's shape."""

    @abstractmethod
    def sized(self, z: Tensor, shape: Shape) -> Tensor:
        """[R, fan_out, places batch] as activations [R, fan_out, ..., batch], for an h of this shape."""

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        weight, bias = parameters
        z = torch.baddbmm(bias.unsqueeze(2), self.matrix(weight), self.seen(h))
        return self.sized(z, tuple(h.shape))


@dataclass(frozen=True)
class Linear(Affine):
    """h <- W h + b: [R, fan_in, batch] -> [R, fan_out, batch]."""

    fan_in: int
    fan_out: int

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return (self.fan_out, self.fan_in), (self.fan_out,)

    @property
    def start(self) -> tuple[tuple[float, float], ...]:
        return (-(self.fan_in**-0.5), self.fan_in**-0.5), (-(self.fan_in**-0.5), self.fan_in**-0.5)

    def module(self, parameters: Sequence[Tensor], entry: Shape) -> nn.Module:
        return filled(nn.Linear, parameters, self.fan_in, self.fan_out)

    def matrix(self, weight: Tensor) -> Tensor:
        return weight

    def weight(self, matrix: Tensor) -> Tensor:
        return matrix

    def seen(self, h: Tensor) -> Tensor:
        return h

    def unseen(self, seen: Tensor, shape: Shape) -> Tensor:
        return seen

    def sized(self, z: Tensor, shape: Shape) -> Tensor:
        return z


@dataclass(frozen=True)
class Conv2d(Affine):
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

    def module(self, parameters: Sequence[Tensor], entry: Shape) -> nn.Module:
        sizes = self.fan_in, self.fan_out, self.kernel, self.stride, self.padding
        return filled(nn.Conv2d, parameters, *sizes)

    def matrix(self, weight: Tensor) -> Tensor:
        return _by_taps(weight)

    def weight(self, matrix: Tensor) -> Tensor:
        return matrix.view(*matrix.shape[:2], self.kernel, self.kernel, self.fan_in).movedim(4, 2)

    def seen(self, h: Tensor) -> Tensor:
        return gather(h, self._how(tuple(h.shape))).flatten(1, 2).flatten(2)

    def unseen(self, seen: Tensor, shape: Shape) -> Tensor:
        how = self._how(shape)
        return scatter(seen.view(len(seen), len(how.taps), -1, *how.out, shape[-1]), how)

    def sized(self, z: Tensor, shape: Shape) -> Tensor:
        return z.view(*z.shape[:2], *self._how(shape).out, shape[-1])

    def _how(self, shape: Shape) -> Sliding:
        return sliding(self.kernel, self.stride, self.padding, (shape[2], shape[3]))


@dataclass(frozen=True)
class ConvTranspose2d(Layer):
    """Conv2d's transpose: [R, fan_in, H, W, batch] -> [R, fan_out, H', W', batch], H' = (H - 1) s - 2 p + k."""

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
        height, width = ((length - 1) * self.stride - 2 * self.padding + self.kernel for length in h.shape[2:4])
        patches = torch.bmm(_by_taps(weight).transpose(1, 2), h.flatten(2))
        how = sliding(self.kernel, self.stride, self.padding, (height, width))
        out = scatter(patches.view(len(h), len(how.taps), -1, *h.shape[2:]), how)
        return out + bias.view(*bias.shape, 1, 1, 1)

    def module(self, parameters: Sequence[Tensor], entry: Shape) -> nn.Module:
        sizes = self.fan_in, self.fan_out, self.kernel, self.stride, self.padding
        return filled(nn.ConvTranspose2d, parameters, *sizes)


def _by_taps(weight: Tensor) -> Tensor:
    """[R, A, B, k, k] -> [R, A, taps B], a tap after another."""
    return weight.flatten(3).transpose(2, 3).flatten(2)


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

    def module(self, parameters: Sequence[Tensor], entry: Shape) -> nn.Module:
        kind = nn.BatchNorm1d if len(entry) == 1 else nn.BatchNorm2d  # without averages: by the batch in eval() too
        return filled(kind, parameters, self.features, eps=self.eps, track_running_stats=False)


@dataclass(frozen=True)
class Activation(Layer):
    """h <- a(h), entry by entry; one of ACTIVATIONS."""

    name: str

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        return ACTIVATIONS[self.name](h)

    def module(self, parameters: Sequence[Tensor], entry: Shape) -> nn.Module:
        return MODULES[self.name]()


@dataclass(frozen=True)
class Maxout(Layer):
    """The largest of every few features: [R, pieces features, batch] -> [R, features, batch] (arXiv:1302.4389).

    Source: Goodfellow, Warde-Farley, Mirza, Courville and Bengio 2013, eq. 2.
    """

    pieces: int

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        return torch.unflatten(h, 1, (self.pieces, -1)).amax(1)

    def module(self, parameters: Sequence[Tensor], entry: Shape) -> nn.Module:
        pieces = nn.Unflatten(1, (self.pieces, entry[0] // self.pieces))
        return nn.Sequential(pieces, nn.MaxPool2d((self.pieces, 1)), nn.Flatten())


@dataclass(frozen=True)
class Reshape(Layer):
    """[R, ..., batch] -> [R, *shape, batch]; flattens where the shape is one number."""

    shape: Shape

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        return h.reshape(len(h), *self.shape, h.shape[-1])

    def module(self, parameters: Sequence[Tensor], entry: Shape) -> nn.Module:
        if len(self.shape) == 1:
            return nn.Flatten()
        shaped = nn.Unflatten(1, self.shape)
        return shaped if len(entry) == 1 else nn.Sequential(nn.Flatten(), shaped)


def count(layer: Layer) -> int:
    """Numbers that a layer's parameters hold."""
    return sum(map(prod, layer.shapes))
