"""BigGAN's parts on small pictures (Brock, Donahue and Simonyan 2019, arXiv:1809.11096)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import relu

from bench.contracts import Batch
from bench.games.harness.settings import check_ranges
from bench.games.harness.sized_images import SizedImages
from bench.games.networks.blocks import Attention, AvgPool, ConditionalNorm, Projection, Upsample, residual
from bench.games.networks.layers import Activation, Conv2d, Layer, Linear
from bench.games.networks.named import Bound, NamedNetwork
from bench.registry import game

ORTHOGONAL = ("first", "conv1", "conv2", "last")
"""Layers of the generator whose weights' rows are to be orthogonal."""


@dataclass(frozen=True)
class LargeGenerator(NamedNetwork):
    """Latents and class, which every layer sees, -> images: a residual block that doubles the side, then attention."""

    side: int = 4

    def forward(self, net: Bound, h: Tensor) -> Tensor:
        up, told = Upsample(), h
        h = net("first", told).view(len(told), -1, self.side, self.side, told.shape[-1])
        inner = net("conv1", up([], relu(net("norm1", h, told))))
        h = net("skip", up([], h)) + net("conv2", relu(net("norm2", inner, told)))
        h = net("attention", h)
        for name in self.names:
            if name.startswith("double"):
                h = net(name, up([], h))
        return net("last", relu(net("norm3", h, told))).tanh()


@dataclass(frozen=True)
class LargeDiscriminator(NamedNetwork):
    """Images with the class beside their channels -> a logit: residual blocks, attention, and a projection."""

    classes: int = 0

    def forward(self, net: Bound, h: Tensor) -> Tensor:
        told = h[:, 1:].mean((2, 3))  # the same at all places
        h = net("attention", net("block1", h[:, :1]))
        h = AvgPool()([], net("block2", h))
        h = relu(net("block3", h)).sum((2, 3))
        out = net("last", h)
        return out + net("class", h, told) if self.classes else out


@game("large-scale")
@dataclass(frozen=True)
class LargeScale(SizedImages):
    """BigGAN's parts at a laptop's size: hinge loss, residual blocks, spectral normalisation in both networks, batch
    norm conditional on latent and class, projection, attention, orthogonal regularisation, truncation.

    ``orthogonal`` weighs the squared inner products of different rows of the generator's weights, in player 0's loss
    alone. ``truncation`` bounds the latents of judged samples (0: no bound; the paper draws those beyond anew).
    Attention starts switched off. The published mean of weights is a rule: ``ema[inner=...]``.

    The score is the Frechet distance with the share of told classes for ties. Most of a step is convolutions; spectral
    normalisation is computed once for a minibatch.

    Source: Brock et al. 2019, arXiv:1809.11096. Published with adam[lr=0.00005:0.0002,beta1=0], two discriminator
    steps, batches of 2048.
    """

    loss: str = "hinge"
    batch_size: int = 16
    spectral: bool = True
    conditional: bool = True
    channels: int = 8
    orthogonal: float = 1e-4
    truncation: float = 0.0

    budget = 1000.0
    tie_break = "told_class"
    tried = "channels=4"
    stack = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, 0, float("inf"), "orthogonal", "truncation")

    @property
    def learned(self) -> float:  # type: ignore[override]
        """Half of the classes are 30 off at 8x8, 163 at 28x28."""
        return 80.0 if self.size == "small" else 250.0

    @cached_property
    def generator(self) -> LargeGenerator:
        c, told = self.channels, self.latent + self.told
        side, doublings = self.pictures.side // 2, 0
        while side % 2 == 0 and side > 7:
            side, doublings = side // 2, doublings + 1
        conv = Conv2d(c, c, 3, 1, 1)
        layers: dict[str, Layer] = {"first": Linear(told, c * side**2), "norm1": ConditionalNorm(c, told)}
        layers |= {"conv1": conv, "norm2": ConditionalNorm(c, told), "conv2": conv, "skip": Conv2d(c, c, 1)}
        layers |= {"attention": Attention(c, max(1, c // 2))}
        layers |= {f"double{i}": residual((Activation("relu"), conv), c, c) for i in range(doublings)}
        layers |= {"norm3": ConditionalNorm(c, told), "last": Conv2d(c, 1, 3, 1, 1)}
        return LargeGenerator.of(layers, spectral=self.spectral, side=side)

    @cached_property
    def discriminator(self) -> LargeDiscriminator:
        c = self.channels
        first = (Conv2d(1, c, 3, 1, 1), Activation("relu"), Conv2d(c, c, 3, 1, 1))
        inner = (Activation("relu"), Conv2d(c, c, 3, 1, 1), Activation("relu"), Conv2d(c, c, 3, 1, 1))
        layers: dict[str, Layer] = {"block1": residual(first, 1, c), "attention": Attention(c, max(1, c // 2))}
        layers |= {"block2": residual(inner, c, c), "block3": residual(inner, c, c), "last": Linear(c, 1)}
        if self.conditional:
            layers |= {"class": Projection(self.classes, c)}
        return LargeDiscriminator.of(layers, spectral=self.spectral, classes=self.told)

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        return self.own_loss(0, players, batch), self.own_loss(1, players, batch)

    def own_loss(self, player: int, players: tuple[Tensor, ...], batch: Batch | None) -> Tensor:
        assert batch is not None
        generator, judge = self.generator.bind(players[0]), self.discriminator.bind(players[1])
        fake = self._noisy(generator(self._told(batch["latent"], batch)), "fake", batch)
        fake_logits = judge(self._told(fake, batch)).squeeze(1)
        if player == 0 and not self._loss.relative:
            return self._loss.generator(fake_logits, fake_logits) + self.orthogonal * _overlap(generator)
        real_logits = judge(self._told(self._noisy(batch["real"], "real", batch), batch)).squeeze(1)
        if player == 0:
            return self._loss.generator(real_logits, fake_logits) + self.orthogonal * _overlap(generator)
        return self._loss.discriminator(real_logits, fake_logits) + self._penalty(players, batch, fake)

    def judged_latents(self, seeds: Tensor, count: int) -> Tensor:
        latents = super().judged_latents(seeds, count)
        if not self.truncation:
            return latents
        bounded = latents[:, : self.latent].clamp(-self.truncation, self.truncation)
        return torch.cat([bounded, latents[:, self.latent :]], 1)


def _overlap(generator: Bound) -> Tensor:
    """The squared inner products of different rows of the weights, [R] (eq. 3 there)."""
    total: Tensor | None = None
    for name in ORTHOGONAL:
        weight = generator.parts(name)[0].flatten(2)
        gram = torch.bmm(weight, weight.transpose(1, 2))
        apart = (gram - torch.diag_embed(gram.diagonal(dim1=1, dim2=2))).square().sum((1, 2))
        total = apart if total is None else total + apart
    assert total is not None
    return total
