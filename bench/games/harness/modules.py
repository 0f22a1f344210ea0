"""A user's own GAN as a game: torch modules for networks, samples judged against real ones that training never sees.

`bench.gan_game` (`bench.games.harness.gan_game`) makes it. What it is judged by depends on its data:

    points    sliced Wasserstein distance
    a table   the same, each column over its standard deviation
    images    Frechet distance on the pixels' principal components and what lies outside of them

`bench.games.harness.user_data` says how, and what such a game has learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256
from typing import ClassVar

import torch
from torch import Tensor

from bench.contracts import Batch
from bench.games.data.given import GivenData
from bench.games.harness.gan import GAN, OWN, SAMPLES, in_batches
from bench.games.harness.losses import LOSSES, Loss
from bench.games.harness.user_data import POOL, UserData, UserImages
from bench.games.networks.given_modules import NAME, fresh
from bench.games.networks.networks import Network
from bench.games.networks.stacking import Stacked
from bench.numerics.randomness import whole_numbers

CALLS = ("fake", "real", "judged fake", "penalty")  # of networks in a loss: each draws random numbers of its own


@dataclass(frozen=True, eq=False, kw_only=True)
class ModuleGAN(UserData):
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
        network, parameters = self.networks[0], w[:, : self.sizes[0]]

        def drawn(part: int, latents: Tensor) -> Tensor:
            numbers: Sequence[int] = whole_numbers(seeds, SAMPLES, part) if network.given.draws else ()
            return network(parameters, latents, numbers)

        return in_batches(drawn, self.judged_latents(seeds, count).to(w.device), self.batch_size)

    def held_out(self, count: int) -> Tensor:
        """Real samples that training never sees, flat: [count at most, features]."""
        return self.given.held_out[:count].flatten(1)

    def training_samples(self) -> tuple[Tensor, Tensor | None]:
        samples, labels = self.given.samples, self.given.labels
        if samples is None:
            drawn, drawn_labels = self.given.draw(torch.tensor([0]), "pool", 0, POOL)
            samples, labels = drawn[0], None if drawn_labels is None else drawn_labels[0]
        return samples.flatten(1), labels

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
class ImageGAN(ModuleGAN, UserImages):
    """A user's GAN on images."""

    score: str = "fd_pixels"
    classifier = ""
    stack = 8  # convolutions store their patches

    @property
    def planes(self) -> int:  # type: ignore[override]
        return self.given.held_out.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        _, _, height, width = self.given.held_out.shape
        return height, width

    @cached_property
    def digest(self) -> str:
        return super().digest + (self.extractor.digest if self.features != "shipped" else "")
