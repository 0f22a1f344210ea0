"""GANs on points of the plane: small perceptrons, and data from which any number of samples can be drawn."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from bench.contracts import Collapse
from bench.contracts.collapse import of_modes
from bench.games.harness.gan import GAN
from bench.games.networks.networks import MLP, Network
from bench.numerics.randomness import BLOCK, integers, normal


@dataclass(frozen=True)
class Points(GAN):
    """A GAN on points: MLPs, and samples to compare with as many of the data's."""

    width: int = 32
    depth: int = 2

    judged = 2500
    coordinates = 2
    """Of a point."""

    @cached_property
    def generator(self) -> Network:
        return MLP((self.latent + self.told, *[self.width] * self.depth, self.coordinates), "relu")

    @cached_property
    def discriminator(self) -> Network:
        return MLP((self.coordinates + self.told, *[self.width] * self.depth, 1), "leaky-relu", spectral=self.spectral)

    @abstractmethod
    def data(self, seeds: Tensor, stream: str, draw: int, count: int, block: int) -> Tensor:
        """Samples of the data, [R, features, count]."""

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        return self.data(seeds, "real", draw, self.batch_size, BLOCK)

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

    @property
    def collapse(self) -> Collapse:  # type: ignore[override]
        """Fewer than half of the modes have a quarter of their share of the samples."""
        return of_modes(len(self.modes))

    def data(self, seeds: Tensor, stream: str, draw: int, count: int, block: int) -> Tensor:
        which = integers(seeds, f"{stream} mode", draw, (count,), len(self.modes), block)
        noise = normal(seeds, f"{stream} noise", draw, (2, count), block=block)
        return self.modes[which].transpose(1, 2) + self.sd * noise
