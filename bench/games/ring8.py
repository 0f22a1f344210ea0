"""Eight Gaussians on a ring: the classic test of mode collapse (Metz et al. 2017, arXiv:1611.02163)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import tau

import torch
from torch import Tensor

from bench.contracts import later
from bench.games.harness.points import Mixture
from bench.registry import game


@game("ring8")
@dataclass(frozen=True)
class Ring8(Mixture):
    """A GAN of two MLPs on 8 Gaussians, radius 1, sd 0.01 (protocol of VEEGAN and PacGAN, arXiv:1712.04086).

    The eight angles are k/8 of a turn: a linspace that includes its endpoint would make two modes one, as it does in
    the notebook of Metz et al., whose ``radius`` and ``sd`` are these.

    Source: Metz et al. 2017, arXiv:1611.02163; radius, sd and counts of Lin et al. 2018 (PacGAN), arXiv:1712.04086.
    """

    radius: float = later(1.0)
    sd: float = later(0.01)

    budget = 10_000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("radius", "sd")

    @cached_property
    def modes(self) -> Tensor:
        angles = torch.arange(8) * (tau / 8)
        return self.radius * torch.stack([angles.cos(), angles.sin()], dim=1)
