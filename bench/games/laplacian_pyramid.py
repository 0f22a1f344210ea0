"""LAPGAN: a generator and a discriminator for each level of a pyramid (Denton et al. 2015, arXiv:1506.05751)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.contracts import Batch
from bench.contracts.game import MADE
from bench.games.harness.compared import Part
from bench.games.harness.losses import LOSSES, PLAIN
from bench.games.harness.settings import check_names
from bench.games.harness.several import PictureGame, confined
from bench.games.networks.blocks import AvgPool, Upsample
from bench.games.networks.networks import MLP, Network
from bench.numerics.randomness import integers, normal
from bench.registry import game

LEVELS = 2
"""Halvings of the side: as many differences, and the coarsest picture itself."""
up, down = Upsample(), AvgPool()


@game("laplacian-pyramid")
@dataclass(frozen=True)
class LaplacianPyramid(PictureGame):
    """LAPGAN on digits: the coarsest level is a plain GAN, each finer one a GAN on what a blurred picture lacks.

    Player 0 is a generator a level, player 1 a discriminator a level; all are MLPs. A finer generator sees the real
    picture's blurred form and a latent and makes the difference to the picture; its discriminator sees the blurred form
    and the sum. In training the levels never meet, so that the Jacobian is block diagonal: this is ``LEVELS`` + 1 games
    played at once under one step size. Generation chains them, each level on what the coarser ones have made. The
    default loss is least squares, which does better here than the published ``loss=non-saturating``.

    Source: Denton, Chintala, Szlam and Fergus 2015, arXiv:1506.05751. Published with momentum[beta=0.5], lr 0.02.
    """

    batch_size: int = 32
    loss: str = "lsgan"
    latent: int = 16
    width: int = 64

    budget = 2000.0
    score = "frechet"
    judged = 1000
    tried = "width=16,batch_size=16"
    stack = 20
    tells = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names(self, loss=PLAIN)

    @property
    def learned(self) -> float:  # type: ignore[override]
        """Half of the classes are 30 off at 8x8, 163 at 28x28."""
        return 120.0 if self.size == "small" else 250.0

    @property
    def pixels(self) -> tuple[int, ...]:
        """Of a picture at each level, the coarsest first."""
        return tuple((self.pictures.side >> level) ** 2 for level in range(LEVELS, -1, -1))

    @cached_property
    def networks(self) -> tuple[tuple[Network, ...], ...]:
        """A finer level is told the blurred picture, of as many pixels as its own."""
        coarsest, *finer = self.pixels
        hidden = (self.width, self.width)
        generators = [MLP((self.latent, *hidden, coarsest), "relu", output="tanh")]
        generators += [MLP((self.latent + count, *hidden, count), "relu") for count in finer]
        judges = [MLP((coarsest, *hidden, 1), "leaky-relu")]
        judges += [MLP((2 * count, *hidden, 1), "leaky-relu") for count in finer]
        return tuple(generators), tuple(judges)

    def batch(self, seeds: Tensor, draw: int) -> Batch:
        """Real pictures of each level, a draw of its own for each, and latents."""
        images, count = self.pictures.training()[0], self.batch_size
        found = {}
        for level in range(LEVELS + 1):
            picture = self.drawn(seeds, f"real {level}", draw, images)
            for _ in range(LEVELS - level):
                picture = down([], picture)
            found[f"real {level}"] = picture.flatten(1, 3)
            if level:
                found[f"blurred {level}"] = up([], down([], picture)).flatten(1, 3)
            found[f"latent {level}"] = normal(seeds, f"latent {level}", draw, (self.latent, count))
        return found

    def _made(self, player: Tensor, level: int, latent: Tensor, blurred: Tensor | None) -> Tensor:
        """Pictures of a level [R, pixels, batch]; a finer one adds to the blurred picture."""
        network, own = self.networks[0][level], self.split(0, player)[level]
        if blurred is None:
            return network(own, latent)
        return blurred + network(own, torch.cat([latent, blurred], 1))

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        return self.own_loss(0, players, batch), self.own_loss(1, players, batch)

    def own_loss(self, player: int, players: tuple[Tensor, ...], batch: Batch | None) -> Tensor:
        assert batch is not None
        loss, total = LOSSES[self.loss], players[0].new_zeros(len(players[0]))
        for level, judge in enumerate(self.networks[1]):
            blurred = batch.get(f"blurred {level}")
            fake = self._made(players[0], level, batch[f"latent {level}"], blurred)
            seen = [fake, batch[f"real {level}"]]
            if blurred is not None:
                seen = [torch.cat([blurred, one], 1) for one in seen]
            own = self.split(1, players[1])[level]
            fake_logits = judge(own, seen[0]).squeeze(1)
            needs_real = player == 1 or loss.relative
            real_logits = judge(own, seen[1]).squeeze(1) if needs_real else fake_logits
            total = total + (loss.discriminator if player else loss.generator)(real_logits, fake_logits)
        return total

    def generate(self, w: Tensor, seeds: Tensor, count: int) -> Tensor:
        """Samples of the chain [R, count, pixels], bounded to the range of pictures."""
        picture: Tensor | None = None
        for level in range(LEVELS + 1):
            latent = normal(seeds, f"samples {level}", 0, (self.latent, count), block=1).to(w)
            side = self.pictures.side >> (LEVELS - level)
            blurred = None
            if picture is not None:
                blurred = up([], picture.view(len(w), 1, side // 2, side // 2, count)).flatten(1, 3)
            picture = self._made(w[:, : self.sizes[0]], level, latent, blurred).clamp(-1, 1)
        assert picture is not None
        return picture.transpose(1, 2)

    def known(self, seeds: Tensor, count: int, which: str) -> dict[str, Tensor]:
        """Real pictures; with noise; of the first classes alone."""
        images, labels = self.pictures.every()
        drawn = integers(seeds, "perfect", 0, (count,), len(images))
        if which in ("half", "one"):
            drawn = confined(labels, self.pictures.classes // 2 if which == "half" else 1)[drawn]
        made = self.pictures.pixels(images[drawn])
        if which == "noisy":
            made = made + self.blur * normal(seeds, "blur", 0, made.shape[1:], block=1)
        return {MADE: made}

    def compared_parts(self, samples: dict[str, Tensor]) -> list[Part]:
        return [Part(samples[MADE], self.pictures.classifier)]
