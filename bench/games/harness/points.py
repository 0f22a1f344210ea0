"""GANs on points of the plane: small perceptrons, and data from which any number of samples can be drawn."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.contracts import Collapse, later
from bench.contracts.collapse import of_modes
from bench.errors import UserError, nearest
from bench.games.harness.gan import DISCRIMINATOR, GAN, GENERATOR
from bench.games.networks.layers import ACTIVATIONS
from bench.games.networks.networks import MLP, Network
from bench.games.networks.starts import Start, start_of
from bench.numerics.randomness import BLOCK, integers, normal

Each = int | tuple[int, int]
"""A whole number for both players, or one for each, spelled ``4:3``: the generator's first."""


@dataclass(frozen=True)
class Points(GAN):
    """A GAN on points: MLPs, and samples to compare with as many of the data's.

    Every layer between is ``width`` wide and there are ``depth`` of them; ``width=400:200,depth=4:3`` gives each player
    its own, the generator's first, and so does ``activation=relu:tanh``. ``start`` is ``torch``, ``orthogonal[GAIN]``
    or ``normal[SD]``, the last two with biases at 0. ``batch_norm`` normalises the generator's layers, by the batch at
    hand, in judging too (Ioffe and Szegedy 2015, arXiv:1502.03167). ``maxout`` is the number of pieces of the
    discriminator's layers, which then take the place of its activation (Goodfellow et al. 2013, arXiv:1302.4389).
    ``pac`` samples are judged side by side as one, and ``batch_size`` counts these packs (PacGAN, Lin et al. 2018,
    arXiv:1712.04086).
    """

    width: Each = 32
    depth: Each = 2
    activation: str = later("relu:leaky-relu")
    start: str = later("torch")
    batch_norm: bool = later(False)
    maxout: int = later(1)
    pac: int = later(1)

    judged = 2500
    coordinates = 2
    """Of a point."""

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.activation.split(":")
        for name in given:
            if name not in ACTIVATIONS:
                raise UserError(f"{self.name}: activation is {name!r}; {nearest(name, ACTIVATIONS)}")
        if len(given) > 2:
            raise UserError(f"{self.name}: activation is {self.activation!r}; one, or one a player, is allowed")
        _ = self._start

    def _positive(self, *names: str) -> None:
        """Refuse settings of the data that are not above 0."""
        for name in names:
            if not getattr(self, name) > 0:
                raise UserError(f"{self.name}: {name} is {getattr(self, name):g}; a positive number is allowed")

    @cached_property
    def _start(self) -> Start:
        return start_of(self.start, f"{self.name}: start")

    def _hidden(self, player: int) -> list[int]:
        """The widths between a player's input and output."""
        width, depth = (each[player] if isinstance(each, tuple) else each for each in (self.width, self.depth))
        return [width] * depth

    @cached_property
    def generator(self) -> Network:
        widths = (self.latent + self.told, *self._hidden(GENERATOR), self.coordinates)
        activation = self.activation.split(":")[0]
        return MLP(widths, activation, batch_norm=self.batch_norm, start=self._start)

    @cached_property
    def discriminator(self) -> Network:
        widths = (self.pac * (self.coordinates + self.told), *self._hidden(DISCRIMINATOR), 1)
        activation = self.activation.split(":")[-1]
        return MLP(widths, activation, spectral=self.spectral, pieces=self.maxout, start=self._start)

    @abstractmethod
    def data(self, seeds: Tensor, stream: str, draw: int, count: int, block: int) -> Tensor:
        """Samples of the data, [R, features, count]."""

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        return self.data(seeds, "real", draw, self.drawn, BLOCK)

    units = None

    def held_out(self, count: int) -> Tensor:
        """Samples of the data to compare with, always the same: [count, coordinates]."""
        return self.data(torch.tensor([0]), "judged", 0, count, 1)[0].T

    def perfect(self, seeds: Tensor, count: int) -> Tensor:
        """Samples of a perfect generator, which are the data's: [R, count, coordinates]."""
        return self.data(seeds, "perfect", 0, count, 1).transpose(1, 2)


@dataclass(frozen=True)
class Mixture(Points):
    """A GAN on a mixture of equal Gaussians in the plane (VEEGAN, Srivastava et al. 2017, arXiv:1705.07761)."""

    @property
    @abstractmethod
    def modes(self) -> Tensor:
        """Centres of the mixture, [K, 2]."""

    @property
    @abstractmethod
    def sd(self) -> float:
        """Standard deviation of every mode."""

    score = "mode_error"
    tie_break = "sliced_wasserstein"
    learned = 0.6  # half of the modes are an error of 0.5, and so are a few samples more of no mode

    @property
    def collapse(self) -> Collapse:  # type: ignore[override]
        """Fewer than half of the modes have a quarter of their share of the samples."""
        return of_modes(len(self.modes))

    def data(self, seeds: Tensor, stream: str, draw: int, count: int, block: int) -> Tensor:
        return self._drawn(self.modes, seeds, stream, draw, count, block)

    def _drawn(self, modes: Tensor, seeds: Tensor, stream: str, draw: int, count: int, block: int) -> Tensor:
        """Samples of these modes alone, [R, 2, count]."""
        which = integers(seeds, f"{stream} mode", draw, (count,), len(modes), block)
        noise = normal(seeds, f"{stream} noise", draw, (2, count), block=block)  # ours alone: changed in place
        centres = torch.stack([coordinate[which] for coordinate in modes.T.contiguous()], dim=1)
        return noise.mul_(self.sd).add_(centres)

    @property
    def kinds(self) -> int:
        return len(self.modes)

    @property
    def blur(self) -> float:
        return self.sd

    def partial(self, seeds: Tensor, count: int, kinds: int) -> Tensor:
        return self._drawn(self.modes[:kinds], seeds, "perfect", 0, count, 1).transpose(1, 2)
