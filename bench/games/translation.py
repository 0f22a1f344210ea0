"""CycleGAN: two domains translated into each other without pairs (Zhu et al. 2017, arXiv:1703.10593)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from bench.contracts import Batch, later
from bench.contracts.game import FROM, MADE, TRUE
from bench.games.harness.compared import Part
from bench.games.harness.losses import LOSSES, PLAIN
from bench.games.harness.picture_sets import to_grid, to_rows
from bench.games.harness.settings import check_names, check_ranges
from bench.games.harness.several import PictureGame, confined
from bench.games.networks.blocks import InstanceNorm, around
from bench.games.networks.layers import Activation, Conv2d, Layer, Linear, Reshape
from bench.games.networks.networks import Network
from bench.numerics.randomness import normal
from bench.registry import game

Map = Callable[[Tensor], Tensor]
BACK_FROM, BACK = "back from", "back"


class Style(NamedTuple):
    """The hidden truth between the domains, on activations [..., side, side, batch]: A -> B, and B -> A."""

    there: Map
    back: Map


STYLES = {
    "negative": Style(torch.neg, torch.neg),
    "moved": Style(
        lambda x: 0.25 - 0.75 * x.roll(1, -2),
        lambda x: ((0.25 - x) / 0.75).roll(-1, -2),
    ),
}
"""Both are local, since networks of a few 3x3 kernels can learn no other map; ``moved`` is a negative of less contrast,
a pixel to the right."""


@game("translation")
@dataclass(frozen=True)
class Translation(PictureGame):
    """CycleGAN between digits and the same digits in another style, of which no pair is ever shown.

    Player 0 is G: A -> B and F: B -> A, player 1 the discriminators of B and of A. G and F descend the adversarial
    losses, least squares as published, and ``cycle`` (10) times |F(G(a)) - a| + |G(F(b)) - b|; ``identity`` (relative
    to ``cycle``, 0.5 there, for domains that look alike) weighs |G(b) - b| + |F(a) - a|. The two halves of the training
    pictures are A and B, so that no picture is in both. ``style`` is negative or moved; ``norm`` puts the published
    instance norm into the generators, ``skip`` residual connections around the convolutions within all networks, as the
    published generators have (He et al. 2016, arXiv:1512.03385).

    The score is the error to the partner that training never sees, on held-out pictures. A Frechet distance and the
    cycle cannot see that every digit became another one. The published pool of past translations is left out: a state
    outside w would make the field depend on the past, and extragradients and Jacobians would be those of another game.

    Source: Zhu et al. 2017, arXiv:1703.10593. Published with adam[lr=0.0002,beta1=0.5] and a batch of one.
    """

    loss: str = "lsgan"
    style: str = "negative"
    channels: int = 8
    cycle: float = 10.0
    identity: float = 0.0
    norm: bool = False
    skip: bool = later(False)

    budget = 250.0
    score = "translation_error"
    tie_break = "frechet"
    tried = "channels=4"
    stack = 8
    blur = 0.15
    learned = 0.35
    """A translator of half of the classes alone is about 0.23 off, of one 0.43, an untrained one 0.8."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names(self, loss=PLAIN, style=STYLES)
        check_ranges(self, 0, float("inf"), "cycle", "identity")

    @cached_property
    def networks(self) -> tuple[tuple[Network, ...], ...]:
        c, leaky = self.channels, Activation("leaky-relu")
        norm: list[Layer] = [InstanceNorm()] * self.norm
        generator = Network(
            (Conv2d(1, c, 3, 1, 1), *norm, *around(leaky, Conv2d(c, c, 3, 1, 1), *norm, skip=self.skip), leaky,
             Conv2d(c, 1, 3, 1, 1), Activation("tanh"))
        )  # fmt: skip
        layers: list[Layer] = [Conv2d(1, c, 4, 2, 1)]
        side = self.pictures.side // 2
        while side > 2 and side % 2 == 0:
            layers += around(leaky, Conv2d(c, 2 * c, 4, 2, 1), skip=self.skip)
            side, c = side // 2, 2 * c
        discriminator = Network((*layers, leaky, Reshape((c * side**2,)), Linear(c * side**2, 1)))
        return (generator, generator), (discriminator, discriminator)

    def batch(self, seeds: Tensor, draw: int) -> Batch:
        images, _ = self.pictures.training()
        half = len(images) // 2
        there = STYLES[self.style].there
        return {
            "a": self.drawn(seeds, "a", draw, images[:half]),
            "b": there(self.drawn(seeds, "b", draw, images[half:])),
        }

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        return self._generators(players, batch), self._discriminators(players, batch)

    def own_loss(self, player: int, players: tuple[Tensor, ...], batch: Batch | None) -> Tensor:
        return (self._generators, self._discriminators)[player](players, batch)

    def _generators(self, players: tuple[Tensor, ...], batch: Batch | None) -> Tensor:
        assert batch is not None
        a, b = batch["a"], batch["b"]
        fake_a, fake_b = self.translated(players[0], b, 1), self.translated(players[0], a, 0)
        cycle = _distance(self.translated(players[0], fake_b, 1), a)
        total = self.cycle * (cycle + _distance(self.translated(players[0], fake_a, 0), b))
        for real, fake, judge in ((b, fake_b, 0), (a, fake_a, 1)):
            total = total + LOSSES[self.loss].generator(*self._logits(players[1], real, fake, judge))
        if self.identity:
            same = _distance(self.translated(players[0], b, 0), b) + _distance(self.translated(players[0], a, 1), a)
            total = total + self.cycle * self.identity * same
        return total

    def _discriminators(self, players: tuple[Tensor, ...], batch: Batch | None) -> Tensor:
        assert batch is not None
        a, b = batch["a"], batch["b"]
        fakes = self.translated(players[0], a, 0), self.translated(players[0], b, 1)
        first, second = (
            LOSSES[self.loss].discriminator(*self._logits(players[1], real, fake, judge))
            for judge, (real, fake) in enumerate(zip((b, a), fakes, strict=True))
        )
        return first + second

    def _logits(self, player: Tensor, real: Tensor, fake: Tensor, judge: int) -> tuple[Tensor, Tensor]:
        """[R, batch] of real and translated pictures, by the discriminator of B (0) or of A (1)."""
        own, network = self.split(1, player)[judge], self.networks[1][judge]
        return network(own, real).squeeze(1), network(own, fake).squeeze(1)

    def translated(self, player: Tensor, h: Tensor, way: int) -> Tensor:
        """Pictures [R, 1, side, side, batch] by G (0) or F (1)."""
        return self.networks[0][way](self.split(0, player)[way], h)

    def domains(self, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Held-out pictures and their partners, as activations [R, 1, side, side, count]."""
        images = self.held_out_pictures(count)[0].to(like).expand(len(like), -1, -1)
        a = to_grid(images, self.pictures.side).contiguous()
        return a, STYLES[self.style].there(a)

    def generate(self, w: Tensor, seeds: Tensor, count: int) -> Tensor:
        """Held-out pictures of A in the style of B, [R, count, pixels]."""
        return self.named_samples(w, seeds, count)[MADE]

    def named_samples(self, w: Tensor, seeds: Tensor, count: int) -> dict[str, Tensor]:
        a, b = self.domains(count, w)
        generators = w[:, : self.sizes[0]]
        made = {FROM: a, MADE: self.translated(generators, a, 0), TRUE: b, BACK_FROM: b}
        return {name: to_rows(h) for name, h in (made | {BACK: self.translated(generators, b, 1)}).items()}

    def known(self, seeds: Tensor, count: int, which: str) -> dict[str, Tensor]:
        """The true partners; with noise; with the partner of another picture where the class is none of the first."""
        a, b = (to_rows(h) for h in self.domains(count, torch.zeros(len(seeds), 1)))
        made, back = b, a
        if which == "noisy":
            noise = normal(seeds, "blur", 0, (2, *a.shape[1:]), block=1)
            made, back = made + self.blur * noise[:, 0], back + self.blur * noise[:, 1]
        elif which != "perfect":
            places = confined(self.held_out_pictures(count)[1], self.pictures.classes // 2 if which == "half" else 1)
            made, back = made[:, places], back[:, places]
        return {FROM: a, MADE: made, TRUE: b, BACK_FROM: b, BACK: back}

    def compared_parts(self, samples: dict[str, Tensor]) -> list[Part]:
        """Both ways, as the digits that the classifier knows."""
        side, told = self.pictures.side, self.held_out_pictures(samples[MADE].shape[1])[1]
        upright = to_rows(STYLES[self.style].back(to_grid(samples[MADE], side)))
        return [Part(images, self.pictures.classifier, told) for images in (upright, samples[BACK])]


def _distance(h: Tensor, other: Tensor) -> Tensor:
    """Mean absolute difference, [R]."""
    return (h - other).abs().flatten(1).mean(1)
