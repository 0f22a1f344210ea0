"""Layers beyond a chain of products: skips, other norms, scaling, attention, and what is told beside the activations.

Residual connections (He, Zhang, Ren and Sun 2016, arXiv:1512.03385), pixel norm and the deviation of a minibatch
(Karras, Aila, Laine and Lehtinen 2018, arXiv:1710.10196), instance norm (Ulyanov, Vedaldi and Lempitsky 2016,
arXiv:1607.08022), attention (Zhang, Goodfellow, Metaxas and Odena 2019, arXiv:1805.08318), conditional batch norm
(de Vries et al. 2017, arXiv:1707.00683; Brock, Donahue and Simonyan 2019, arXiv:1809.11096), projection (Miyato and
Koyama 2018, arXiv:1802.05637). Activations are [R, features, ..., batch], as in `layers`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from bench.games.networks.layers import Conv2d, ConvTranspose2d, Layer, Shape
from bench.games.networks.modules import Plus
from bench.games.networks.networks import chain_module

Interval = tuple[float, float]


@dataclass(frozen=True)
class Residual(Layer):
    """h <- skip(h) + inner(h), each a chain of layers; an empty skip hands h on."""

    inner: tuple[Layer, ...]
    skip: tuple[Layer, ...] = ()

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return tuple(shape for layer in (*self.inner, *self.skip) for shape in layer.shapes)

    @property
    def start(self) -> tuple[Interval, ...]:
        return tuple(interval for layer in (*self.inner, *self.skip) for interval in layer.start)

    @property
    def matrices(self) -> tuple[int, ...]:
        found, first = list[int](), 0
        for layer in (*self.inner, *self.skip):
            found += [first + place for place in layer.matrices]
            first += len(layer.shapes)
        return tuple(found)

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        left = iter(parameters)
        return _chain(self.inner, left, h) + _chain(self.skip, left, h)

    def module(self, parameters: Sequence[Tensor], entry: Shape) -> nn.Module:
        border = sum(len(layer.shapes) for layer in self.inner)
        own = (self.inner, parameters[:border]), (self.skip, parameters[border:])
        return Plus(*(chain_module(layers, parts, entry) for layers, parts in own))


def _chain(layers: Sequence[Layer], parameters: Iterator[Tensor], h: Tensor) -> Tensor:
    for layer in layers:
        h = layer([next(parameters) for _ in layer.shapes], h)
    return h


def residual(inner: Sequence[Layer], fan_in: int, fan_out: int) -> Residual:
    """A residual block; where widths differ a convolution of one place is its skip."""
    return Residual(tuple(inner), () if fan_in == fan_out else (Conv2d(fan_in, fan_out, 1),))


def around(*block: Layer, skip: bool) -> tuple[Layer, ...]:
    """The layers of a block, with a residual connection around them if ``skip``.

    What goes around has the block's shape: nearest neighbours or means of places where the block's convolutions change
    the side, and a convolution of one place where they change the channels, on the smaller side of the two, with which
    it can be exchanged (Gulrajani et al. 2017, arXiv:1704.00028; Miyato et al. 2018, arXiv:1802.05957, appendix B).

    Args:
        block: layers of which at least one is a convolution.
        skip: a game's setting.
    """
    if not skip:
        return block
    convolutions = [layer for layer in block if isinstance(layer, (Conv2d, ConvTranspose2d))]
    fan_in, fan_out = convolutions[0].fan_in, convolutions[-1].fan_out
    grown = prod(layer.stride for layer in convolutions if isinstance(layer, ConvTranspose2d))
    shrunk = prod(layer.stride for layer in convolutions if isinstance(layer, Conv2d))
    side: list[Layer] = [AvgPool(shrunk)] if shrunk > 1 else []
    side += [Conv2d(fan_in, fan_out, 1)] if fan_in != fan_out else []
    side += [Upsample(grown)] if grown > 1 else []
    return (Residual(block, tuple(side)),)


@dataclass(frozen=True)
class PixelNorm(Layer):
    """h <- h / sqrt(mean of h^2 over the features + eps), at every place of every sample."""

    eps: float = 1e-8

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        return h * (h.square().mean(1, keepdim=True) + self.eps).rsqrt()


@dataclass(frozen=True)
class InstanceNorm(Layer):
    """h <- (h - mean) / sqrt(variance + eps) over the places of every feature of every sample, without parameters."""

    eps: float = 1e-5

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        return _standard(h, (2, 3), self.eps)

    def module(self, parameters: Sequence[Tensor], entry: Shape) -> nn.Module:
        return nn.InstanceNorm2d(entry[0], eps=self.eps)  # by the sample at hand in eval() too


def _standard(h: Tensor, over: tuple[int, ...], eps: float) -> Tensor:
    """h with a mean of 0 and a variance of 1 over these dimensions."""
    centred = h - h.mean(over, keepdim=True)
    return centred * (centred.square().mean(over, keepdim=True) + eps).rsqrt()


@dataclass(frozen=True)
class Upsample(Layer):
    """Every place becomes ``factor`` x ``factor`` equal ones: [R, C, H, W, batch] -> [R, C, fH, fW, batch]."""

    factor: int = 2

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        rows, channels, height, width, batch = h.shape
        f = self.factor
        spread = h.view(rows, channels, height, 1, width, 1, batch).expand(-1, -1, -1, f, -1, f, -1)
        return spread.reshape(rows, channels, f * height, f * width, batch)

    def module(self, parameters: Sequence[Tensor], entry: Shape) -> nn.Module:
        return nn.Upsample(scale_factor=self.factor)


@dataclass(frozen=True)
class AvgPool(Layer):
    """The mean of every ``factor`` x ``factor`` places: [R, C, H, W, batch] -> [R, C, H/f, W/f, batch]."""

    factor: int = 2

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        f = self.factor
        rows, channels, height, width, batch = h.shape
        return h.reshape(rows, channels, height // f, f, width // f, f, batch).mean((3, 5))

    def module(self, parameters: Sequence[Tensor], entry: Shape) -> nn.Module:
        return nn.AvgPool2d(self.factor)


@dataclass(frozen=True)
class Attention(Layer):
    """h <- h + gain o(sum_j v(h_j) softmax_j <f(h_j), g(h_i)>), each of f, g, v, o a 1x1 convolution; gain starts at 0.

    Args:
        features: of h.
        inner: of f, g and v.
    """

    features: int
    inner: int

    @property
    def _heads(self) -> tuple[Conv2d, ...]:
        into = Conv2d(self.features, self.inner, 1)
        return into, into, into, Conv2d(self.inner, self.features, 1)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return (*(shape for head in self._heads for shape in head.shapes), (1,))

    @property
    def start(self) -> tuple[Interval, ...]:
        return (*(interval for head in self._heads for interval in head.start), (0.0, 0.0))

    @property
    def matrices(self) -> tuple[int, ...]:
        return 0, 2, 4, 6

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        heads = [(head, parameters[2 * i : 2 * i + 2]) for i, head in enumerate(self._heads)]
        f, g, v = (head(own, h).flatten(2, 3) for head, own in heads[:3])  # [R, inner, places, batch]
        share = torch.einsum("rcib,rcjb->rijb", f, g).softmax(1)
        mixed = torch.einsum("rcib,rijb->rcjb", v, share).reshape(len(h), self.inner, *h.shape[2:])
        head, own = heads[3]
        return h + parameters[8].view(-1, 1, 1, 1, 1) * head(own, mixed)


@dataclass(frozen=True)
class MinibatchDeviation(Layer):
    """One more feature: the deviation over the minibatch, its mean over features and places, the same everywhere."""

    eps: float = 1e-8

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        centred = h - h.mean(-1, keepdim=True)
        deviation = (centred.square().mean(-1) + self.eps).sqrt().flatten(1).mean(1)
        return torch.cat([h, deviation.view(-1, *[1] * (h.ndim - 1)).expand_as(h[:, :1])], 1)


@dataclass(frozen=True)
class ConditionalNorm(Layer):
    """h <- (1 + gain(told)) (h - mean) / sqrt(variance + eps) + bias(told) over the batch at hand and all places.

    It is called with ``told`` [R, told, batch] beside h: the class, and the latent where all layers see it.
    """

    features: int
    told: int
    eps: float = 1e-5

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return (2 * self.features, self.told), (2 * self.features,)

    @property
    def start(self) -> tuple[Interval, ...]:
        return (-(self.told**-0.5), self.told**-0.5), (0.0, 0.0)

    def __call__(self, parameters: Sequence[Tensor], h: Tensor, told: Tensor | None = None) -> Tensor:
        assert told is not None
        weight, bias = parameters
        gain, shift = (
            part.view(*part.shape[:2], *[1] * (h.ndim - 3), part.shape[-1])
            for part in torch.baddbmm(bias.unsqueeze(2), weight, told).chunk(2, 1)
        )
        return _standard(h, tuple(range(2, h.ndim)), self.eps) * (1 + gain) + shift


@dataclass(frozen=True)
class Projection(Layer):
    """<E told, h>, [R, 1, batch]: how far what is seen, h [R, features, batch], agrees with what was told."""

    told: int
    features: int

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return ((self.features, self.told),)

    @property
    def start(self) -> tuple[Interval, ...]:
        return ((-(self.told**-0.5), self.told**-0.5),)

    def __call__(self, parameters: Sequence[Tensor], h: Tensor, told: Tensor | None = None) -> Tensor:
        assert told is not None
        return (torch.bmm(parameters[0], told) * h).sum(1, keepdim=True)
