"""DCGAN: convolutions all through, batch normalisation, weights N(0, 0.02) (Radford et al. 2015, arXiv:1511.06434)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from bench.contracts import later
from bench.games.harness.images import CifarImages, FashionImages, FileImages, MnistImages
from bench.games.networks.blocks import around
from bench.games.networks.layers import Activation, BatchNorm, Conv2d, ConvTranspose2d, Layer, Linear, Reshape
from bench.games.networks.networks import Network
from bench.registry import game

SD = 0.02  # of the weights at the start


@dataclass(frozen=True)
class DCGAN(FileImages):
    """``channels`` next to the image, twice as many after every halving of its side, down to 7x7 or 4x4.

    ``skip`` puts a residual connection around every stage but those that make the image and read it, which have no
    activation before their convolution to go around (He et al. 2016, arXiv:1512.03385; in GANs Gulrajani et al. 2017,
    arXiv:1704.00028).
    """

    batch_size: int = 128
    latent: int = 100
    channels: int = 64
    skip: bool = later(False)

    budget = 10000.0  # twenty epochs in minibatches of 128
    judged = 2048  # as long as five steps; 5,000 would be as long as thirteen
    tried = "channels=4,batch_size=16,latent=16"
    stack = 4  # convolutions store their patches: 0.45 GB a replica

    @property
    def _path(self) -> tuple[int, list[int]]:
        """The side that generation begins with, and the channels from there to the image's."""
        side, widths = self.shape[0], [self.planes]
        while side > 7:
            side //= 2
            widths.append(self.channels if len(widths) == 1 else 2 * widths[-1])
        return side, widths[::-1]

    @cached_property
    def generator(self) -> Network:
        side, widths = self._path
        layers: list[Layer] = [
            Linear(self.latent + self.told, widths[0] * side**2),
            Reshape((widths[0], side, side)),
        ]
        for stage, (a, b) in enumerate(pairwise(widths), 2):
            block = BatchNorm(a), Activation("relu"), ConvTranspose2d(a, b, 4, stride=2, padding=1)
            layers += around(*block, skip=self.skip and stage < len(widths))
        return Network((*layers, Activation("tanh")), sd=SD)

    @cached_property
    def discriminator(self) -> Network:
        side, widths = self._path
        leaky, (planes, *rest) = Activation("leaky-relu"), widths[::-1]
        layers: list[Layer] = [Conv2d(planes + self.told, rest[0], 4, stride=2, padding=1)]
        for a, b in pairwise(rest):
            layers += around(leaky, Conv2d(a, b, 4, stride=2, padding=1), BatchNorm(b), skip=self.skip)
        layers += [leaky, Reshape((widths[0] * side**2,)), Linear(widths[0] * side**2, 1)]
        return Network(tuple(layers), sd=SD, spectral=self.spectral)


@game("dcgan-mnist")
class DcganMnist(DCGAN, MnistImages):
    """DCGAN on MNIST: 7x7, 14x14, 28x28; every stage a 4x4 kernel with stride 2.

    Batch normalisation is by the batch at hand, in judging too: samples are drawn a training batch at a time, and
    depend on those drawn with them. Published with adam[lr=0.0002,beta1=0.5] and minibatches of 128.
    """


@game("dcgan-fashion")
class DcganFashion(DCGAN, FashionImages):
    """DCGAN on Fashion-MNIST, otherwise like ``dcgan-mnist`` (Xiao et al. 2017, arXiv:1708.07747)."""


@game("dcgan-cifar10")
class DcganCifar(DCGAN, CifarImages):
    """DCGAN on CIFAR-10: 4x4, 8x8, 16x16, 32x32, otherwise like ``dcgan-mnist`` (Krizhevsky 2009)."""
