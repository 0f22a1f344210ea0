"""AC-GAN: a discriminator that also tells the class (Odena, Olah and Shlens 2017, arXiv:1610.09585)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.contracts import Batch
from bench.errors import UserError
from bench.games.harness.gan import DISCRIMINATOR
from bench.games.harness.settings import check_ranges
from bench.games.harness.sized_images import SizedImages
from bench.games.networks.networks import MLP
from bench.registry import game


@game("auxiliary-classifier")
@dataclass(frozen=True)
class AuxiliaryClassifier(SizedImages):
    """AC-GAN: the generator is told a class, the discriminator is not, and tells it beside real or generated.

    Both players descend ``class_weight`` times the cross-entropy of the told class, on generated images the generator,
    on real and on generated ones the discriminator. Two MLPs, as in ``digits``.

    The score is the share of samples of the class that was told, with the Frechet distance for ties: a distance alone
    cannot see whether the class is obeyed. In ``digits[conditional=true]`` after half of its training 0.19 of the
    samples obey, where it already reads 99 instead of 344.

    Source: Odena et al. 2017, arXiv:1610.09585, eq. 2 and 3. Published with adam[lr=0.0002,beta1=0.5], batches of 100.
    """

    conditional: bool = True
    class_weight: float = 1.0
    width: int = 64
    depth: int = 2

    budget = 1500.0
    score = "told_class"
    tie_break = "frechet"
    learned = 0.4  # half of the classes, each for itself and one other, are obeyed by 0.5
    tried = "width=16,batch_size=16"
    stack = 40

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, 0, float("inf"), "class_weight")
        if not self.conditional:
            raise UserError(f"{self.name}: conditional is false; true is allowed: the class is what it is about")

    @property
    def pixels(self) -> int:
        """Of an image."""
        return self.pictures.side**2

    @cached_property
    def generator(self) -> MLP:
        return MLP((self.latent + self.told, *[self.width] * self.depth, self.pixels), "relu", output="tanh")

    @cached_property
    def discriminator(self) -> MLP:
        return MLP((self.pixels, *[self.width] * self.depth, 1 + self.classes), "leaky-relu", spectral=self.spectral)

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        return super().real(seeds, draw).flatten(1, -2)

    def _outputs(self, players: tuple[Tensor, ...], batch: Batch, samples: Tensor, call: str) -> tuple[Tensor, Tensor]:
        """The logit of being real [R, batch], and the mean cross-entropy of the told class [R]."""
        out = self.played(DISCRIMINATOR, players, samples, batch, call)
        logits = out[:, 1:]
        return out[:, 0], (logits.logsumexp(1) - (logits * batch["class"]).sum(1)).mean(1)

    def _logits(self, players: tuple[Tensor, ...], batch: Batch, samples: Tensor, call: str) -> Tensor:
        return self._outputs(players, batch, samples, call)[0]

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        return self.own_loss(0, players, batch), self.own_loss(1, players, batch)

    def own_loss(self, player: int, players: tuple[Tensor, ...], batch: Batch | None) -> Tensor:
        assert batch is not None
        samples = self._fake(players, batch)
        fake, fake_class = self._outputs(players, batch, samples, "judged fake")
        if player != DISCRIMINATOR and not self._loss.relative:
            return self._loss.generator(fake, fake) + self.class_weight * fake_class
        real, real_class = self._outputs(players, batch, self._noisy(batch["real"], "real", batch), "real")
        if player != DISCRIMINATOR:
            return self._loss.generator(real, fake) + self.class_weight * fake_class
        told = self.class_weight * (real_class + fake_class)
        return self._loss.discriminator(real, fake) + told + self._penalty(players, batch, samples)

    def sample_shape(self) -> tuple[int, ...]:
        return (1, *self.shape)

    def torch_modules(self, w: Tensor) -> tuple[torch.nn.Module, ...]:
        """The generator with images for its output; the discriminator gives its logit and the classes'."""
        border = self.sizes[0]
        generator = self.generator.module(w[:border], (self.latent + self.told,))
        images = torch.nn.Sequential(generator, torch.nn.Unflatten(1, self.sample_shape()))
        return images, torch.nn.Sequential(torch.nn.Flatten(), self.discriminator.module(w[border:], (self.pixels,)))
