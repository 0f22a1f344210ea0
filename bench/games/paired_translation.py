"""pix2pix: translation learned from pairs (Isola, Zhu, Zhou and Efros 2017, arXiv:1611.07004)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.contracts import Batch, later
from bench.contracts.game import FROM, MADE, TRUE
from bench.games.data.classifiers import load
from bench.games.harness.compared import Part
from bench.games.harness.losses import LOSSES, PLAIN
from bench.games.harness.picture_sets import to_grid, to_rows
from bench.games.harness.settings import check_names, check_ranges
from bench.games.harness.several import PictureGame, confined
from bench.games.networks.blocks import AvgPool, Upsample, around
from bench.games.networks.layers import Activation, Conv2d
from bench.games.networks.networks import Network
from bench.numerics.distances import debiased_frechet
from bench.numerics.randomness import normal, uniform
from bench.registry import game


@game("paired-translation")
@dataclass(frozen=True)
class PairedTranslation(PictureGame):
    """pix2pix from coarse digits, whose blocks of pixels are their means, to fine ones, with pairs.

    Player 0 descends the adversarial loss and ``l1`` times the mean absolute difference to the truth; dropout of share
    ``drop`` is its only noise, in judging too. Player 1 sees the coarse picture beside the fine one and judges it by
    patches; its loss is halved, as published. The published ``l1`` of 100 hides the game: what it gives cannot be told
    from the difference alone. The default is 10; ``l1=100`` is the published game. ``skip`` puts residual connections
    around the convolutions within both networks (He et al. 2016, arXiv:1512.03385); pix2pix's own go from the encoder
    to the decoder, which there is none of at this size.

    The score is the Frechet distance of held-out translations, with ``translation_l1`` beside it.

    Source: Isola et al. 2017, arXiv:1611.07004. Published with adam[lr=0.0002,beta1=0.5] and a batch of one.
    """

    loss: str = "non-saturating"
    channels: int = 8
    l1: float = 10.0
    drop: float = 0.5
    skip: bool = later(False)

    budget = 500.0
    score = "frechet"
    tie_break = "translation_l1"
    tried = "channels=4"
    stack = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names(self, loss=PLAIN)
        check_ranges(self, 0, float("inf"), "l1")
        check_ranges(self, 0, 0.99, "drop")

    @property
    def learned(self) -> float:  # type: ignore[override]
        """Half of the classes are 30 off at 8x8, 163 at 28x28."""
        return 50.0 if self.size == "small" else 200.0

    @property
    def block(self) -> int:
        """Pixels along a side that a coarse picture makes one."""
        return 2 if self.size == "small" else 4

    @cached_property
    def networks(self) -> tuple[tuple[Network, ...], ...]:
        """The generator before and after its dropout; the discriminator."""
        c, leaky = self.channels, Activation("leaky-relu")
        skip = self.skip
        first = Network((Conv2d(1, c, 3, 1, 1), *around(leaky, Conv2d(c, c, 3, 1, 1), skip=skip), leaky))
        last = Network((*around(Conv2d(c, c, 3, 1, 1), leaky, skip=skip), Conv2d(c, 1, 3, 1, 1), Activation("tanh")))
        within = around(leaky, Conv2d(c, 2 * c, 3, 1, 1), skip=skip)
        judge = Network((Conv2d(2, c, 4, 2, 1), *within, leaky, Conv2d(2 * c, 1, 3, 1, 1)))
        return (first, last), (judge,)

    def coarse(self, h: Tensor) -> Tensor:
        """Pictures [R, 1, side, side, batch] with every block of pixels its mean."""
        return Upsample(self.block)([], AvgPool(self.block)([], h))

    def _kept(self, seeds: Tensor, stream: str, draw: int, count: int, block: int) -> Tensor:
        """What dropout leaves of the activations, scaled: [R, channels, side, side, count]."""
        drawn = uniform(seeds, stream, draw, (self.channels, *self.shape, count), block=block)
        return (drawn >= self.drop).float() / (1 - self.drop)

    def batch(self, seeds: Tensor, draw: int) -> Batch:
        real = self.drawn(seeds, "real", draw, self.pictures.training()[0])
        return {"real": real, "coarse": self.coarse(real), "keep": self._kept(seeds, "keep", draw, self.batch_size, 8)}

    def made(self, player: Tensor, coarse: Tensor, keep: Tensor) -> Tensor:
        """Fine pictures [R, 1, side, side, batch] of coarse ones."""
        (first, last), (w_first, w_last) = self.networks[0], self.split(0, player)
        return last(w_last, first(w_first, coarse) * keep)

    def _logits(self, player: Tensor, batch: Batch, fine: Tensor) -> Tensor:
        """Of every patch, [R, patches * batch]."""
        return self.networks[1][0](player, torch.cat([batch["coarse"], fine], 1)).flatten(1)

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        return self.own_loss(0, players, batch), self.own_loss(1, players, batch)

    def own_loss(self, player: int, players: tuple[Tensor, ...], batch: Batch | None) -> Tensor:
        assert batch is not None
        loss = LOSSES[self.loss]
        fake = self.made(players[0], batch["coarse"], batch["keep"])
        logits = self._logits(players[1], batch, fake)
        if player == 1:
            return loss.discriminator(self._logits(players[1], batch, batch["real"]), logits) / 2
        real = self._logits(players[1], batch, batch["real"]) if loss.relative else logits
        return loss.generator(real, logits) + self.l1 * (fake - batch["real"]).abs().flatten(1).mean(1)

    def generate(self, w: Tensor, seeds: Tensor, count: int) -> Tensor:
        """Held-out pictures made fine, [R, count, pixels]."""
        return self.named_samples(w, seeds, count)[MADE]

    def named_samples(self, w: Tensor, seeds: Tensor, count: int) -> dict[str, Tensor]:
        images = self.held_out_pictures(count)[0].to(w).expand(len(w), -1, -1)
        coarse = self.coarse(to_grid(images, self.pictures.side).contiguous())
        keep = self._kept(seeds, "samples", 0, count, 1).to(w)
        return {FROM: to_rows(coarse), MADE: to_rows(self.made(w[:, : self.sizes[0]], coarse, keep)), TRUE: images}

    def known(self, seeds: Tensor, count: int, which: str) -> dict[str, Tensor]:
        """The truth; with noise; where its class is none of the first, another picture that is of one."""
        images, labels = self.held_out_pictures(count)
        true = images.expand(len(seeds), -1, -1)
        coarse = to_rows(self.coarse(to_grid(true, self.pictures.side).contiguous()))
        made = true
        if which == "noisy":
            made = true + self.blur * normal(seeds, "blur", 0, true.shape[1:], block=1)
        elif which != "perfect":
            made = true[:, confined(labels, self.pictures.classes // 2 if which == "half" else 1)]
        return {FROM: coarse, MADE: made, TRUE: true}

    def baselines(self) -> dict[str, float]:
        """What the coarse pictures have as they are."""
        classifier = load(self.pictures.classifier)
        coarse = self.known(torch.zeros(1, dtype=torch.int64), self.judged, "perfect")[FROM]
        return {"coarse pictures": float(debiased_frechet(classifier.embed(coarse)[0], classifier.reference))}

    def compared_parts(self, samples: dict[str, Tensor]) -> list[Part]:
        told = self.held_out_pictures(samples[MADE].shape[1])[1]
        return [Part(samples[MADE], self.pictures.classifier, told)]
