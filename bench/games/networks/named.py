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

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Self

from torch import Tensor

from bench.games.networks.layers import Layer
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
        return Bound(self, self.weights(parameters))

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

    def __init__(self, network: NamedNetwork, weights: list[Tensor]) -> None:
        self.network = network
        ends = accumulate((len(layer.shapes) for layer in network.layers), initial=0)
        owners = zip(network.names, network.layers, ends, strict=False)
        self._layers = {name: (layer, weights[at : at + len(layer.shapes)]) for name, layer, at in owners}

    def __call__(self, first: str | Tensor, *given: Tensor) -> Tensor:
        if isinstance(first, Tensor):
            return self.network.forward(self, first)
        layer, weights = self._layers[first]
        return layer(weights, *given)

    def parts(self, name: str) -> list[Tensor]:
        """The parameters of a layer as it uses them, [R, ...] each."""
        return self._layers[name][1]
