"""The convolutional networks of SNGAN on CIFAR-10 (Miyato et al. 2018, arXiv:1802.05957, table 3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bench.contracts import later
from bench.games.dcgan import SD
from bench.games.harness.images import CifarImages
from bench.games.networks.blocks import around
from bench.games.networks.layers import Activation, BatchNorm, Conv2d, ConvTranspose2d, Layer, Linear, Reshape
from bench.games.networks.networks import Network
from bench.registry import game


@game("sngan-cifar10")
@dataclass(frozen=True)
class SnganCifar(CifarImages):
    """The standard CNN of SNGAN on CIFAR-10: spectral normalisation and hinge loss, no batch norm in the discriminator.

    Source: Miyato et al. 2018, arXiv:1802.05957, table 3. There the discriminator's leaky slope is 0.1, here it is 0.2
    as in all games; there one power iteration is kept between steps, here a few are taken anew. Published with
    adam[lr=0.0002,beta1=0.5] and five steps of the discriminator to one of the generator.

    ``skip`` puts a residual connection around every stage that changes the side: after the paper's table 4, whose
    blocks have two convolutions in the generator too.
    """

    loss: str = "hinge"
    latent: int = 128
    spectral: bool = True
    channels: int = 64
    skip: bool = later(False)

    budget = 20000.0
    judged = 2048
    tried = "channels=4,batch_size=16,latent=16"
    stack = 2  # convolutions store their patches

    @cached_property
    def generator(self) -> Network:
        c = self.channels
        layers: list[Layer] = [Linear(self.latent + self.told, 8 * c * 16), Reshape((8 * c, 4, 4))]
        for a in (8 * c, 4 * c, 2 * c):
            block = BatchNorm(a), Activation("relu"), ConvTranspose2d(a, a // 2, 4, stride=2, padding=1)
            layers += around(*block, skip=self.skip)
        layers += [BatchNorm(c), Activation("relu"), Conv2d(c, 3, 3, padding=1), Activation("tanh")]
        return Network(tuple(layers), sd=SD)

    @cached_property
    def discriminator(self) -> Network:
        c, leaky = self.channels, Activation("leaky-relu")
        layers: list[Layer] = []
        for a, b in ((3 + self.told, c), (c, 2 * c), (2 * c, 4 * c)):
            block = Conv2d(a, b, 3, padding=1), leaky, Conv2d(b, b, 4, stride=2, padding=1)
            layers += (*around(*block, skip=self.skip), leaky)
        layers += [Conv2d(4 * c, 8 * c, 3, padding=1), leaky, Reshape((8 * c * 16,)), Linear(8 * c * 16, 1)]
        return Network(tuple(layers), sd=SD, spectral=self.spectral)
