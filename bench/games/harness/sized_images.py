"""GANs on pictures with classes at two sizes: 8x8 without a file, 28x28 with a folder of data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.games.harness.gan import in_batches
from bench.games.harness.images import Classified
from bench.games.harness.picture_sets import SETS, OnPictures
from bench.games.harness.settings import check_names
from bench.numerics.randomness import integers


@dataclass(frozen=True)
class SizedImages(OnPictures, Classified):
    """A GAN on digits: ``size`` small is 8x8 without a file, mnist 28x28 with a folder of data."""

    batch_size: int = 32
    size: str = "small"

    classes = 10
    judged = 1000
    score = "frechet"

    def __post_init__(self) -> None:
        check_names(self, size=SETS)
        super().__post_init__()

    @property
    def classifier(self) -> str:
        return self.pictures.classifier

    @property
    def learned(self) -> float | None:  # type: ignore[override]
        """Half of the classes are 30 off at 8x8, 163 at 28x28."""
        return 40.0 if self.size == "small" else 200.0

    def labelled(self) -> tuple[Tensor, Tensor]:
        return self.pictures.every()

    def held_out(self, count: int) -> Tensor:
        return self.pictures.held_out()[0][:count]

    def _which(self, seeds: Tensor, draw: int) -> Tensor:
        return integers(seeds, "real", draw, (self.drawn,), len(self.labelled()[0]))

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        """[R, 1, side, side, batch]."""
        images = self.labelled()[0][self._which(seeds, draw)].transpose(1, 2).contiguous()
        return self.pictures.pixels(images).view(len(seeds), 1, *self.shape, -1)

    def labels(self, seeds: Tensor, draw: int) -> Tensor:
        return self.labelled()[1][self._which(seeds, draw)]

    def partial(self, seeds: Tensor, count: int, kinds: int) -> Tensor:
        """Real images of the first kinds; of the class that is told, where that is one of them."""
        if not self.conditional:
            return super().partial(seeds, count, kinds)
        images, classes = self.labelled()
        numbers = integers(seeds, "perfect", 0, (count,), 2**24)
        told = self.told_classes(count) % kinds
        drawn = torch.zeros_like(numbers)
        for kind in range(kinds):
            own = (classes == kind).nonzero()[:, 0]
            drawn = torch.where(told == kind, own[numbers % len(own)], drawn)
        return self.pictures.pixels(images[drawn])

    def generate(self, w: Tensor, seeds: Tensor, count: int) -> Tensor:
        """Samples [R, count, pixels], a training batch at a time, for a batch norm sees as many as there."""
        latents, generator = self.judged_latents(seeds, count).to(w.device), w[:, : self.sizes[0]]
        return in_batches(lambda _, part: self.generated(generator, part), latents, self.batch_size)

    def generated(self, generator: Tensor, latents: Tensor) -> Tensor:
        """Images of latents [R, latent + told, batch] by the generator's parameters."""
        return self.generator(generator, latents)
