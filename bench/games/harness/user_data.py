"""Games on a user's data: judged by samples against real ones that training never sees.

    points    sliced Wasserstein distance
    a table   the same, each column over its standard deviation
    images    Frechet distance on the pixels' principal components and what lies outside of them

Data have kinds even where nobody labelled them: EIGHTHS of the samples along their first principal component. So it can
be said what a generator scores that has learned half of them, and the game's score is held to that order as every
other's is. Half of the data is what a replica has learned; coverage (Naeem et al. 2020, arXiv:2002.09797) says whether
it has collapsed.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from bench.contracts import Collapse
from bench.games.harness.gan import GAN
from bench.games.harness.images import Images
from bench.numerics.distances import Gaussian, debiased_frechet, gaussian, sliced_wasserstein
from bench.numerics.randomness import integers

FEW = 4  # classes at least: of fewer, half and one are too much alike
EIGHTHS = 8  # kinds of data without labels
POOL = 2000  # samples that known generators are made of where not all data are at hand
COVERED = 500  # real samples that coverage looks at
NEIGHBOURS = 5  # the nearest neighbour that a real sample's reach goes to, in coverage
TELLING = 6 * NEIGHBOURS  # real samples at least for coverage to tell collapse
JUDGES = 8  # seeds of the known generators between which lies what has learned
BLUR = 0.3  # of a coordinate's standard deviation: noise that damages samples a little


@dataclass(frozen=True)
class UserData(GAN):
    """A GAN on a user's data; as it stands, on points."""

    own_score: ClassVar[str] = "sliced_wasserstein"
    """The metric that `distance` is."""

    @abstractmethod
    def held_out(self, count: int) -> Tensor:
        """Real samples that training never sees, flat: [count at most, features]."""

    @abstractmethod
    def training_samples(self) -> tuple[Tensor, Tensor | None]:
        """Real samples that train, flat [N, features], and their classes int64 [N] where they have some."""

    @property
    def units(self) -> Tensor | None:
        """The length of a coordinate, [features]; None where all are of one length."""
        return None

    def represented(self, samples: Tensor) -> Tensor:
        """Samples [..., features] in the coordinates in which their distances mean something."""
        return samples

    def distance(self, samples: Tensor) -> Tensor:
        """How far samples [R, N, features] are from real ones, [R]: the score."""
        real, units = self.held_out(self.judged), self.units
        return wasserstein(samples, real, units)

    @property
    def covered(self) -> bool:
        """Whether there are real samples enough to say what coverage is."""
        return not self.missing and len(self.held_out(NEIGHBOURS + 1)) > NEIGHBOURS

    @cached_property
    def collapse(self) -> Collapse | None:  # type: ignore[override]
        """Fewer than a quarter of the real samples have a generated one nearer than their fifth neighbour.

        One and the same sample covers five of the real ones on average: of fewer than TELLING, too large a part.
        """
        tells = self.covered and len(self.held_out(TELLING)) == TELLING
        return Collapse("data_coverage", below=0.25) if tells else None

    # --- known generators --------------------------------------------------------------------------------------------

    @cached_property
    def _pool(self) -> tuple[Tensor, Tensor]:
        """Real samples, flat [N, features], and the kind of each, int64 [N]; none where the data are missing."""
        if self.missing:
            return torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64)
        flat, labels = self.training_samples()
        if labels is not None:
            classes, kinds = torch.unique(labels, return_inverse=True)
            if len(classes) >= FEW:
                return flat, kinds
        along = _first_component(self.represented(flat[:POOL]), self.represented(flat))
        order = along.argsort()
        kinds = torch.empty(len(flat), dtype=torch.int64)
        kinds[order] = torch.arange(len(flat)) * EIGHTHS // len(flat)
        return flat, kinds

    @property
    def kinds(self) -> int:
        return int(self._pool[1].max()) + 1 if len(self._pool[1]) else 0

    @cached_property
    def blur(self) -> Tensor:
        """A share of each coordinate's standard deviation, so that columns of any unit are damaged alike."""
        return BLUR * self._pool[0].std(dim=0)

    def perfect(self, seeds: Tensor, count: int) -> Tensor:
        """Real samples that training sees, [R, count, features]."""
        return self.partial(seeds, count, self.kinds)

    def partial(self, seeds: Tensor, count: int, kinds: int) -> Tensor:
        flat, kind = self._pool
        allowed = (kind < kinds).nonzero()[:, 0]
        return flat[allowed[integers(seeds, "perfect", 0, (count,), len(allowed), 1)]]

    @cached_property
    def learned(self) -> float | None:  # type: ignore[override]
        """Between the scores of half of the data and of one kind or untrained networks; None if half is no better."""
        if self.score != self.own_score or self.missing:
            return None
        seeds = torch.arange(JUDGES)
        half, one = (self.distance(self.partial(seeds, self.judged, k)).max() for k in (self.kinds // 2, 1))
        start = self.distance(self.generate(self.init(seeds), seeds, self.judged)).min()
        apart = float(half), min(float(one), float(start))
        return float(f"{(apart[0] * apart[1]) ** 0.5:.4g}") if 0 < apart[0] < apart[1] else None


@dataclass(frozen=True)
class UserImages(UserData, Images):
    """A GAN on a user's images."""

    own_score: ClassVar[str] = "fd_pixels"

    def represented(self, samples: Tensor) -> Tensor:
        """Coordinates along the principal directions of real images, and the length of what lies outside of them.

        Without the last, noise that no real image has would not be seen.
        """
        centred = samples.double() - self._centre.to(samples.device)
        along = centred @ self.principal[0].to(samples.device)
        outside = (centred.square().sum(-1, keepdim=True) - along.square().sum(-1, keepdim=True)).clamp(min=0).sqrt()
        return torch.cat([along, outside], -1)

    @cached_property
    def _centre(self) -> Tensor:
        return self.held_out(sys.maxsize).double().mean(dim=0)

    @cached_property
    def _reference(self) -> Gaussian:
        return gaussian(self.represented(self.held_out(sys.maxsize)))

    def distance(self, samples: Tensor) -> Tensor:
        return debiased_frechet(self.represented(samples), self._reference)


def wasserstein(samples: Tensor, real: Tensor, units: Tensor | None) -> Tensor:
    """Sliced Wasserstein-2 distance [R] of samples [R, N, features] to real ones [M, features], in these units."""
    projections = 16 if real.shape[1] == 2 else 64
    if units is None:
        return sliced_wasserstein(samples, real.to(samples), projections)
    return sliced_wasserstein(samples / units.to(samples), (real / units).to(samples), projections)


def _first_component(samples: Tensor, others: Tensor) -> Tensor:
    """How far others [M, d] lie along the first principal component of samples [N, d], [M]."""
    centred = samples.double() - samples.double().mean(dim=0)
    direction = torch.linalg.svd(centred, full_matrices=False)[2][0]
    along: Tensor = others.double() @ (direction * direction[direction.abs().argmax()].sign())
    return along
