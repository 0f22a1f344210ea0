"""The images of image games: their source, their shape, and the features that judge them.

Sets are read from files (`bench.games.data`) when a minibatch is first asked for, not before: a game of images can be
listed, spelled and measured without them. They stay in memory as bytes, once in a process; a minibatch alone is scaled
to [-1, 1]. There is one class for each set, because a metric belongs to the games of one classifier.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.contracts import Collapse
from bench.contracts.collapse import of_classes
from bench.contracts.game import MADE
from bench.games.data import classifiers as features
from bench.games.data import loading as data
from bench.games.data.features import Extractor, extractor
from bench.games.data.parts import scaled, shuffled
from bench.games.harness.compared import Part
from bench.games.harness.gan import GAN, in_batches
from bench.games.networks.layers import Shape
from bench.numerics.distances import Gaussian, gaussian, mode_error
from bench.numerics.randomness import integers

PROJECTED = 5000  # real images whose principal directions are taken
COMPONENTS = 64


@dataclass(frozen=True)
class Images(GAN):
    """A GAN on images; the classes below are those that there are.

    ``features`` names features to judge the samples by beside the shipped ones: a classifier that ships, or
    ``inception:PATH``.
    """

    features: str = "shipped"

    planes = 1
    """Grey, or 3 of colour: a sample has planes x height x width features."""

    @property
    @abstractmethod
    def classifier(self) -> str:
        """Name of the shipped classifier whose features judge the samples; empty where none knows such images."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Height and width of an image."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features != "shipped":
            _ = self.extractor

    @cached_property
    def extractor(self) -> Extractor:
        """What ``features`` names."""
        return extractor(self.features, (self.planes, *self.shape), self.name)

    @property
    def digest(self) -> str:
        """What the settings alone do not decide: the weights of ``features``."""
        return "" if self.features == "shipped" else self.extractor.digest

    @abstractmethod
    def held_out(self, count: int) -> Tensor:
        """Real images to compare samples with, in [-1, 1] and a fixed shuffled order: [count, pixels]."""

    @property
    def principal(self) -> tuple[Tensor, Gaussian]:
        """The first principal directions of real pixels, [pixels, <= 64], and the Gaussian of the data on them.

        There are at most a quarter as many directions as real images, so that the covariance is known.
        """
        return _principal(self)

    def sample_shape(self) -> Shape:
        return self.planes, *self.shape

    def torch_modules(self, w: Tensor) -> tuple[nn.Module, ...]:
        """Those of the networks; where these know images as rows of pixels, their modules know them as images.

        A discriminator that is told the class takes pixels and class as one row.
        """
        generator, discriminator = super().torch_modules(w)
        if len(self._generated) > 1:
            return generator, discriminator
        first = [] if self.conditional else [nn.Flatten()]
        return nn.Sequential(generator, nn.Unflatten(1, self.sample_shape())), nn.Sequential(*first, discriminator)


@cache  # games are frozen, and equal games share it
def _principal(game: Images) -> tuple[Tensor, Gaussian]:
    pixels = game.held_out(PROJECTED).double()
    _, _, directions = torch.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
    basis = directions[: max(1, min(COMPONENTS, len(pixels) // 4))].T.contiguous()
    return basis, gaussian(pixels @ basis)


STACKED = 1000  # modes of Stacked MNIST: three digits
SURE = 0.8
"""The classifier's probability of a digit above which it is one."""


@dataclass(frozen=True)
class Classified(Images):
    """A GAN on images that a shipped classifier knows."""

    blur = 0.3

    @property
    def collapse(self) -> Collapse | None:  # type: ignore[override]
        """At least half of the classes are missing from the samples."""
        return of_classes(self.classes)

    @property
    def kinds(self) -> int:
        return self.classes

    @property
    def tells(self) -> bool:
        """Whether samples are told a class."""
        return self.conditional

    def told_classes(self, count: int) -> Tensor:
        """The classes that judged samples are told, each in turn, [count]."""
        return torch.arange(count) % self.classes

    def compared_parts(self, samples: dict[str, Tensor]) -> list[Part]:
        """All of them, and what they were told in a conditional game."""
        made = samples[MADE]
        return [Part(made, self.classifier, self.told_classes(made.shape[1]) if self.conditional else None)]

    @abstractmethod
    def labelled(self) -> tuple[Tensor, Tensor]:
        """All images for training, flat and as the files or the package have them, and the class of each."""

    def perfect(self, seeds: Tensor, count: int) -> Tensor:
        """Real images, [R, count, pixels]."""
        return self.partial(seeds, count, self.kinds)

    def partial(self, seeds: Tensor, count: int, kinds: int) -> Tensor:
        images, classes = self.labelled()
        allowed = (classes < kinds).nonzero()[:, 0]
        drawn = images[allowed[integers(seeds, "perfect", 0, (count,), len(allowed))]]
        return scaled(drawn) if drawn.dtype == torch.uint8 else drawn


class StoredDigits(Images):
    """A GAN on the few digits that ship with scikit-learn, in one form or another."""

    @property
    @abstractmethod
    def images(self) -> Tensor:
        """All of them in this form, [1797, pixels]."""

    def held_out(self, count: int) -> Tensor:
        """Real images to compare with, from the end of a shuffled order: there are too few to hold out."""
        return self.images[-count:]

    def _which(self, seeds: Tensor, draw: int) -> Tensor:
        return integers(seeds, "real", draw, (self.batch_size,), len(self.images))

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        return self.images[self._which(seeds, draw)].transpose(1, 2)

    def labels(self, seeds: Tensor, draw: int) -> Tensor:
        return features.digits()[1][self._which(seeds, draw)]


@dataclass(frozen=True)
class DigitsImages(StoredDigits, Classified):
    """A GAN on scikit-learn's 1797 handwritten digits of 8x8 pixels (Alpaydin and Kaynak 1998), told as 64 features."""

    batch_size: int = 32

    classifier = "digits"
    classes = 10
    shape = (8, 8)
    learned = 40.0  # half of the classes are 30

    @cached_property
    def images(self) -> Tensor:
        """All images, [1797, 64]."""
        return features.digits()[0]

    def labelled(self) -> tuple[Tensor, Tensor]:
        return features.digits()


@dataclass(frozen=True)
class FileImages(Images):
    """A GAN on a set of images that stand in files; minibatches are [R, planes, H, W, batch]."""

    reads_files = True

    @property
    @abstractmethod
    def source(self) -> str:
        """Name of the set, as `bench data` knows it."""

    @property
    def missing(self) -> str:
        """ "" if the set's files exist; else a line with the files sought, the folders, and a remedy."""
        return data.missing(self.source)

    @cached_property
    def images(self) -> Tensor:
        """The images for training, uint8[N, planes, H, W]; UserError where there are no files."""
        return data.load(self.source)[0]

    def held_out(self, count: int) -> Tensor:
        """The first test images in a fixed shuffled order, because the order of the files may be systematic."""
        images = data.load(self.source, train=False)[0]
        return scaled(images[shuffled(len(images))[:count]].flatten(1))

    def _which(self, seeds: Tensor, draw: int) -> Tensor:
        return integers(seeds, "real", draw, (self.batch_size,), len(self.images))

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        return scaled(self.images[self._which(seeds, draw)].movedim(1, -1))

    def labels(self, seeds: Tensor, draw: int) -> Tensor:
        return data.load(self.source)[1][self._which(seeds, draw)]

    def labelled(self) -> tuple[Tensor, Tensor]:
        images, labels = data.load(self.source)
        return images.flatten(1), labels

    def generate(self, w: Tensor, seeds: Tensor, count: int) -> Tensor:
        """Samples [R, count, pixels], drawn a training batch at a time.

        Memory stays at that of training, and a batch normalisation sees as many samples as it does there: each is
        normalised by the batch that it is drawn in.
        """
        parameters, latents = w[:, : self.sizes[0]], self.judged_latents(seeds, count).to(w.device)
        return in_batches(lambda _, part: self.generator(parameters, part), latents, self.batch_size)


@dataclass(frozen=True)
class MnistImages(FileImages, Classified):
    """A GAN on the 60,000 handwritten digits of MNIST, 28x28 (LeCun et al. 1998)."""

    source = classifier = "mnist"
    classes = 10
    shape = (28, 28)
    score = "fd_mnist"
    learned = 200.0  # half of the classes are 163


@dataclass(frozen=True)
class FashionImages(FileImages, Classified):
    """A GAN on the 60,000 pieces of clothing of Fashion-MNIST, 28x28 (Xiao et al. 2017, arXiv:1708.07747)."""

    source = classifier = "fashion"
    classes = 10
    shape = (28, 28)
    score = "fd_fashion"
    learned = 400.0  # half of the classes are 348


@dataclass(frozen=True)
class CifarImages(FileImages):
    """A GAN on the 50,000 photographs of CIFAR-10, 32x32 in colour (Krizhevsky 2009); no classifier ships for them."""

    source = "cifar10"
    classifier = ""
    classes = 10
    planes = 3
    shape = (32, 32)
    score = "pixel_wasserstein"


@dataclass(frozen=True)
class StackedMnistImages(FileImages):
    """A GAN on three digits of MNIST, one a colour plane: 1,000 modes (Metz et al. 2017, arXiv:1611.02163)."""

    source = classifier = "mnist"
    planes = 3
    shape = (28, 28)
    score = "stacked_error"
    tie_break = "pca_frechet"
    learned = 0.6
    kinds = STACKED
    blur = 0.6

    def perfect(self, seeds: Tensor, count: int) -> Tensor:
        """Three real digits a sample, [R, count, 3 * 784]."""
        return self.partial(seeds, count, STACKED)

    def partial(self, seeds: Tensor, count: int, kinds: int) -> Tensor:
        """Of the first modes, whose three digits are those of a number."""
        images, labels = data.load(self.source)
        numbers = integers(seeds, "perfect mode", 0, (count,), kinds)
        which = integers(seeds, "perfect", 0, (3, count), 2**31)
        planes = []
        for plane, place in enumerate((100, 10, 1)):
            drawn = images.new_empty(len(seeds), count, 784)
            for digit in range(10):
                places, own = (numbers // place % 10 == digit).nonzero(as_tuple=True), (labels == digit).nonzero()[:, 0]
                drawn[places] = images[own[which[:, plane][places] % len(own)]].flatten(1)
            planes.append(drawn)
        return scaled(torch.cat(planes, dim=2))

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        which = integers(seeds, "real", draw, (self.planes, self.batch_size), len(self.images))
        return scaled(self.images[which][:, :, :, 0].movedim(2, -1))

    def held_out(self, count: int) -> Tensor:
        """Of the set's part for tests, each digit once on each plane."""
        images = data.load(self.source, train=False)[0][:, 0]
        planes = [images[shuffled(len(images), plane)[:count]] for plane in range(self.planes)]
        return scaled(torch.stack(planes, dim=1).flatten(1))


class StackedModes(NamedTuple):
    """How the 1,000 modes of Stacked MNIST are covered, each float64[R]; see `stacked_modes`."""

    captured: Tensor
    reverse_kl: Tensor
    error: Tensor


def stacked_modes(samples: Tensor) -> StackedModes:
    """Samples [R, N, 3 * 784] by the shipped classifier's digit of each plane.

    captured: modes that at least one sample is of; reverse_kl: KL(their histogram || uniform) in nats, whose floor at
    26,000 perfect samples is 0.019; error: total variation between the histogram and a uniform one, where a sample on
    any of whose planes the classifier is not SURE is of no mode; its floor there is 0.10. A row that is not finite has
    captured none, at log 1000 and an error of 1. Protocol: PacGAN (Lin et al. 2018, arXiv:1712.04086, section 4.2),
    with a classifier of this project's.
    """
    replicas, count = samples.shape[:2]
    captured = torch.zeros(replicas, dtype=torch.float64, device=samples.device)
    reverse_kl, error = torch.full_like(captured, math.log(STACKED)), torch.ones_like(captured)
    places = torch.tensor([100, 10, 1], device=samples.device)
    for r, row in enumerate(samples):
        if row.isfinite().all():
            logits = features.load("mnist").embed(row.reshape(1, 3 * count, -1))[1][0]
            share, digits = logits.softmax(dim=1).max(dim=1)
            modes, sure = (digits.view(count, 3) * places).sum(dim=1), (share.view(count, 3) > SURE).all(dim=1)
            counts = torch.bincount(modes, minlength=STACKED)
            captured[r] = (counts > 0).sum()
            reverse_kl[r] = math.log(STACKED) - torch.special.entr(counts.double() / count).sum()
            error[r] = mode_error(torch.bincount(modes[sure], minlength=STACKED).double() / count)
    return StackedModes(captured, reverse_kl, error)
