"""Checks of a game's settings that several games share: one line says what, what was found and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from bench.contracts import Game
from bench.errors import UserError, nearest
from bench.numerics.randomness import GRAIN
from bench.registry.spelling import write


def check_names(game: Game, **allowed: Iterable[str]) -> None:
    """Refuse a setting that is none of the names that it may be."""
    for key, names in allowed.items():
        if (value := getattr(game, key)) not in names:
            raise UserError(f"{game.name}: {key} is {value!r}; {nearest(value, names)}")


def check_counts(game: Any) -> None:
    """Refuse whole numbers below 1, and a batch size that is no multiple of 16."""
    for field in fields(game):
        value = getattr(game, field.name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, int) and not isinstance(part, bool) and part < 1:
                raise UserError(f"{game.name}: {field.name} is {write(value)}; a positive number is allowed")
    if game.batch_size % GRAIN:  # vector kernels would have tails, and a replica's bits depend on its neighbours
        raise UserError(f"{game.name}: batch_size is {game.batch_size}; a multiple of {GRAIN} is allowed")


def check_ranges(game: Game, low: float, high: float, *names: str) -> None:
    """Refuse numbers outside of [low, high]."""
    for name in names:
        if not low <= (value := getattr(game, name)) <= high:
            bound = f"a number of at least {low:g}" if high == float("inf") else f"a number in [{low:g}, {high:g}]"
            raise UserError(f"{game.name}: {name} is {value:g}; {bound} is allowed")
