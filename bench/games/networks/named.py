"""Networks of any topology: layers with names, applied in whatever order, as often and to whatever one likes.

A subclass says by `forward` how its layers go together. `bind` takes the parameters apart once for a minibatch, so that
spectral normalisation is computed once however often the network is called.

    class Skipping(NamedNetwork):
        def forward(self, net, h):
            return net("out", relu(net("in", h)) + net("skip", h))

    network = Skipping.of({"in": Linear(2, 8), "skip": Linear(2, 8), "out": Linear(8, 1)}, spectral=True)
    judge = network.bind(w)  # w [R, network.size]
    judge(real), judge(fake)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Self

from torch import Tensor, nn

from bench.games.networks.layers import Layer, Shape
from bench.games.networks.modules import NamedReplica
from bench.games.networks.networks import Network


@dataclass(frozen=True)
class NamedNetwork(Network):
    """A network whose layers have names; by itself a chain of them in their order.

    Args:
        names: of the layers, in their order.
        equalised: weights start normal with a deviation of 1, and are scaled by He's constant, sqrt(2 / fan in), when
            they are used (Karras et al. 2018, arXiv:1710.10196, section 4.1).
    """

    names: tuple[str, ...] = ()
    equalised: bool = False

    @classmethod
    def of(cls, layers: Mapping[str, Layer], **options: Any) -> Self:
        """The network of these layers; options are those of `Network`, and of a subclass."""
        if options.get("equalised"):
            options["sd"] = 1.0
        return cls(layers=tuple(layers.values()), names=tuple(layers), **options)

    def weights(self, parameters: Tensor) -> list[Tensor]:
        weights = super().weights(parameters)
        if self.equalised:
            for place, weight in enumerate(weights):
                if weight.ndim > 2:
                    weights[place] = weight * (2 / weight[0, 0].numel()) ** 0.5
        return weights

    def bind(self, parameters: Tensor) -> Bound:
        """The network with parameters [R, size], taken apart and normalised once."""
        return Bound(self, self.by_layer(self.weights(parameters)))

    def by_layer(self, weights: Sequence[Tensor]) -> dict[str, Sequence[Tensor]]:
        """`weights` by the names of their layers."""
        ends = accumulate((len(layer.shapes) for layer in self.layers), initial=0)
        owners = zip(self.names, self.layers, ends, strict=False)
        return {name: weights[at : at + len(layer.shapes)] for name, layer, at in owners}

    def module(self, row: Tensor, entry: Shape) -> nn.Module:
        """One replica as a torch module whose parameters have its layers' names, as `Network.module`; of equal bits.

        With ``equalised`` the weights are those after their scaling, too.
        """
        if type(self).__call__ is not NamedNetwork.__call__:
            return super().module(row, entry)
        weights = self.by_layer(self.of_one(row))
        return NamedReplica(lambda parts, h: self.forward(Bound(self, parts), h), weights, entry)

    def __call__(self, parameters: Tensor, h: Tensor) -> Tensor:
        return self.bind(parameters)(h)

    def forward(self, net: Bound, h: Tensor) -> Tensor:
        """[R, ..., batch] -> [R, ..., batch]; ``net(name, h)`` is that layer on h."""
        for name in self.names:
            h = net(name, h)
        return h


class Bound:
    """A network with its parameters: ``net(h)`` is all of it, ``net(name, h)`` one layer.

    What a layer is told beside h stands behind it: ``net("norm", h, told)``. ``net.parts(name)`` are its parameters.
    """

    def __init__(self, network: NamedNetwork, weights: Mapping[str, Sequence[Tensor]]) -> None:
        self.network, self._weights = network, weights
        self._layers = dict(zip(network.names, network.layers, strict=True))

    def __call__(self, first: str | Tensor, *given: Tensor) -> Tensor:
        if isinstance(first, Tensor):
            return self.network.forward(self, first)
        return self._layers[first](self._weights[first], *given)

    def parts(self, name: str) -> Sequence[Tensor]:
        """The parameters of a layer as it uses them, [R, ...] each."""
        return self._weights[name]
