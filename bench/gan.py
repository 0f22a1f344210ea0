"""The GAN harness: a generator and a discriminator for each replica, a loss by name, a source of real data.

Goodfellow et al. 2014 (arXiv:1406.2661). Player 0 is the generator, player 1 the discriminator. A game here says only
which networks play and where the real data come from.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from bench.contracts import Batch, Game
from bench.losses import LOSSES
from bench.networks import MLP
from bench.randomness import BLOCK, GRAIN, integers, normal
from bench.spelling import SpecError, nearest

SAMPLES = "samples"  # the stream that judged samples come from: training never sees it


@dataclass(frozen=True)
class GAN(Game):
    """A two-player game between networks; subclasses give the networks and the real data."""

    loss: str = "non-saturating"
    batch_size: int = 64
    latent: int = 16

    judged = 1000
    """Samples that metrics look at."""

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise SpecError(f"{self.name}: loss is {self.loss!r}; {nearest(self.loss, LOSSES)}")
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, int) and not isinstance(value, bool) and value < 1:
                raise SpecError(f"{self.name}: {item.name} is {value}; a positive number is allowed")
        if self.batch_size % GRAIN:  # vector kernels would have tails, and a replica's bits depend on its neighbours
            raise SpecError(f"{self.name}: batch_size is {self.batch_size}; a multiple of {GRAIN} is allowed")

    @property
    @abstractmethod
    def generator(self) -> MLP: ...

    @property
    @abstractmethod
    def discriminator(self) -> MLP: ...

    @abstractmethod
    def real(self, seeds: Tensor, draw: int) -> Tensor:
        """A minibatch of real data, features first: [R, features, batch]."""

    @cached_property
    def sizes(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.generator.size, self.discriminator.size

    def init(self, seeds: Tensor) -> Tensor:
        return torch.cat([self.generator.init(seeds, "generator"), self.discriminator.init(seeds, "discriminator")], 1)

    def batch(self, seeds: Tensor, draw: int) -> Batch:
        return {
            "real": self.real(seeds, draw),
            "latent": normal(seeds, "latent", draw, (self.latent, self.batch_size)),
        }

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        assert batch is not None
        fake = self.generator(players[0], batch["latent"])
        # Two calls rather than one on both halves: the generator's backward then runs through the fake half alone.
        real_logits = self.discriminator(players[1], batch["real"]).squeeze(1)
        fake_logits = self.discriminator(players[1], fake).squeeze(1)
        return LOSSES[self.loss](real_logits, fake_logits)

    def generate(self, w: Tensor, seeds: Tensor, count: int) -> Tensor:
        """Samples [R, count, features]; the same latents at every call, so that curves through training are smooth."""
        latents = normal(seeds, SAMPLES, 0, (self.latent, count), block=1).to(w.device)
        return self.generator(w[:, : self.sizes[0]], latents).transpose(1, 2)


@dataclass(frozen=True)
class Mixture(GAN):
    """A GAN on a mixture of equal Gaussians in the plane (VEEGAN, Srivastava et al. 2017, arXiv:1705.07761)."""

    judged = 2500

    @property
    @abstractmethod
    def modes(self) -> Tensor:
        """Centres of the mixture, [K, 2]."""

    @property
    @abstractmethod
    def sd(self) -> float:
        """Standard deviation of every mode."""

    def data(self, seeds: Tensor, stream: str, draw: int, count: int, block: int) -> Tensor:
        """Samples of the mixture, [R, 2, count]."""
        which = integers(seeds, f"{stream} mode", draw, (count,), len(self.modes), block)
        noise = normal(seeds, f"{stream} noise", draw, (2, count), block=block)
        return self.modes[which].transpose(1, 2) + self.sd * noise

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        return self.data(seeds, "real", draw, self.batch_size, BLOCK)


@dataclass(frozen=True)
class Images(GAN):
    """A GAN on images, judged on the features of a small shipped classifier."""

    @property
    @abstractmethod
    def classifier(self) -> str:
        """Name of the shipped classifier whose features judge the samples."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Height and width of an image."""
