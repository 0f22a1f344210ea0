"""MNIST and Fashion-MNIST as an introduction to GANs trains them: a small MLP against a small convolutional network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bench.games.harness.images import FashionImages, FileImages, MnistImages
from bench.games.networks.layers import Activation, Conv2d, Linear, Reshape
from bench.games.networks.networks import MLP, Network
from bench.registry import game


@dataclass(frozen=True)
class Introductory(FileImages):
    """Generator 100-128-128-784; discriminator two convolutions of ``channels`` (3x3, stride 2), 128, 1."""

    batch_size: int = 128
    latent: int = 100
    channels: int = 64

    budget = 10000.0
    judged = 5120  # a training batch at a time; the cost of one step
    stack = 10
    tried = "batch_size=16,latent=16,channels=8"

    @cached_property
    def generator(self) -> Network:
        mlp = MLP((self.latent + self.told, 128, 128, 784), "relu", output="tanh")
        return Network((*mlp.layers, Reshape((1, 28, 28))))

    @cached_property
    def discriminator(self) -> Network:
        leaky, flat = Activation("leaky-relu"), self.channels * 7 * 7
        layers = (
            *(Conv2d(1 + self.told, self.channels, 3, stride=2, padding=1), leaky),
            *(Conv2d(self.channels, self.channels, 3, stride=2, padding=1), leaky, Reshape((flat,))),
            *(Linear(flat, 128), leaky, Linear(128, 1)),
        )
        return Network(layers, spectral=self.spectral)


@game("mnist")
class Mnist(Introductory, MnistImages):
    """A GAN on MNIST: generator an MLP 100-128-128-784, discriminator two convolutions of 64 and two dense layers.

    It is the GAN of a widely read introductory article whose listing has the signs of both losses turned and drops the
    discriminator's last layer. Here it is trained as the article's text says, and Goodfellow et al. 2014
    (arXiv:1406.2661). A dense generator against convolutions is hard: Adam and ExtraAdam at 0.0002 collapsed on all
    three seeds within 2,000 evaluations. A discriminator that is held, as by ``regulariser=r1,gamma=5``, may do better.
    """


@game("fashion")
class Fashion(Introductory, FashionImages):
    """A GAN on Fashion-MNIST, otherwise like ``mnist`` (Xiao et al. 2017, arXiv:1708.07747)."""
