"""The laws of players: a rule moves all of them, or says that it is not applicable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.checks.laws import STEPS, Broken, cost_is_declared, shapes_stay, trace
from bench.contracts import Game, UpdateRule
from bench.numerics.randomness import normal


@dataclass(frozen=True)
class Curved(Game):
    """Smooth losses of ``count`` players of three entries; no entry of the field is 0 for long."""

    count: int = 2
    dtype = torch.float64
    name = "curved"

    @property
    def sizes(self) -> tuple[int, ...]:  # type: ignore[override]
        return (3,) * self.count

    def init(self, seeds: Tensor) -> Tensor:
        return 0.5 + normal(seeds, "start", 0, (3 * self.count,), torch.float64, block=1)

    def losses(self, players: tuple[Tensor, ...], batch: Any) -> tuple[Tensor, ...]:
        own = [(player.square() + player.sin()).sum(1) for player in players]
        if self.count == 1:
            return (own[0],)
        both = (players[0] * players[1]).sum(1)
        return own[0] + both, own[1] - both


def moves_every_player(rule: UpdateRule, game: Game) -> None:
    """In a few steps every parameter of both players moves."""
    _moves(rule, Curved())


def applies_to_one_player_or_says_so(rule: UpdateRule, game: Game) -> None:
    """On a game of one player a rule declares its cost, keeps its shapes and moves all parameters, or it refuses."""
    alone = Curved(count=1)
    if rule.refuses(alone):
        return
    for law in (cost_is_declared, shapes_stay):
        law(rule, alone)
    _moves(rule, alone)


def _moves(rule: UpdateRule, game: Game) -> None:
    end = trace(rule, game)
    stays = (end.w == game.init(end.F.seeds)).nonzero()
    if len(stays):
        row, column = stays[0].tolist()
        owner = next(player for player, block in enumerate(end.F.blocks) if block.start <= column < block.stop)
        raise Broken(f"entry {column} of player {owner} of {game.players} did not move in {STEPS} steps (row {row})")


PLAYER_LAWS: tuple[Callable[[UpdateRule, Game], None], ...] = (moves_every_player, applies_to_one_player_or_says_so)
"""They bring games of their own, so that the game that they are given tells them nothing."""
