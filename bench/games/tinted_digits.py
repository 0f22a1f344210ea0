"""Digits tinted by their class: colour without a file, and a law between colour and shape that is known."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.contracts.game import MADE
from bench.games.data.classifiers import digits
from bench.games.harness.compared import Part
from bench.games.harness.images import StoredDigits
from bench.games.networks.networks import MLP
from bench.numerics.randomness import integers
from bench.registry import game

SIDE, CLASSES = 8, 10
TINTS = torch.tensor([colorsys.hsv_to_rgb(k / CLASSES, 0.9, 1.0) for k in range(CLASSES)])
"""Red, green and blue of each class's ink, [10, 3]; the strongest is 1."""


def tinted(images: Tensor, labels: Tensor) -> Tensor:
    """Grey digits [..., 64] in the ink of their classes [...]: [..., 3 * 64] in [-1, 1]."""
    ink = (images + 1) / 2
    return (2 * ink.unsqueeze(-2) * TINTS.to(images)[labels].unsqueeze(-1) - 1).flatten(-2)


@game("tinted-digits")
@dataclass(frozen=True)
class TintedDigits(StoredDigits):
    """A GAN of two MLPs on scikit-learn's digits in colour, the hue decided by the class.

    No class is told: a generator has to find that colour and shape belong together. ``colour_law`` is the share of its
    samples in the tint of the class that the classifier sees; the score is the Frechet distance of the shapes alone.

    Source: Alpaydin and Kaynak 1998 for the digits; tinted as in coloured MNIST (Arjovsky et al. 2019,
    arXiv:1907.02893).
    """

    batch_size: int = 32
    width: int = 64
    depth: int = 2

    planes = 3
    classes = CLASSES
    kinds = CLASSES
    classifier = "digits"
    shape = (SIDE, SIDE)
    blur = 0.2
    judged = 1000
    budget = 4000.0
    score = "frechet"
    tie_break = "colour_law"
    learned = 100.0  # half of the classes are 30, one is 250
    tried = "width=16,batch_size=16"
    stack = 40
    tells = False

    @cached_property
    def generator(self) -> MLP:
        return MLP((self.latent + self.told, *[self.width] * self.depth, 3 * SIDE**2), "relu", output="tanh")

    @cached_property
    def discriminator(self) -> MLP:
        return MLP((3 * SIDE**2 + self.told, *[self.width] * self.depth, 1), "leaky-relu", spectral=self.spectral)

    @cached_property
    def images(self) -> Tensor:
        """All digits in colour, [1797, 192]."""
        return tinted(*digits())

    def perfect(self, seeds: Tensor, count: int) -> Tensor:
        """Real images, [R, count, 192]."""
        return self.partial(seeds, count, CLASSES)

    def partial(self, seeds: Tensor, count: int, kinds: int) -> Tensor:
        allowed = (digits()[1] < kinds).nonzero()[:, 0]
        return self.images[allowed[integers(seeds, "perfect", 0, (count,), len(allowed))]]

    def compared_parts(self, samples: dict[str, Tensor]) -> list[Part]:
        """Their shapes: the strongest of the three colours, as all tints have one that is whole."""
        made = samples[MADE]
        return [Part(made.reshape(*made.shape[:2], 3, -1).amax(2), "digits")]

    def tint_of(self, samples: Tensor) -> Tensor:
        """The class whose tint is nearest to a sample's ink, int64 [R, count]."""
        ink = ((samples + 1) / 2).reshape(*samples.shape[:2], 3, -1).clamp(min=0).sum(3)
        strength = ink.amax(2, keepdim=True).clamp(min=1e-6)
        return torch.cdist(ink / strength, TINTS.to(samples).expand(len(samples), -1, -1)).argmin(2)
