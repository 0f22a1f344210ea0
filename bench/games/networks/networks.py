"""Networks for stacked replicas: all parameters of a replica in one row of w, ``[R, size]``.

Features come first because matrix products are many times slower where the last dimension is 1 or 2. Parameter blocks
are padded to 16 columns: vector kernels then have no tails, and a replica's bits do not depend on its packing for two
replicas or more. Parameters start as torch's layers do (He et al. 2015, arXiv:1502.01852), normal as DCGAN's (Radford
et al. 2015, arXiv:1511.06434), or orthogonal (`starts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate, pairwise
from math import prod

import torch
from torch import Tensor, nn

from bench.contracts.game import Parameter
from bench.games.networks.layers import Activation, BatchNorm, Layer, Linear, Maxout, Shape
from bench.games.networks.modules import OneReplica
from bench.games.networks.normalisation import normalised
from bench.games.networks.starts import TORCH, Start, orthogonal
from bench.numerics.randomness import GRAIN, normal, uniform


@dataclass(frozen=True)
class Network:
    """Layers, one after another, for each replica.

    Args:
        layers: from input to output.
        sd: where positive, weights start normal with this standard deviation, and biases at 0.
        spectral: divide every weight matrix by its largest singular value (`bench.games.networks.normalisation`).
        gain: where positive, weight matrices start orthogonal times this, and biases at 0.
    """

    layers: tuple[Layer, ...] = ()
    sd: float = 0.0
    spectral: bool = False
    gain: float = 0.0

    @cached_property
    def tensor_shapes(self) -> tuple[Shape, ...]:
        """Of every parameter in turn, without R."""
        return tuple(shape for layer in self.layers for shape in layer.shapes)

    @cached_property
    def layout(self) -> list[int]:
        """Columns of every parameter in turn, each followed by its padding."""
        return [columns for shape in self.tensor_shapes for columns in (prod(shape), -prod(shape) % GRAIN)]

    def parameters(self, start: int = 0) -> tuple[Parameter, ...]:
        """Every parameter tensor in turn, for a network whose first column is ``start``."""
        starts = list(accumulate(self.layout, initial=start))[:-1:2]
        return tuple(Parameter(first, shape) for first, shape in zip(starts, self.tensor_shapes, strict=True))

    @cached_property
    def size(self) -> int:
        """Columns of all parameters, padding included."""
        return sum(self.layout)

    def init(self, seeds: Tensor, stream: str) -> Tensor:
        """The initial parameters, zeros in the padding: [R, size]."""
        centres, reaches = [], []
        for layer in self.layers:
            for shape, (low, high) in zip(layer.shapes, layer.start, strict=True):
                size = prod(shape)
                reach = (high - low) / 2 if self.sd == 0 else self.sd * (len(shape) > 1 or low == 1.0)
                centres += [torch.full((size,), (low + high) / 2), torch.zeros(-size % GRAIN)]
                reaches += [torch.full((size,), reach), torch.zeros(-size % GRAIN)]
        if self.gain:
            drawn = normal(seeds, stream, 0, (self.size,), block=1)
            return torch.cat(centres) + orthogonal(drawn, self.parameters(), self.gain)
        if self.sd:
            return torch.cat(centres) + normal(seeds, stream, 0, (self.size,), block=1) * torch.cat(reaches)
        return torch.cat(centres) + (2 * uniform(seeds, stream, 0, (self.size,), block=1) - 1) * torch.cat(reaches)

    def __call__(self, parameters: Tensor, h: Tensor) -> Tensor:
        """parameters [R, size], h [R, ..., batch] -> [R, ..., batch]."""
        return self.applied(self.weights(parameters), h)

    def applied(self, weights: Sequence[Tensor], h: Tensor) -> Tensor:
        """The layers one after another, with `weights` as these use them."""
        left = iter(weights)
        for layer in self.layers:
            h = layer([next(left) for _ in layer.shapes], h)
        return h

    @property
    def plain(self) -> Network | None:
        """Its layers alone, one after another, with weights as they are used; None where it does more than these."""
        if not self.layers or type(self).__call__ is not Network.__call__ or type(self).weights is not Network.weights:
            return None
        return Network(self.layers) if self.normalised else self

    @cached_property
    def normalised(self) -> dict[int, int]:
        """Which parameters are divided by their largest singular value: number -> the dimension of its rows."""
        starts = accumulate((len(layer.shapes) for layer in self.layers), initial=0)
        matrices = (
            first + place for first, layer in zip(starts, self.layers, strict=False) for place in layer.matrices
        )
        return dict.fromkeys(matrices, 0) if self.spectral else {}

    def module(self, row: Tensor, entry: Shape) -> nn.Module:
        """Return one replica as a torch module.

        Args:
            row: its parameters, [size].
            entry: of a sample that the network takes.

        Returns:
            A sequence of torch's own layers, on samples [N, *entry]; a layer that torch lacks is wrapped. A class with
            a ``__call__`` of its own is wrapped as a whole. With ``spectral`` the weights are those after the division.
        """
        if type(self).__call__ is not Network.__call__:
            row = row.detach().cpu()
            return OneReplica(partial(_on_row, self), [row], entry)
        return chain_module(self.layers, self.of_one(row), entry)

    def of_one(self, row: Tensor) -> list[Tensor]:
        """`weights` of one replica, without R and on the CPU, from its parameters [size]."""
        with torch.no_grad():
            return [weight[0] for weight in self.weights(row.detach().cpu().unsqueeze(0))]

    def weights(self, parameters: Tensor) -> list[Tensor]:
        """Every parameter tensor in turn as the layers use it, [R, *shape], from parameters [R, size]."""
        parts = torch.split(parameters, self.layout, dim=1)[::2]
        weights = [part.view(-1, *shape) for part, shape in zip(parts, self.tensor_shapes, strict=True)]
        for number, rows in self.normalised.items():
            weights[number] = normalised(weights[number], rows)
        return weights


def chain_module(layers: Iterable[Layer], parameters: Iterable[Tensor], entry: Shape) -> nn.Sequential:
    """Layers of one replica in turn on samples [N, *entry]; ``parameters`` are all of theirs, without R."""
    modules, left = nn.Sequential(), iter(parameters)
    with torch.no_grad():
        samples = torch.zeros(2, *entry)
        for layer in layers:
            module = layer.module([next(left) for _ in layer.shapes], tuple(samples.shape[1:]))
            samples = module(samples)
            if not isinstance(module, nn.Identity):
                modules.append(module)
    return modules


def _on_row(network: Network, parts: Sequence[Tensor], h: Tensor) -> Tensor:
    (row,) = parts
    return network(row, h)


@dataclass(frozen=True)
class MLP(Network):
    """A multilayer perceptron for each replica: h <- a(W h + b), the last layer with its own activation.

    Args:
        widths: features from input to output.
        activation: between the layers; one of ACTIVATIONS.
        output: after the last layer.
        batch_norm: normalise before every activation between the layers.
        pieces: where above 1, layers but the last are maxout layers of so many pieces, in place of the activation.
        start: of the parameters.
    """

    widths: tuple[int, ...] = ()
    activation: str = "relu"
    output: str = "none"

    def __init__(
        self,
        widths: tuple[int, ...],
        activation: str = "relu",
        output: str = "none",
        spectral: bool = False,
        *,
        batch_norm: bool = False,
        pieces: int = 1,
        start: Start = TORCH,
    ) -> None:
        layers: list[Layer] = []
        for fan_in, fan_out in pairwise(widths[:-1]):
            norm = [BatchNorm(pieces * fan_out)] * batch_norm
            between = Maxout(pieces) if pieces > 1 else Activation(activation)
            layers += [Linear(fan_in, pieces * fan_out), *norm, between]
        layers += [Linear(*widths[-2:]), Activation(output)]
        given = {"layers": tuple(layers), "spectral": spectral, "widths": widths, "activation": activation}
        for name, value in (given | {"output": output} | start._asdict()).items():
            object.__setattr__(self, name, value)

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """(fan in, fan out) of every layer."""
        return [(layer.fan_in, layer.fan_out) for layer in self.layers if isinstance(layer, Linear)]
