"""A GAN in float64, where two ways of computing one thing agree to far more digits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.contracts import Batch, Game
from bench.contracts.game import Parameter
from bench.registry import get_game


class Double(Game):
    """A GAN's game with parameters and data in float64."""

    dtype = torch.float64

    def __init__(self, spelled: str) -> None:
        self.game = get_game(spelled)
        self.sizes = self.game.sizes  # type: ignore[misc]

    @property
    def tensors(self) -> tuple[tuple[Parameter, ...], ...]:
        return self.game.tensors

    def init(self, seeds: Tensor) -> Tensor:
        return self.game.init(seeds).double()

    def batch(self, seeds: Tensor, draw: int) -> Batch | None:
        drawn = self.game.batch(seeds, draw) or {}
        return {key: value.double() if value.is_floating_point() else value for key, value in drawn.items()}

    def losses(self, players: tuple[Tensor, ...], batch: Any) -> tuple[Tensor, ...]:
        return self.game.losses(players, batch)
