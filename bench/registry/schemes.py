"""What a rule does with its direction: whether it asks for a step d alone, and whether it goes back behind a step.

The rule takes some steps on a small game with a direction that notices. No rule is known here by its name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from bench.contracts import Direction, Game, Oracle, State, UpdateRule, nested
from bench.contracts.hyperparameter import Value

STEPS = 12
"""Enough for a wrapper that acts at every few steps."""

Owner = TypeVar("Owner", bound=UpdateRule | Direction)


@dataclass
class Uses:
    """What was noticed."""

    asks_for_d: bool = False
    """It asks for a step without a step size."""
    goes_back: bool = False
    """It does not go on from where the direction's last step ended."""


@dataclass(frozen=True)
class Small(Game):
    """A bilinear game with some curvature, of two players of two entries."""

    sizes = (2, 2)
    dtype = torch.float64

    def init(self, seeds: Tensor) -> Tensor:
        return torch.tensor([[0.4, -0.3, 0.2, 0.5]], dtype=torch.float64).repeat(len(seeds), 1)

    def losses(self, players: tuple[Tensor, ...], batch: Any) -> tuple[Tensor, ...]:
        x, y = players
        both = (x * y).sum(dim=1)
        return both + 0.1 * x.square().sum(dim=1), -both + 0.1 * y.square().sum(dim=1)


@dataclass(frozen=True)
class Noticing(Direction):
    """Plain descent that notes how it is used."""

    noted: Uses = field(default_factory=Uses)

    def init(self, w: Tensor) -> State:
        return {"stood": w.clone(), "begun": torch.zeros_like(w)}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        self.noted.asks_for_d = True
        return g, s

    def descend(self, g: Tensor, s: State, w: Tensor, lr: Value) -> tuple[Tensor, State]:
        moves = g != 0  # in a player's own memory the other player's columns tell nothing
        gone = moves & (s["begun"] > 0) & ((w - s["stood"]).abs() > 1e-9)
        self.noted.goes_back = self.noted.goes_back or bool(gone.any())
        after = w - lr * g
        return after, {"stood": torch.where(moves, after, s["stood"]), "begun": torch.where(moves, 1.0, s["begun"])}


def _with(owner: Owner, kind: type[Direction], noticing: Noticing) -> Owner:
    changes = {
        name: noticing if isinstance(part, kind) else _with(part, kind, noticing)
        for name, part in nested(owner).items()
    }
    return cast("Owner", replace(cast("Any", owner), **changes)) if changes else owner


def uses(rule: UpdateRule, kind: type[Direction]) -> Uses:
    """What a rule does with its directions of that kind."""
    noted = Uses()
    tried, game = _with(rule, kind, Noticing(noted)), Small()
    F = Oracle(game, [0])
    w = game.init(F.seeds)
    try:
        s = tried.init(w)
        for _ in range(STEPS):
            w, s = tried.step(F, w, s)
            F.new_batch()
    except Exception:
        return noted  # a rule for other games: what was noticed so far
    return noted
