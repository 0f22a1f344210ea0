"""Progressive growing (Karras, Aila, Laine and Lehtinen 2018, arXiv:1710.10196)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from bench.contracts import Batch
from bench.errors import UserError
from bench.games.harness.settings import check_ranges
from bench.games.harness.sized_images import SizedImages
from bench.games.networks.blocks import AvgPool, MinibatchDeviation, PixelNorm, Upsample
from bench.games.networks.layers import Conv2d, Layer, Linear
from bench.games.networks.named import Bound, NamedNetwork
from bench.registry import game

DRIFT = 1e-3  # of the squared logits of real images, appendix A.1 there
SCALES = 2  # doublings of the side
Shares = tuple[float, ...]
GROWN: Shares = (1.0,) * SCALES
up, down, pixel_norm = Upsample(), AvgPool(), PixelNorm()


def _leaky(h: Tensor) -> Tensor:
    return leaky_relu(h, 0.2)


def _fade(old: Tensor, new: Tensor, share: float) -> Tensor:
    return new if share == 1 else torch.lerp(old, new, share)


@dataclass(frozen=True)
class GrowingGenerator(NamedNetwork):
    """Latents -> images, whose finer scales fade in; the coarsest side is ``side``."""

    side: int = 2

    def forward(self, net: Bound, h: Tensor, shares: Shares = GROWN) -> Tensor:
        first = net("first", pixel_norm([], h))
        h = pixel_norm([], _leaky(first.view(len(h), -1, self.side, self.side, h.shape[-1])))
        h = pixel_norm([], _leaky(net("conv0", h)))
        image = net("image0", h)
        for scale, share in enumerate(shares, 1):
            image = up([], image)
            if share:
                h = pixel_norm([], _leaky(net(f"conv{scale}", up([], h))))
                image = _fade(image, net(f"image{scale}", h), share)
        return image


@dataclass(frozen=True)
class GrowingDiscriminator(NamedNetwork):
    """Images of full size -> a logit; a scale that has not begun to fade in is not looked at."""

    def forward(self, net: Bound, h: Tensor, shares: Shares = GROWN) -> Tensor:
        images = [h]
        for _ in range(SCALES):
            images.append(down([], images[-1]))
        begun = sum(share > 0 for share in shares)
        h = _leaky(net(f"image{begun}", images[SCALES - begun]))
        for scale in range(begun, 0, -1):
            h = down([], _leaky(net(f"conv{scale}", h)))
            if (share := shares[scale - 1]) < 1:
                h = _fade(_leaky(net(f"image{scale - 1}", images[SCALES - scale + 1])), h, share)
        h = _leaky(net("conv0", MinibatchDeviation()([], h))).flatten(1, 3)
        return net("last", _leaky(net("dense", h)))


@game("growing")
@dataclass(frozen=True)
class Growing(SizedImages):
    """A GAN whose networks begin at a quarter of the image's side and double it twice, each time fading in.

    Up to the share ``grown`` of the budget five phases of equal length change places: a quarter of the side, its double
    fading in, alone, the full side fading in; from then on the full side alone. Real images are as sharp as the phase.
    With pixel norm in the generator, the deviation of the minibatch in the discriminator, and equalised weights. At
    every fading in a rule's memory begins anew, as the authors' code resets Adam's (``restart``): a layer that has
    slept would else take steps of nine times the step size. That is a rule's averages and anchors, too.

    Judged on the way, a share of the budget knows what has grown, and what sleeps is not shown. The default loss is the
    non-saturating one with R1, which does better here than the published ``loss=wgan-gp``.

    Source: Karras et al. 2018, arXiv:1710.10196, sections 2 to 4. Published with
    adam[lr=0.001,beta1=0,beta2=0.99], one discriminator step, ``ema`` 0.999.
    """

    batch_size: int = 16
    regulariser: str = "r1"
    channels: int = 8
    grown: float = 0.4
    restart: bool = True

    changes = True
    budget = 1000.0
    tried = "channels=4,batch_size=16"
    stack = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, 0, 1, "grown")
        if self.conditional or self.noise:
            raise UserError(f"{self.name}: conditional and noise are no settings of this game")

    @property
    def learned(self) -> float:  # type: ignore[override]
        """Half of the classes are 30 off at 8x8, 163 at 28x28; growing trains its full size for 0.6 of the budget."""
        return 120.0 if self.size == "small" else 300.0

    @property
    def shares(self) -> Shares:
        """How far each finer scale has faded in."""
        if not self.grown:
            return GROWN
        phases = 2 * SCALES * self.progress / self.grown  # of equal length
        return tuple(min(1.0, max(0.0, phases - first)) for first in range(1, 2 * SCALES, 2))

    def restarts(self, progress: float) -> int:
        if not self.grown or not self.restart:
            return 0
        return sum(2 * SCALES * progress / self.grown > first for first in range(1, 2 * SCALES, 2))

    @property
    def coarsest(self) -> int:
        """The side that it begins with."""
        return int(self.pictures.side >> SCALES)

    @cached_property
    def generator(self) -> GrowingGenerator:
        c, places = self.channels, self.coarsest**2
        layers: dict[str, Layer] = {"first": Linear(self.latent, c * places)}
        layers |= {f"conv{i}": Conv2d(c, c, 3, 1, 1) for i in range(SCALES + 1)}
        layers |= {f"image{i}": Conv2d(c, 1, 1) for i in range(SCALES + 1)}
        return GrowingGenerator.of(layers, equalised=True, side=self.coarsest)

    @cached_property
    def discriminator(self) -> GrowingDiscriminator:
        c, places = self.channels, self.coarsest**2
        layers: dict[str, Layer] = {f"image{i}": Conv2d(1, c, 1) for i in range(SCALES + 1)}
        layers |= {f"conv{i}": Conv2d(c, c, 3, 1, 1) for i in range(1, SCALES + 1)}
        layers |= {"conv0": Conv2d(c + 1, c, 3, 1, 1), "dense": Linear(c * places, c), "last": Linear(c, 1)}
        return GrowingDiscriminator.of(layers, equalised=True, spectral=self.spectral)

    def generated(self, generator: Tensor, latents: Tensor) -> Tensor:
        return self.generator.forward(self.generator.bind(generator), latents, self.shares)

    def _real(self, images: Tensor) -> Tensor:
        """Real images as sharp as the phase is."""
        levels = [images]
        for _ in range(SCALES):
            levels.append(down([], levels[-1]))
        shown = levels[-1]
        for level, share in zip(levels[-2::-1], self.shares, strict=True):
            shown = _fade(up([], shown), level, share)
        return shown

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        return self.own_loss(0, players, batch), self.own_loss(1, players, batch)

    def own_loss(self, player: int, players: tuple[Tensor, ...], batch: Batch | None) -> Tensor:
        assert batch is not None
        net = self.discriminator.bind(players[1])

        def judge(images: Tensor) -> Tensor:
            return self.discriminator.forward(net, images, self.shares).squeeze(1)

        fake = self.generated(players[0], batch["latent"])
        fake_logits = judge(fake)
        if player == 0 and not self._loss.relative:
            return self._loss.generator(fake_logits, fake_logits)
        real = self._real(batch["real"])
        real_logits = judge(real)
        if player == 0:
            return self._loss.generator(real_logits, fake_logits)
        loss = self._loss.discriminator(real_logits, fake_logits) + DRIFT * real_logits.square().mean(1)
        regulariser, gamma = self._regulariser
        if regulariser is None:
            return loss
        at = regulariser.points(real, fake.detach(), batch.get("mix", fake))
        return loss + gamma * regulariser(judge, at)
