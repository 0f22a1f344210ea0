"""Handwritten digits of 8x8 pixels (Alpaydin and Kaynak 1998), shipped by scikit-learn: real data without a file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bench.games.harness.images import DigitsImages
from bench.games.networks.networks import MLP
from bench.registry import game


@game("digits")
@dataclass(frozen=True)
class Digits(DigitsImages):
    """A GAN of two MLPs on scikit-learn's 1797 handwritten digits, pixels in [-1, 1]."""

    width: int = 64
    depth: int = 2

    budget = 8000.0
    score = "fd_digits"
    judged = 1000

    @cached_property
    def generator(self) -> MLP:
        return MLP((self.latent + self.told, *[self.width] * self.depth, 64), "relu", output="tanh")

    @cached_property
    def discriminator(self) -> MLP:
        return MLP((64 + self.told, *[self.width] * self.depth, 1), "leaky-relu", spectral=self.spectral)
