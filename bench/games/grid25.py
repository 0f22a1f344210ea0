"""Twenty-five Gaussians on a grid: a test of mode collapse (Srivastava et al. 2017, arXiv:1705.07761)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.contracts import later
from bench.games.harness.points import Each, Mixture
from bench.registry import game


@game("grid25")
@dataclass(frozen=True)
class Grid25(Mixture):
    """A GAN of two MLPs on 25 Gaussians at {-4, -2, 0, 2, 4}^2, sd 0.05.

    ``spacing`` is the distance between neighbours, ``sd`` the deviation of each. The discriminator is held by R1 of
    weight 0.1 (Mescheder et al. 2018, arXiv:1801.04406); ``regulariser=none`` is the published game.

    Source: Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761; protocol of PacGAN, arXiv:1712.04086.
    """

    regulariser: str = "r1"
    gamma: float = 0.1
    width: Each = 64
    spacing: float = later(2.0)
    sd: float = later(0.05)

    budget = 15_000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("spacing", "sd")

    @cached_property
    def modes(self) -> Tensor:
        places = self.spacing * torch.arange(-2.0, 3.0)
        return torch.cartesian_prod(places, places)
