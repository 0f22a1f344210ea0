"""From torch's layers to those of ``bench.games.networks.layers``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.games.networks.chains import EntryByEntry, Step, Unlike, steps
from bench.games.networks.layers import Activation, BatchNorm, Conv2d, ConvTranspose2d, Layer, Linear, Reshape, Shape

POINTWISE = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.Identity, nn.LeakyReLU, nn.LogSigmoid,
    nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Softsign, nn.Tanh, EntryByEntry,
)  # fmt: skip
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d)


@dataclass(frozen=True)
class Pointwise(Layer):
    """h <- a(h), entry by entry, by a torch module without parameters."""

    module: nn.Module

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        out: Tensor = self.module(h)
        return out


@dataclass(frozen=True)
class GroupNorm(Layer):
    """Normalises each sample over groups of features: [R, *shape, batch]; nn.LayerNorm where there is one group."""

    groups: int
    affine: Shape
    eps: float

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return self.affine, self.affine

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        weight, bias = (part.view(*part.shape, *[1] * (h.ndim - part.ndim)) for part in parameters)
        groups = h.reshape(len(h), self.groups, -1, h.shape[-1])
        centred = groups - groups.mean(dim=2, keepdim=True)
        variance = centred.square().mean(dim=2, keepdim=True)
        return weight * (centred * (variance + self.eps).rsqrt()).view(h.shape) + bias


@dataclass(frozen=True)
class Held(Layer):
    """A layer whose last parameters are held at a number: a product without bias, a norm without weights."""

    layer: Layer
    values: tuple[float, ...]

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return self.layer.shapes[: -len(self.values)]

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        held = zip(self.layer.shapes[-len(self.values) :], self.values, strict=True)
        return self.layer([*parameters, *(h.new_full((len(h), *shape), value) for shape, value in held)], h)


def layers_of(module: nn.Module, x: Tensor) -> tuple[Layer, ...]:
    """The layers of a module that takes x [batch, ...]; raises Unlike if it is not a stack of usual layers."""
    used: list[int] = []
    layers, _ = _translated(module, x, used)
    if used != [id(parameter) for parameter in module.parameters()]:
        raise Unlike(f"{type(module).__name__} uses its parameters in another order than it has them, or not all")
    return tuple(layers)


def _translated(module: nn.Module, x: Tensor, used: list[int]) -> tuple[list[Layer], Tensor]:
    """The layers of a module and its output on x [batch, ...]; ``used`` collects its parameters."""
    if module._forward_hooks or module._forward_pre_hooks:
        raise Unlike(f"{type(module).__name__} has hooks")
    if type(module) is nn.Sequential:
        return _in_turn(list(module), x, used)
    if not _known(module) and [*module.children()]:
        return _in_turn(steps(module, x), x, used)
    parameters = [id(parameter) for parameter in module.parameters()]
    if set(parameters) & set(used):
        raise Unlike(f"{type(module).__name__} shares parameters")
    used += parameters
    with torch.no_grad():
        y = module(x)
    layer = _layer(module, tuple(x.shape[1:]), tuple(y.shape[1:]))
    missing = len(layer.shapes) - len(parameters)
    norm = isinstance(layer, (BatchNorm, GroupNorm))
    return [Held(layer, ((1.0, 0.0) if norm else (0.0, 0.0))[-missing:]) if missing else layer], y


def _in_turn(chain: Sequence[Step], x: Tensor, used: list[int]) -> tuple[list[Layer], Tensor]:
    """The layers of modules one after another, a shape being what samples are reshaped to."""
    layers: list[Layer] = []
    for step in chain:
        if isinstance(step, nn.Module):
            more, x = _translated(step, x, used)
            layers += more
        else:
            layers.append(Reshape(step))
            x = x.reshape(len(x), *step)
    return layers, x


def _known(module: nn.Module) -> bool:
    """Whether a module comes with torch: its own ``forward`` is known, whatever parts it has."""
    return type(module).__module__.startswith("torch.nn.")


def _named(module: nn.Module) -> str:
    """The name of a module among ACTIVATIONS, of which closed forms know the derivatives; "" where it has none."""
    names = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.SiLU: "silu", nn.Identity: "none"}
    if type(module) is nn.LeakyReLU:
        return "leaky-relu" if module.negative_slope == 0.2 else ""
    if type(module) is nn.ELU:
        return "elu" if module.alpha == 1.0 else ""
    return names.get(type(module), "")


def _layer(module: nn.Module, taken: Shape, given: Shape) -> Layer:
    """One layer between samples of these shapes, with weights and bias."""
    kind = type(module)
    if name := _named(module):
        return Activation(name)
    if kind in POINTWISE or (isinstance(module, nn.modules.dropout._DropoutNd) and module.p == 0):
        return Pointwise(module)
    if isinstance(module, nn.Linear) and kind is nn.Linear and len(taken) == 1:
        return Linear(module.in_features, module.out_features)
    if isinstance(module, (nn.Flatten, nn.Unflatten)) and kind in (nn.Flatten, nn.Unflatten):
        return Reshape(given)
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and kind in (nn.Conv2d, nn.ConvTranspose2d):
        return _convolution(module)
    if isinstance(module, BATCH_NORMS) and kind in BATCH_NORMS:
        return BatchNorm(module.num_features, module.eps)
    if isinstance(module, nn.LayerNorm) and kind is nn.LayerNorm and tuple(module.normalized_shape) == taken:
        return GroupNorm(1, taken, module.eps)
    if isinstance(module, nn.GroupNorm) and kind is nn.GroupNorm:
        return GroupNorm(module.num_groups, taken[:1], module.eps)
    if isinstance(module, INSTANCE_NORMS) and kind in INSTANCE_NORMS:
        return GroupNorm(taken[0], taken[:1], module.eps)
    raise Unlike(f"{kind.__name__} is no stacked layer")


def _convolution(module: nn.Conv2d | nn.ConvTranspose2d) -> Layer:
    transposed = isinstance(module, nn.ConvTranspose2d)
    plain = module.groups == 1 and module.padding_mode == "zeros" and set(module.dilation) == {1}
    square = all(len(set(pair)) == 1 for pair in (module.kernel_size, module.stride, module.padding))
    if not plain or not square or isinstance(module.padding, str) or set(module.output_padding) != {0}:
        raise Unlike(f"{type(module).__name__} is not square, or dilated, grouped or padded otherwise")
    layer_class = ConvTranspose2d if transposed else Conv2d
    return layer_class(
        module.in_channels, module.out_channels, module.kernel_size[0], module.stride[0], int(module.padding[0])
    )
