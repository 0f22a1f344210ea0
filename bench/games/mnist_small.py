"""MNIST and Fashion-MNIST made small enough for a study of ten seeds on one core in minutes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from bench.games.harness.images import FashionImages, FileImages, MnistImages
from bench.games.networks.networks import MLP, Network
from bench.registry import game


@dataclass(frozen=True)
class Small(FileImages):
    """Generator ``latent``-``width``-784, discriminator 784-``width``-``width``-1.

    Dense on both sides by measurement: in the time of one step against two convolutions (of 16 and 32, 4x4, stride 2)
    it makes six, and after the same time it has all ten classes where against convolutions it has one or two.
    """

    latent: int = 32
    width: int = 128

    budget = 8000.0
    judged = 2048  # 31 ms a replica, 3 % of so short a training at 21 evaluations; 5,120 would be 9 %
    stack = 20
    tried = "width=16,batch_size=16"

    @cached_property
    def generator(self) -> Network:
        return MLP((self.latent + self.told, self.width, 784), "relu", output="tanh")

    @cached_property
    def discriminator(self) -> Network:
        return MLP((784 + self.told, self.width, self.width, 1), "leaky-relu", spectral=self.spectral)

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        return super().real(seeds, draw).flatten(1, -2)


@game("mnist-small")
class MnistSmall(Small, MnistImages):
    """A GAN of two small MLPs on MNIST, 28x28: thousands of steps of ten replicas in minutes on one core."""


@game("fashion-small")
class FashionSmall(Small, FashionImages):
    """A GAN of two small MLPs on Fashion-MNIST, otherwise like ``mnist-small`` (arXiv:1708.07747)."""
