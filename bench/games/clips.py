"""Short films of a dot that moves straight on: video in the smallest form that can be judged exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import torch
from torch import Tensor

from bench.contracts.game import MADE
from bench.errors import UserError
from bench.games.harness.gan import GAN
from bench.games.networks.networks import MLP
from bench.numerics.randomness import integers, uniform
from bench.registry import game

SIDE, DOT = 8, 2
VELOCITIES = ((0, 1), (1, 0), (0, -1), (-1, 0))
NEAR = 0.05
"""Mean absolute difference to a clip within which a sample is that clip; without its dot it would be 0.125 off."""
DAMAGED = 0.05
"""Share of the clips of a slightly damaged generator whose frames come in reverse."""


@game("clips")
@dataclass(frozen=True)
class Clips(GAN):
    """A GAN on films of ``frames`` images of 8x8 pixels: a dot that moves a pixel a frame, and returns where it leaves.

    It starts at one of 16 places and goes one of four ways: 64 films, all equally likely. A generator must repeat the
    dot in every frame and move it at one speed; a sample is a film if it is near one. The score is the total variation
    between how often each film came and how often it should, samples that are none as one more. Both networks are MLPs
    on all frames at once; published video GANs factorise (MoCoGAN, Tulyakov et al. 2018, arXiv:1707.04993, whose
    settings are adam[lr=0.0002,beta1=0.5] and two discriminators).

    Source: Vondrick, Pirsiavash and Torralba 2016, arXiv:1609.02612, for a GAN on films.
    """

    frames: int = 6
    regulariser: str = "r1"
    gamma: float = 1.0
    width: int = 128

    planes = 1
    shape = (SIDE, SIDE)
    judged = 2048
    budget = 4000.0
    score = "clip_tv"
    learned = 0.8  # half of the films are 0.5 off, one is 0.98
    tried = "width=16,batch_size=16"
    stack = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.frames <= SIDE:
            raise UserError(f"{self.name}: frames is {self.frames}; from 2 to {SIDE} are allowed")

    @property
    def numbers(self) -> int:
        """Of a film."""
        return self.frames * SIDE**2

    @cached_property
    def films(self) -> Tensor:
        """All films there are, in a fixed shuffled order, [64, frames * 64] in [-1, 1]."""
        places = range(0, SIDE, DOT)
        films = torch.full((len(places) ** 2 * len(VELOCITIES), self.frames, SIDE, SIDE), -1.0)
        for film, (row, column, (down, right)) in zip(films, product(places, places, VELOCITIES), strict=True):
            for time, (i, j) in product(range(self.frames), product(range(DOT), range(DOT))):
                film[time, (row + i + time * down) % SIDE, (column + j + time * right) % SIDE] = 1
        return films.flatten(1)[torch.randperm(len(films), generator=torch.Generator().manual_seed(0))]

    @cached_property
    def generator(self) -> MLP:
        return MLP((self.latent, self.width, self.width, self.numbers), "relu", output="tanh")

    @cached_property
    def discriminator(self) -> MLP:
        return MLP((self.numbers, self.width, self.width, 1), "leaky-relu", spectral=self.spectral)

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        which = integers(seeds, "real", draw, (self.batch_size,), len(self.films))
        return self.films[which].transpose(1, 2).contiguous()

    def perfect(self, seeds: Tensor, count: int) -> Tensor:
        """Films, [R, count, frames * 64]."""
        return self.known(seeds, count, "perfect")[MADE]

    def known(self, seeds: Tensor, count: int, which: str) -> dict[str, Tensor]:
        """Films; some of them in reverse, of which none goes on; half of the films alone, or one."""
        kinds = {"half": len(self.films) // 2, "one": 1}.get(which, len(self.films))
        films = self.films[integers(seeds, "perfect", 0, (count,), kinds, 1)]
        if which == "noisy":
            hit = uniform(seeds, "damaged", 0, (count, 1), block=1) < DAMAGED
            jumbled = films.view(*films.shape[:2], self.frames, -1).roll(1, 2).flatten(2)
            films = torch.where(hit, jumbled, films)
        return {MADE: films}

    def counted(self, samples: Tensor) -> Tensor:
        """Each film's share, float64 [R, 64], of samples [R, count, frames * 64]; those near none are missing."""
        shares = []
        films = self.films.to(samples)
        for row in samples:
            distance = torch.cdist(row, films, p=1) / self.numbers  # NaN is near nothing
            nearest = distance.min(1)
            counts = torch.bincount(nearest.indices[nearest.values < NEAR], minlength=len(films))
            shares.append(counts.double() / len(row))
        return torch.stack(shares)
