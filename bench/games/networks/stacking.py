"""Ordinary torch modules as networks for stacked replicas.

A module that calls the usual layers one after another becomes the layers of ``bench.games.networks``. Any other runs
through torch.func: all replicas at once if that does not change a replica's bits, otherwise one at a time, as one that
draws random numbers always does. Normalisation uses the statistics of the current batch, like a module in training
mode; there are no running averages.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bench.games.networks.chains import Unlike
from bench.games.networks.given_modules import Given, fresh
from bench.games.networks.layers import Reshape, Shape
from bench.games.networks.modules import holding
from bench.games.networks.networks import Network
from bench.games.networks.translation import layers_of
from bench.numerics.randomness import GRAIN, whole_numbers

TOLERANCE = 1e-4  # relative to the largest entry: more is no rounding


@dataclass(frozen=True, eq=False, kw_only=True)
class Stacked(Network):
    """A torch module for each replica, its parameters in a row of w.

    Args:
        given: the module, and what makes a fresh one.
        entry: of a sample as the module takes it.
        leave: of a sample as it is passed on.
        classes: features after a sample's own that tell its class; 0 for none.
        why: what keeps it from being a stack of layers; "" for nothing.
        together: whether torch.func takes all replicas at once.
    """

    given: Given
    entry: Shape
    leave: Shape
    classes: int = 0
    why: str = ""
    together: bool = True

    @cached_property
    def plain(self) -> Network | None:
        """Its layers between samples as they are passed, where it is made of layers and told no class."""
        if not self.layers or self.classes:
            return None
        return Network((Reshape(self.entry), *self.layers, Reshape(self.leave)))

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Of the parameters by name, without R."""
        return {name: tuple(parameter.shape) for name, parameter in self.given.module.named_parameters()}

    @cached_property
    def tensor_shapes(self) -> tuple[Shape, ...]:
        """Of the module's parameters in turn, without R."""
        return tuple(self.shapes.values())

    @cached_property
    def normalised(self) -> dict[int, int]:
        rows_of = self.given.normalised
        return {number: rows_of[name] for number, name in enumerate(self.shapes) if name in rows_of}

    def init(self, seeds: Tensor, stream: str) -> Tensor:
        """The parameters of a fresh module for each seed, a function of the seed alone: [R, size]."""
        numbers = whole_numbers(seeds, stream, 0)
        rows = {number: self.row([*fresh(self.given.make, number).parameters()]) for number in dict.fromkeys(numbers)}
        return torch.stack([rows[number] for number in numbers])

    def row(self, parameters: Sequence[Tensor]) -> Tensor:
        """A module's parameters as they stand in w, [size]."""
        flat = (parameter.detach().cpu().float().flatten() for parameter in parameters)
        return torch.cat([part for block in flat for part in (block, torch.zeros(-len(block) % GRAIN))])

    def __call__(self, parameters: Tensor, h: Tensor, numbers: Sequence[int] = ()) -> Tensor:
        """parameters [R, size], h [R, ..., batch] -> [R, ..., batch]; ``numbers`` [R] seed what the module draws."""
        told: tuple[Tensor, ...] = ()
        if self.classes:
            h, classes = h[:, : -self.classes], h[:, -self.classes :]
            one_hot = classes.flatten(2)[:, :, -h.shape[-1] :].transpose(1, 2)  # the same at every place of a sample
            told = {"": (), "index": (one_hot.argmax(dim=2),), "one-hot": (one_hot,)}[self.given.labels]
        h = h.reshape(len(h), *self.entry, h.shape[-1])
        out = super().__call__(parameters, h) if self.layers else self._through(parameters, h, told, numbers)
        return out.reshape(len(h), *self.leave, h.shape[-1])

    def module(self, row: Tensor, entry: Shape) -> nn.Module:
        """The module itself, a copy, with one replica's parameters [size]; in training mode, as it was trained."""
        return holding(deepcopy(self.given.module), (weight[0] for weight in self.weights(row.detach().cpu()[None])))

    def _through(self, parameters: Tensor, h: Tensor, told: tuple[Tensor, ...], numbers: Sequence[int]) -> Tensor:
        """By torch.func: [R, ..., batch] -> [R, ..., batch]."""
        module = self.given.module
        named_parts = dict(zip(self.shapes, self.weights(parameters), strict=True))
        shared = {name: buffer.to(h.device) for name, buffer in module.named_buffers()}

        def one(mine: dict[str, Tensor], *samples: Tensor) -> Tensor:
            out: Tensor = functional_call(module, mine | shared, samples)
            return out

        samples = h.movedim(-1, 1), *told
        if self.together:
            return vmap(one)(named_parts, *samples).movedim(1, -1)
        rows = []
        for r in range(len(h)):
            with drawing((numbers[r] if numbers else 0) if self.given.draws else None):
                rows.append(one({name: part[r] for name, part in named_parts.items()}, *(x[r] for x in samples)))
        return torch.stack(rows).movedim(1, -1)


@contextmanager
def drawing(number: int | None) -> Iterator[None]:
    """Torch's random numbers from this seed, and the caller's again afterwards; None leaves them."""
    if number is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(number)
        yield


def stacked(given: Given, x: Tensor, entry: Shape, leave: Shape, classes: int = 0) -> Stacked:
    """A module for stacked replicas, in the fastest correct way; x [batch, *entry] are samples that it takes."""
    network = Stacked(given=given, entry=entry, leave=leave, classes=classes)
    if given.draws:
        return replace(network, why=f"{type(given.module).__name__} draws random numbers", together=False)
    if given.labels:
        network = replace(network, why=f"{type(given.module).__name__} is told the class")
    else:
        try:
            layered = replace(network, layers=layers_of(given.module, x))
            if layered.layers and all(_agrees(layered, samples) for samples in (x, x.flip(0) * -0.7)):
                return layered
            why = "its layers differ from those here" if layered.layers else "it has no layers"
        except Unlike as unlike:
            why = str(unlike)
        network = replace(network, why=why)
    return network if _stays_apart(network, x) else replace(network, together=False)


def _agrees(layered: Stacked, x: Tensor) -> bool:
    """Whether the layers give what the module gives on x, up to rounding."""
    through = replace(layered, layers=(), together=False)
    row = layered.row([*layered.given.module.parameters()])[None]
    h = _beside_classes(layered, x[None].movedim(1, -1))
    with torch.no_grad():
        expected = through(row, h)
        gap = layered(row, h) - expected
    return bool(gap.abs().max() <= TOLERANCE * expected.abs().max().clamp(min=1))


def _beside_classes(network: Stacked, h: Tensor) -> Tensor:
    """Samples [R, ..., batch] with the features of the first class beside their own, where the network is told it."""
    if not network.classes:
        return h
    told = torch.zeros(len(h), network.classes, *h.shape[2:])
    told[:, 0] = 1
    return torch.cat([h, told], 1)


def _stays_apart(network: Stacked, x: Tensor) -> bool:
    """Whether two replicas have the same bits alone as in a stack of five, gradients too."""
    w = network.init(torch.arange(5), "tried")
    h = _beside_classes(network, x.movedim(0, -1).expand(5, *x.shape[1:], len(x)))
    try:
        with warnings.catch_warnings(action="error"):  # torch warns where it would loop itself, and slowly
            five, two = (_values(network, w[:count], h[:count]) for count in (5, 2))
    except Exception:  # operations that vmap refuses, e.g. branches on values, work one replica at a time
        return False
    return all(torch.equal(a[:2], b) for a, b in zip(five, two, strict=True))


def _values(network: Stacked, w: Tensor, h: Tensor) -> list[Tensor]:
    w, h = w.clone().requires_grad_(), h.clone().requires_grad_()
    out = network(w, h)
    return [out, *torch.autograd.grad(out.square().sum(), [w, h], allow_unused=True, materialize_grads=True)]
