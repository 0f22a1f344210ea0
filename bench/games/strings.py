"""A sequence GAN with Gumbel-softmax (Kusner and Hernandez-Lobato 2016, arXiv:1611.04051) on strings that are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import inf
from typing import Self

import torch
from torch import Tensor, nn

from bench.contracts import Batch, later
from bench.errors import UserError, nearest
from bench.games.harness.gan import GAN
from bench.games.harness.strings import StringGame
from bench.games.networks.layers import Layer, Shape
from bench.games.networks.modules import OneReplica
from bench.games.networks.networks import MLP, Network
from bench.numerics.randomness import normal, uniform
from bench.registry import game

Map = Callable[[Tensor], Tensor]
GENERATORS = ("mlp", "gru")


@dataclass(frozen=True)
class Unroll(Layer):
    """A recurrent generator: a latent and Gumbel noise [latent + length * letters] -> relaxed letters, each fed back.

    A gated recurrent unit (Cho et al. 2014, arXiv:1406.1078), whose letters are softmax((logits + noise) / tau).
    """

    latent: int
    hidden: int
    letters: int
    tau: float

    @property
    def shapes(self) -> tuple[Shape, ...]:
        k, h = self.letters, self.hidden
        return (3 * h, self.latent + k), (3 * h, h), (3 * h,), (k, h), (k,)

    @property
    def start(self) -> tuple[tuple[float, float], ...]:
        return ((-(self.hidden**-0.5), self.hidden**-0.5),) * len(self.shapes)

    @property
    def matrices(self) -> tuple[int, ...]:
        return 0, 1, 3

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        by_input, by_state, bias, by_letter, letter_bias = parameters
        latent, noise = h[:, : self.latent], torch.split(h[:, self.latent :], self.letters, 1)
        state, letter = latent.new_zeros(len(h), self.hidden, h.shape[-1]), torch.zeros_like(noise[0])
        line = []
        for gumbel in noise:
            seen = torch.baddbmm(bias.unsqueeze(2), by_input, torch.cat([latent, letter], 1)).chunk(3, 1)
            kept = torch.bmm(by_state, state).chunk(3, 1)
            reset, keep = (seen[0] + kept[0]).sigmoid(), (seen[1] + kept[1]).sigmoid()
            state = keep * state + (1 - keep) * (seen[2] + reset * kept[2]).tanh()
            logits = torch.baddbmm(letter_bias.unsqueeze(2), by_letter, state)
            letter = ((logits + gumbel) / self.tau).softmax(1)
            line.append(letter)
        return torch.cat(line, 1)


@game("strings")
@dataclass(frozen=True)
class Strings(StringGame, GAN):
    """A GAN that writes strings of a small language, all of whose strings and probabilities are known.

    Player 0 writes letters relaxed by Gumbel-softmax of temperature ``tau`` (Jang, Gu and Poole 2017,
    arXiv:1611.01144), in one go (``generator=mlp``) or one after another (``gru``); player 1 reads them beside one-hot
    strings. Judging takes the largest letter. Where ``tau_end`` is above 0, the temperature goes from ``tau`` at the
    start to ``tau_end`` at the end, geometrically in the share of the budget that is spent: as that paper anneals, by
    an exponential of the steps. ``language`` is reber, 67 strings of at most 10 letters, or dna, a TATA
    box in a line of C. The share of valid strings alone would reward a generator of one string: without a regulariser
    one or two strings remain, all of them valid. So the score counts every string.

    Source: Kusner and Hernandez-Lobato 2016, arXiv:1611.04051; R1 after Mescheder et al. 2018, arXiv:1801.04406.
    """

    regulariser: str = "r1"
    language: str = "reber"
    length: int = 10
    network: str = "mlp"
    width: int = 64
    tau: float = 0.75
    tau_end: float = later(0.0)

    budget = 1000.0
    tried = "width=16,batch_size=16,length=8"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_language()
        if self.network not in GENERATORS:
            raise UserError(f"{self.name}: network is {self.network!r}; {nearest(self.network, GENERATORS)}")
        if not self.tau > 0:
            raise UserError(f"{self.name}: tau is {self.tau:g}; a temperature above 0 is allowed")
        if not 0 <= self.tau_end < inf:
            raise UserError(
                f"{self.name}: tau_end is {self.tau_end:g}; a temperature above 0 is allowed, or 0 for that of tau"
            )

    @property
    def changes(self) -> bool:  # type: ignore[override]
        """Where the temperature does."""
        return self.tau_end not in (0, self.tau)

    @property
    def temperature(self) -> float:
        """Of the letters at this share of the budget."""
        return self.tau ** (1 - self.progress) * self.tau_end**self.progress if self.changes else self.tau

    @property
    def numbers(self) -> int:
        """Of a string as networks see it."""
        return self.length * len(self.alphabet)

    @cached_property
    def generator(self) -> Network:
        if self.network == "gru":
            return Network((Unroll(self.latent, self.width, len(self.alphabet), self.temperature),))
        return MLP((self.latent, self.width, self.width, self.numbers), "relu")

    def at(self, progress: float) -> Self:
        moved = super().at(progress)
        if moved.network == "gru" and moved.changes:
            moved.__dict__.pop("generator", None)  # what it feeds back has the temperature
        return moved

    @cached_property
    def discriminator(self) -> Network:
        return MLP((self.numbers, self.width, self.width, 1), "leaky-relu", spectral=self.spectral)

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        return self.told_apart(self.strings(seeds, "real", draw, self.batch_size))

    def batch(self, seeds: Tensor, draw: int) -> Batch:
        noise = uniform(seeds, "gumbel", draw, (self.numbers, self.batch_size), block=8)
        return {**super().batch(seeds, draw), "gumbel": _gumbel(noise)}

    def _write(self, generator: Map, latent: Tensor, noise: Tensor) -> Tensor:
        """Relaxed letters, [R, length * letters, batch]."""
        if self.network == "gru":
            return generator(torch.cat([latent, noise], 1))
        logits = generator(latent) + noise
        lines = logits.reshape(len(logits), self.length, -1, logits.shape[-1])
        return (lines / self.temperature).softmax(2).flatten(1, 2)

    def _letters(self, generator: Map, latent: Tensor, noise: Tensor) -> Tensor:
        """Whole letters, [R, length, batch]."""
        lines = self._write(generator, latent, noise)
        return lines.reshape(len(lines), self.length, -1, lines.shape[-1]).argmax(2)

    def _fake(self, players: tuple[Tensor, ...], batch: Batch) -> Tensor:
        written = self._write(partial(self.generator, players[0]), batch["latent"], batch["gumbel"])
        return self._noisy(written, "fake", batch)

    def _judged(self, seeds: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Latents and Gumbel noise of judged strings."""
        latent = normal(seeds, "samples", 0, (self.latent, count), block=1)
        return latent, _gumbel(uniform(seeds, "samples gumbel", 0, (self.numbers, count), block=1))

    def judged_latents(self, seeds: Tensor, count: int) -> Tensor:
        """What judged strings are written from, [R, latent + length * letters, count]: latents, then Gumbel noise."""
        return torch.cat(self._judged(seeds, count), 1)

    def generate(self, w: Tensor, seeds: Tensor, count: int) -> Tensor:
        """Whole letters, [R, count, length]."""
        latent, noise = (drawn.to(w) for drawn in self._judged(seeds, count))
        generator = partial(self.generator, w[:, : self.sizes[0]])
        return self._letters(generator, latent, noise).transpose(1, 2)

    def torch_modules(self, w: Tensor) -> tuple[nn.Module, ...]:
        """The generator writes letters [N, length] from what `judged_latents` draws, the discriminator reads them."""
        border = self.sizes[0]
        writes, reads = self.generator, self.discriminator

        def written(parts: Sequence[Tensor], drawn: Tensor) -> Tensor:
            return self._letters(partial(writes.applied, parts), drawn[:, : self.latent], drawn[:, self.latent :])

        def read(parts: Sequence[Tensor], letters: Tensor) -> Tensor:
            return reads.applied(parts, self.told_apart(letters.transpose(1, 2)))

        return (
            OneReplica(written, writes.of_one(w[:border]), (self.latent + self.numbers,)),
            OneReplica(read, reads.of_one(w[border:]), (self.length,), torch.int64),
        )


def _gumbel(uniform_numbers: Tensor) -> Tensor:
    """Gumbel noise of numbers uniform in [0, 1)."""
    return -(-uniform_numbers.clamp(1e-7, 1 - 1e-7).log()).log()
