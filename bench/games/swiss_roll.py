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
    learned = 0.5  # half of the roll is 0.39
    sd = 0.25 / SCALE
    blur = 3 * sd
    kinds = 8
    """Stretches of the roll, of an angle of 3/8 pi each, from the inside on."""

    def data(self, seeds: Tensor, stream: str, draw: int, count: int, block: int) -> Tensor:
        return self._drawn(1.0, seeds, stream, draw, count, block)

    def partial(self, seeds: Tensor, count: int, kinds: int) -> Tensor:
        return self._drawn(kinds / self.kinds, seeds, "perfect", 0, count, 1).transpose(1, 2)

    def _drawn(self, share: float, seeds: Tensor, stream: str, draw: int, count: int, block: int) -> Tensor:
        """Samples of a share of the roll, [R, 2, count]."""
        t = 1.5 * pi * (1 + 2 * share * uniform(seeds, f"{stream} place", draw, (count,), block=block))
        noise = normal(seeds, f"{stream} noise", draw, (2, count), block=block)
        return torch.stack([t * t.cos(), t * t.sin()], dim=1) / SCALE + self.sd * noise
