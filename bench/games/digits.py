"""Handwritten digits of 8x8 pixels (Alpaydin and Kaynak 1998), shipped by scikit-learn: real data without a file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from bench.gan import Images
from bench.networks import MLP
from bench.randomness import integers
from bench.registry import game


@game("digits")
@dataclass(frozen=True)
class Digits(Images):
    """A GAN of two MLPs on scikit-learn's 1797 handwritten digits, pixels in [-1, 1]."""

    batch_size: int = 32
    width: int = 64
    depth: int = 2

    budget = 1500.0
    score = "fd_digits"
    classifier = "digits"
    classes = 10
    shape = (8, 8)
    judged = 1000

    @cached_property
    def images(self) -> Tensor:
        """All images, [1797, 64]."""
        from bench.features import digits

        return digits()[0]

    @cached_property
    def generator(self) -> MLP:
        return MLP((self.latent + self.told, *[self.width] * self.depth, 64), "relu", output="tanh")

    @cached_property
    def discriminator(self) -> MLP:
        return MLP((64 + self.told, *[self.width] * self.depth, 1), "leaky-relu", spectral=self.spectral)

    def _which(self, seeds: Tensor, draw: int) -> Tensor:
        return integers(seeds, "real", draw, (self.batch_size,), len(self.images))

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        return self.images[self._which(seeds, draw)].transpose(1, 2)

    def labels(self, seeds: Tensor, draw: int) -> Tensor:
        from bench.features import digits

        return digits()[1][self._which(seeds, draw)]
