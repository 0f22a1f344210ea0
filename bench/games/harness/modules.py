"""A user's own GAN as a game: torch modules for networks, samples judged against real ones that training never sees.

`bench.gan_game` (`bench.games.harness.gan_game`) makes it. What it is judged by depends on its data:

    points    sliced Wasserstein distance
    a table   the same, each column over its standard deviation
    images    Frechet distance on the pixels' principal components and what lies outside of them

Data have kinds even where nobody labelled them: EIGHTHS of the samples along their first principal component. So it can
be said what a generator scores that has learned half of them, and the game's score is held to that order as every
other's is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256
from typing import ClassVar

import torch
from torch import Tensor

from bench.contracts import Batch, Collapse
from bench.games.data.given import GivenData
from bench.games.harness.gan import GAN, OWN, SAMPLES
from bench.games.harness.images import Images
from bench.games.harness.losses import LOSSES, Loss
from bench.games.networks.given_modules import NAME, fresh
from bench.games.networks.networks import Network
from bench.games.networks.stacking import Stacked
from bench.numerics.distances import Gaussian, debiased_frechet, gaussian, sliced_wasserstein
from bench.numerics.randomness import integers, whole_numbers

FEW = 4  # classes at least: of fewer, half and one are too much alike
EIGHTHS = 8  # kinds of data without labels
POOL = 2000  # samples that known generators are made of where data are drawn by a function
COVERED = 500  # real samples that coverage looks at
NEIGHBOURS = 5  # the nearest neighbour that a real sample's reach goes to, in coverage
JUDGES = 8  # seeds of the known generators between which lies what has learned
BLUR = 0.3  # of a coordinate's standard deviation: noise that damages samples a little
CALLS = ("fake", "real", "judged fake", "penalty")  # of networks in a loss: each draws random numbers of its own


@dataclass(frozen=True, eq=False, kw_only=True)
class ModuleGAN(GAN):
    """A GAN between two torch modules; made by ``gan_game``. Two of them are equal where they are one.

    Args:
        networks: generator and discriminator.
        given: the data.
        functions: the loss.
        budget, score, pac: as every game's.
        notices: what its user should know of it.
    """

    name: ClassVar[str] = NAME
    networks: tuple[Stacked, Stacked]
    given: GivenData
    functions: Loss = LOSSES["non-saturating"]
    budget: float = 1000.0
    score: str = "sliced_wasserstein"
    pac: int = 1
    notices: tuple[str, ...] = ()

    own_score: ClassVar[str] = "sliced_wasserstein"
    """The metric that `distance` is."""
    loss_names = frozenset({*LOSSES, "MSELoss", "given"})

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    @property
    def classes(self) -> int:  # type: ignore[override]
        """Classes that the networks are told."""
        return max(network.classes for network in self.networks)

    @property
    def generator(self) -> Network:
        return self.networks[0]

    @property
    def discriminator(self) -> Network:
        return self.networks[1]

    @property
    def _loss(self) -> Loss:
        return self.functions

    # --- training ----------------------------------------------------------------------------------------------------

    @property
    def _random(self) -> bool:
        return any(network.given.draws for network in self.networks)

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        return self.given.draw(seeds, "real", draw, self.drawn)[0].movedim(1, -1)

    def labels(self, seeds: Tensor, draw: int) -> Tensor:
        labels = self.given.draw(seeds, "real", draw, self.drawn)[1]
        assert labels is not None
        return labels

    def batch(self, seeds: Tensor, draw: int) -> Batch:
        batch = super().batch(seeds, draw)
        if not self._random:
            return batch
        return {**batch, **{f"{call} numbers": torch.tensor(whole_numbers(seeds, call, draw)) for call in CALLS}}

    def played(self, player: int, players: tuple[Tensor, ...], x: Tensor, batch: Batch, call: str) -> Tensor:
        network = self.networks[player]
        numbers = batch[f"{call} numbers"].tolist() if network.given.draws else ()
        return network(players[player], x, numbers)

    @property
    def _played_here(self) -> bool:
        """Also by this class's way to play, which only hands on what random layers need."""
        own = type(self).played is ModuleGAN.played and not self._random
        return own and all(getattr(type(self), name) is getattr(GAN, name) for name in OWN if name != "played")

    # --- judging -----------------------------------------------------------------------------------------------------

    def generate(self, w: Tensor, seeds: Tensor, count: int) -> Tensor:
        """Samples [R, count, features], drawn a training batch at a time.

        So memory stays at that of training, and a batch normalisation sees as many samples as it does there.
        """
        latents = self.judged_latents(seeds, count).to(w.device)
        network, own = self.networks[0], w[:, : self.sizes[0]]
        drawn = []
        for part, chunk in enumerate(torch.split(latents, self.batch_size, 2)):
            numbers: Sequence[int] = whole_numbers(seeds, SAMPLES, part) if network.given.draws else ()
            drawn.append(network(own, chunk, numbers).flatten(1, -2))
        return torch.cat(drawn, 2).transpose(1, 2)

    def held_out(self, count: int) -> Tensor:
        """Real samples that training never sees, flat: [count at most, features]."""
        return self.given.held_out[:count].flatten(1)

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
        return len(self.given.held_out) > NEIGHBOURS

    @cached_property
    def collapse(self) -> Collapse | None:  # type: ignore[override]
        """Fewer than a quarter of the real samples have a generated one nearer than their fifth neighbour."""
        return Collapse("data_coverage", below=0.25) if self.covered else None

    # --- known generators --------------------------------------------------------------------------------------------

    @cached_property
    def _pool(self) -> tuple[Tensor, Tensor]:
        """Real samples, flat [N, features], and the kind of each, int64 [N]."""
        samples, labels = self.given.samples, self.given.labels
        if samples is None:
            drawn, drawn_labels = self.given.draw(torch.tensor([0]), "pool", 0, POOL)
            samples, labels = drawn[0], None if drawn_labels is None else drawn_labels[0]
        flat = samples.flatten(1)
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
        return int(self._pool[1].max()) + 1

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
        if self.score != self.own_score:
            return None
        seeds = torch.arange(JUDGES)
        half, one = (self.distance(self.partial(seeds, self.judged, k)).max() for k in (self.kinds // 2, 1))
        start = self.distance(self.generate(self.init(seeds), seeds, self.judged)).min()
        apart = float(half), min(float(one), float(start))
        return float(f"{(apart[0] * apart[1]) ** 0.5:.4g}") if 0 < apart[0] < apart[1] else None

    @cached_property
    def digest(self) -> str:
        """A hash of the game without the code of its modules: options, data, values that are not reset."""
        told = sha256()
        for item in fields(self):
            if item.name not in ("networks", "given", "functions", "notices"):
                told.update(f"{item.name}={getattr(self, item.name)};".encode())
        for network in self.networks:
            told.update(f"{network.given.module}{sorted(network.given.normalised.items())}".encode())
            first, other = (fresh(network.given.make, number) for number in (1, 2))
            pairs = zip(first.parameters(), other.parameters(), strict=True)
            for kept in [a for a, b in pairs if torch.equal(a, b)] + list(network.given.module.buffers()):
                told.update(kept.detach().cpu().float().contiguous().numpy().tobytes())
        told.update(self.given.digest.encode())
        return told.hexdigest()[:16]


@dataclass(frozen=True, eq=False, kw_only=True)
class TableGAN(ModuleGAN):
    """A user's GAN on rows of a table."""

    @cached_property
    def _spread(self) -> Tensor:
        deviations = self._table.std(dim=0)
        return torch.where(deviations > 0, deviations, 1.0)

    @property
    def _table(self) -> Tensor:
        samples = self.given.samples
        return self.given.held_out if samples is None else samples

    @property
    def units(self) -> Tensor | None:
        """The standard deviation of each column; 1 for a column that holds one value."""
        return self._spread

    def represented(self, samples: Tensor) -> Tensor:
        return samples / self._spread


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageGAN(ModuleGAN, Images):
    """A user's GAN on images."""

    score: str = "fd_pixels"
    own_score: ClassVar[str] = "fd_pixels"
    classifier = ""
    stack = 8  # convolutions store their patches

    @property
    def planes(self) -> int:  # type: ignore[override]
        return self.given.held_out.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        _, _, height, width = self.given.held_out.shape
        return height, width

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
        return self.held_out(len(self.given.held_out)).double().mean(dim=0)

    @cached_property
    def _reference(self) -> Gaussian:
        return gaussian(self.represented(self.held_out(len(self.given.held_out))))

    def distance(self, samples: Tensor) -> Tensor:
        return debiased_frechet(self.represented(samples), self._reference)

    @cached_property
    def digest(self) -> str:
        return super().digest + (self.extractor.digest if self.features != "shipped" else "")


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
