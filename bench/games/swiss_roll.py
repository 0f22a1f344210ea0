"""A swiss roll in the plane: data on a curve, not in clusters (Gulrajani et al. 2017, arXiv:1704.00028)."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from bench.games.harness.points import Each, Points
from bench.numerics.randomness import normal, uniform
from bench.registry import game

SCALE = 7.5  # the deviation plus a little, as the authors' code divides


@game("swiss-roll")
@dataclass(frozen=True)
class SwissRoll(Points):
    """A GAN of two MLPs on points (t cos t, t sin t) / 7.5, t uniform in [1.5 pi, 4.5 pi], with a little noise.

    The loss is WGAN-GP with the penalty's weight 0.1 of the authors' toy experiments, where the weight of 10 that is
    usual for images slows the critic. The noise has sd 0.25 before the division.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, figure 1, and its code, gan_toy.py.
    """

    loss: str = "wgan-gp"
    gamma: float = 0.1
    width: Each = 64

    budget = 3000.0
    score = "sliced_wasserstein"
    sd = 0.25 / SCALE

    def data(self, seeds: Tensor, stream: str, draw: int, count: int, block: int) -> Tensor:
        t = 1.5 * pi * (1 + 2 * uniform(seeds, f"{stream} place", draw, (count,), block=block))
        noise = normal(seeds, f"{stream} noise", draw, (2, count), block=block)
        return torch.stack([t * t.cos(), t * t.sin()], dim=1) / SCALE + self.sd * noise
