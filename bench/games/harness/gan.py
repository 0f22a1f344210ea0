"""The GAN harness: a generator and a discriminator for each replica, a loss by name, a source of real data.

Goodfellow et al. 2014 (arXiv:1406.2661). Player 0 is the generator, player 1 the discriminator. A game here says only
which networks play and where the real data come from.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.contracts import Batch, Game
from bench.contracts.game import Parameter, Products
from bench.errors import UserError
from bench.games.harness.compiled import CompiledField
from bench.games.harness.losses import LOSSES, Loss, Slopes
from bench.games.harness.packing import apart, side_by_side
from bench.games.harness.regularisers import REGULARISERS, Regulariser
from bench.games.harness.settings import check_counts, check_names
from bench.games.networks.backward import closed, forward, gradient, piecewise_linear, slope_gradient, weighed
from bench.games.networks.layers import Shape
from bench.games.networks.networks import Network
from bench.games.networks.normalisation import Division, divide, returned
from bench.numerics.kernels.core import compiled
from bench.numerics.randomness import normal, uniform

SAMPLES = "samples"  # the random stream of judged samples, which training does not use
GENERATOR, DISCRIMINATOR = 0, 1
LOCATED = 1000  # real samples that say where the data lie
OWN = ("losses", "own_loss", "played", "_fake", "_logits")  # a game that has others has another field


@dataclass(frozen=True)
class GAN(Game):
    """A two-player game between networks; subclasses give the networks and the real data.

    ``loss`` is one of LOSSES. ``regulariser`` (none, r1, r2, gradient-penalty), weighed by ``gamma``, is added to the
    discriminator's loss; "default" is what the loss is published with. ``noise`` is the deviation of instance noise on
    real and generated samples (Soenderby et al. 2017, arXiv:1610.04490). ``spectral`` normalises the discriminator's
    weights (Miyato et al. 2018, arXiv:1802.05957). ``conditional`` tells both players the class of every sample (Mirza
    and Osindero 2014, arXiv:1411.1784), where the data have classes.
    """

    loss: str = "non-saturating"
    batch_size: int = 64
    latent: int = 16
    regulariser: str = "default"
    gamma: float = -1.0
    noise: float = 0.0
    spectral: bool = False
    conditional: bool = False

    judged = 1000
    """Samples that metrics look at."""
    classes = 0
    """Classes of the real data; 0 where it has none."""
    loss_names: ClassVar[frozenset[str]] = frozenset(LOSSES)
    """What ``loss`` may be."""
    pac = 1
    """Samples that the discriminator judges as one: ``batch_size`` counts these packs."""

    def __post_init__(self) -> None:
        check_names(self, loss=self.loss_names, regulariser={"default", *REGULARISERS})
        check_counts(self)
        if self.noise < 0:
            raise UserError(f"{self.name}: noise is {self.noise:g}; a deviation of at least 0 is allowed")
        if self.conditional and not self.classes:
            raise UserError(f"{self.name}: conditional is true; its data have no classes")

    @property
    @abstractmethod
    def generator(self) -> Network: ...

    @property
    @abstractmethod
    def discriminator(self) -> Network: ...

    @abstractmethod
    def real(self, seeds: Tensor, draw: int) -> Tensor:
        """A minibatch of real data, features first: [R, ..., drawn]."""

    def labels(self, seeds: Tensor, draw: int) -> Tensor:
        """The classes of ``real``'s minibatch, int64 [R, drawn]."""
        raise NotImplementedError(f"{self.name} has no classes")

    @cached_property
    def sizes(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.generator.size, self.discriminator.size

    @cached_property
    def tensors(self) -> tuple[tuple[Parameter, ...], ...]:
        networks = self.generator, self.discriminator
        return tuple(network.parameters(start) for network, start in zip(networks, (0, self.sizes[0]), strict=True))

    @property
    def told(self) -> int:
        """Features that tell a network the class."""
        return self.classes if self.conditional else 0

    @property
    def drawn(self) -> int:
        """Samples of either kind that a minibatch has."""
        return self.pac * self.batch_size

    @property
    def _loss(self) -> Loss:
        return LOSSES[self.loss]

    def init(self, seeds: Tensor) -> Tensor:
        return torch.cat([self.generator.init(seeds, "generator"), self.discriminator.init(seeds, "discriminator")], 1)

    def batch(self, seeds: Tensor, draw: int) -> Batch:
        real = self.real(seeds, draw)
        batch = {"real": real, "latent": normal(seeds, "latent", draw, (self.latent, self.drawn))}
        if self.conditional:
            labels = self.labels(seeds, draw)
            batch["class"] = torch.nn.functional.one_hot(labels, self.classes).transpose(1, 2).to(real)
        if self.noise:
            for side in ("real", "fake"):
                batch[f"{side} noise"] = self.noise * normal(seeds, f"{side} noise", draw, tuple(real.shape[1:]))
        if self._regulariser[0] is not None and self._regulariser[0].mixes:
            batch["mix"] = uniform(seeds, "mix", draw, (self.batch_size,))
        return batch

    @property
    def _penalty_name(self) -> str:
        return self._loss.regulariser if self.regulariser == "default" else self.regulariser

    @cached_property
    def _regulariser(self) -> tuple[Regulariser | None, float]:
        name = self._penalty_name
        gamma = (self._loss.gamma if name == self._loss.regulariser else 1.0) if self.gamma < 0 else self.gamma
        return REGULARISERS[name], gamma

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        assert batch is not None
        fake = side_by_side(self._fake(players, batch), self.pac)
        # Two calls rather than one on both halves: the generator's backward then runs through the fake half alone.
        real = side_by_side(self._noisy(batch["real"], "real", batch), self.pac)
        real_logits = self._logits(players, batch, real, "real")
        fake_logits = self._logits(players, batch, fake, "judged fake")
        discriminator = self._loss.discriminator(real_logits, fake_logits) + self._penalty(players, batch, fake)
        return self._loss.generator(real_logits, fake_logits), discriminator

    def own_loss(self, player: int, players: tuple[Tensor, ...], batch: Batch | None) -> Tensor:
        """The generator's loss without the real half and the discriminator's penalty, unless it sees them."""
        if player == DISCRIMINATOR or self._loss.relative:
            return self.losses(players, batch)[player]
        assert batch is not None
        logits = self._logits(players, batch, side_by_side(self._fake(players, batch), self.pac), "judged fake")
        return self._loss.generator(logits, logits)

    @cached_property
    def _closed(self) -> Slopes | None:
        """The loss's derivatives, if the field has a closed form: the networks and the loss are not overridden."""
        networks = self._plain
        if networks is None or not self._played_here or not all(map(closed, networks)):
            return None
        if self._regulariser[0] is not None and not piecewise_linear(networks[DISCRIMINATOR]):
            return None
        return self._loss.slopes

    @property
    def _played_here(self) -> bool:
        """Whether the losses are those of this class."""
        return all(getattr(type(self), name) is getattr(GAN, name) for name in OWN)

    @cached_property
    def _plain(self) -> tuple[Network, Network] | None:
        """Both networks as their layers alone; None where one does more."""
        generator, discriminator = self.generator.plain, self.discriminator.plain
        return None if generator is None or discriminator is None else (generator, discriminator)

    @cached_property
    def _kernel(self) -> CompiledField | None:
        """The field's compiled form; None where there is none, or where this process computes with torch."""
        if self._closed is None or self._plain is None or not compiled():
            return None
        try:
            return CompiledField(
                self.generator, self.discriminator, self.loss, self._penalty_name, self._regulariser[1],
                self.batch_size, self.pac, self.told,
            )  # fmt: skip
        except LookupError:
            return None

    def prepare(self) -> None:
        if self._kernel is not None:
            self._kernel.prepare(self.dtype)

    def field(self, w: Tensor, batch: Batch | None, player: int | None) -> Tensor | None:
        """The gradients in closed form, by a kernel or by torch; None where there is none."""
        if self._closed is None:
            return None
        assert batch is not None
        if self._kernel is not None and (gradients := self._kernel(w, batch, player)) is not None:
            return gradients
        point, divisions = self._divided(w)
        return returned(self._by_layers(point, batch, player), divisions)

    def _divided(self, w: Tensor) -> tuple[Tensor, list[Division]]:
        """w with the weights that spectral normalisation divides as the networks use them."""
        networks = ((self.generator, 0), (self.discriminator, self.sizes[GENERATOR]))
        if not any(network.normalised for network, _ in networks):
            return w, []
        point = w.detach().clone()
        places = [(network.normalised, network.parameters(start)) for network, start in networks]
        return point, [division for each in places for division in divide(point, *each)]

    def _by_layers(self, w: Tensor, batch: Batch, player: int | None) -> Tensor:
        """Both players' gradients by one backward pass of the discriminator's logits."""
        by_logits_of = self._closed
        assert by_logits_of is not None
        assert self._plain is not None
        generator, discriminator = self._plain
        players = w[:, : self.sizes[GENERATOR]], w[:, self.sizes[GENERATOR] :]
        generated = forward(generator, players[GENERATOR], self._told(batch["latent"], batch))
        fake = side_by_side(self._noisy(generated.out, "fake", batch), self.pac)
        halves = [self._told(fake, batch)]
        if player != GENERATOR:
            halves.insert(0, self._told(side_by_side(self._noisy(batch["real"], "real", batch), self.pac), batch))
        judged = forward(discriminator, players[DISCRIMINATOR], torch.cat(halves, -1))
        logits = judged.out.chunk(len(halves), 2)
        *by_logits, gain = by_logits_of(logits[0], logits[-1])
        derivatives = judged.backward(torch.ones_like(judged.out))
        blocks = [torch.zeros_like(part) for part in players[:DISCRIMINATOR]]
        if player != DISCRIMINATOR:
            along = _shaped(judged.by_input(derivatives[0], self.batch_size), fake)[:, : fake.shape[1]]
            along = apart(along * (_beside(gain, along) / self.batch_size), self.pac)
            blocks = gradient(generated, generated.backward(along))
        if player == GENERATOR:
            return torch.cat([*blocks, torch.zeros_like(players[DISCRIMINATOR])], 1)
        discriminator_blocks = weighed(judged, derivatives, torch.cat(by_logits, 2) / self.batch_size)
        regulariser, gamma = self._regulariser
        if regulariser is not None:
            real = side_by_side(batch["real"], self.pac)
            at = self._told(regulariser.points(real, fake, batch.get("mix", fake)), batch)
            slopes = forward(discriminator, players[DISCRIMINATOR], at)
            penalty = gamma / self.batch_size * slope_gradient(slopes, self._seen_by(regulariser, fake))
            discriminator_blocks = [torch.cat(discriminator_blocks, 1) + penalty]
        return torch.cat([*blocks, *discriminator_blocks], 1)

    def cross(self, w: Tensor, batch: Batch | None) -> Tensor | None:
        """Each player's gradient of the other's loss, where there is a kernel for it."""
        return None if self._kernel is None or batch is None else self._kernel(w, batch, None, across=True)

    def products(self, w: Tensor, batch: Batch | None, player: int | None, own: bool) -> Products | None:
        """The products v -> J v and u -> J' u, [R, n], where there are kernels for them."""
        return None if self._kernel is None or batch is None else self._kernel.products(w, batch, player, own)

    def _seen_by(self, regulariser: Regulariser, samples: Tensor) -> Callable[[Tensor], Tensor]:
        """The derivative of a penalty by a slope [R, ..., batch], which is zero for the class features."""

        def by_slope(slope: Tensor) -> Tensor:
            slope = _shaped(slope, samples)
            sample_slope = slope[:, : samples.shape[1]]
            derivative = regulariser.by_slope(sample_slope.flatten(1, -2)).view(sample_slope.shape)
            return (
                torch.cat([derivative, torch.zeros_like(slope[:, samples.shape[1] :])], 1)
                if self.conditional
                else derivative
            )

        return by_slope

    def _told(self, samples: Tensor, batch: Batch) -> Tensor:
        """Samples, packed or not, or latents, with their classes beside their channels: [R, features, ..., batch]."""
        if not self.conditional:
            return samples
        classes = batch["class"]
        told = _beside(side_by_side(classes, classes.shape[-1] // samples.shape[-1]), samples)
        return torch.cat([samples, told.expand(-1, -1, *samples.shape[2:])], 1)

    def _fake(self, players: tuple[Tensor, ...], batch: Batch) -> Tensor:
        latents = self._told(batch["latent"], batch)
        return self._noisy(self.played(GENERATOR, players, latents, batch, "fake"), "fake", batch)

    def _noisy(self, samples: Tensor, side: str, batch: Batch) -> Tensor:
        return samples + batch[f"{side} noise"] if self.noise else samples

    def _logits(self, players: tuple[Tensor, ...], batch: Batch, samples: Tensor, call: str) -> Tensor:
        """The discriminator's [R, batch] on packs of samples [R, ..., batch]."""
        return self.played(DISCRIMINATOR, players, self._told(samples, batch), batch, call).squeeze(1)

    def played(self, player: int, players: tuple[Tensor, ...], x: Tensor, batch: Batch, call: str) -> Tensor:
        """A player's network on x [R, ..., batch]; ``call`` tells the calls of a loss apart, for random numbers."""
        network = self.generator if player == GENERATOR else self.discriminator
        return network(players[player], x)

    def _penalty(self, players: tuple[Tensor, ...], batch: Batch, fake: Tensor) -> Tensor:
        """The penalty in the discriminator's loss, [R]; the generator does not get its gradient."""
        regulariser, gamma = self._regulariser
        if regulariser is None:
            return fake.new_zeros(len(fake))
        at = regulariser.points(side_by_side(batch["real"], self.pac), fake.detach(), batch.get("mix", fake))
        return gamma * regulariser(lambda x: self._logits(players, batch, x, "penalty"), at)

    def project(self, w: Tensor) -> Tensor:
        """WGAN's weight clipping of the discriminator; others are left as they are."""
        clip = self._loss.clip
        if not clip:
            return w
        border = self.sizes[0]
        return torch.cat([w[:, :border], w[:, border:].clamp(-clip, clip)], dim=1)

    def location(self) -> tuple[Tensor, float]:
        """Of some thousand real samples, always the same; data that are all one point say nothing of how far is far."""
        return self._location

    @cached_property
    def _location(self) -> tuple[Tensor, float]:
        draws = range(-(-LOCATED // self.batch_size))
        data = torch.cat([self.real(torch.tensor([0]), draw)[0].flatten(0, -2) for draw in draws], 1)
        centre = data.mean(dim=1)
        reach = (data - centre.unsqueeze(1)).abs().max().item()
        return centre, reach if 0 < reach < inf else inf

    def generate(self, w: Tensor, seeds: Tensor, count: int) -> Tensor:
        """Samples [R, count, features]; the same latents at every call, so that curves through training are smooth."""
        latents = self.judged_latents(seeds, count).to(w.device)
        return self.generator(w[:, : self.sizes[0]], latents).flatten(1, -2).transpose(1, 2)

    def sample_shape(self) -> Shape:
        """Of a sample as the generator's module gives it."""
        return self._generated

    @cached_property
    def _generated(self) -> Shape:
        """Of a sample as the generator gives it."""
        latents = torch.zeros(1, self.latent + self.told, 2)
        return tuple(self.generator(torch.zeros(1, self.generator.size), latents).shape[1:-1])

    def torch_modules(self, w: Tensor) -> tuple[nn.Module, ...]:
        """Generator and discriminator of one replica, w [n]: each takes what the network takes, samples first."""
        channels, *places = self._generated
        border = self.sizes[GENERATOR]
        judged = (self.pac * (channels + self.told), *places)
        generator = self.generator.module(w[:border], (self.latent + self.told,))
        return generator, self.discriminator.module(w[border:], judged)

    def judged_latents(self, seeds: Tensor, count: int) -> Tensor:
        """The latents of judged samples, [R, latent + told, count]; with every class in turn in a conditional game."""
        latents = normal(seeds, SAMPLES, 0, (self.latent, count), block=1)
        if not self.conditional:
            return latents
        told = torch.nn.functional.one_hot(torch.arange(count) % self.classes, self.classes).T.to(latents)
        return torch.cat([latents, told.expand(len(latents), -1, -1)], 1)


def _shaped(slope: Tensor, samples: Tensor) -> Tensor:
    """A slope by what a discriminator sees, which may be flat, as channels of samples [R, channels, ..., batch]."""
    return slope if slope.ndim == samples.ndim else slope.view(len(slope), -1, *samples.shape[2:])


def _beside(each: Tensor, samples: Tensor) -> Tensor:
    """[R, k, batch] for every sample of [R, ..., batch], so that the two can be multiplied."""
    return each if samples.ndim == 3 else each.view(*each.shape[:2], *[1] * (samples.ndim - 3), -1)


def in_batches(draw: Callable[[int, Tensor], Tensor], latents: Tensor, size: int) -> Tensor:
    """Samples [R, count, features] of latents [R, latent, count], ``size`` of them at a time.

    ``draw`` takes the number of a batch and its latents, and gives samples [R, ..., batch].
    """
    drawn = [draw(number, part).flatten(1, -2) for number, part in enumerate(torch.split(latents, size, 2))]
    return torch.cat(drawn, 2).transpose(1, 2)
