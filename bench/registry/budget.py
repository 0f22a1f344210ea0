"""The key ``budget`` of every game: ``ring8[budget=10000]`` is ring8 with another budget of its own.

A game declares its budget as a class attribute or as a field; plug-ins do either. The key is the same for both, so no
game has to do anything for it. A study's ``--budget smoke|standard|full`` scales what the key gives.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import fields, replace
from functools import cached_property
from typing import Any, cast

from bench.contracts import Game
from bench.errors import UserError
from bench.registry.spelling import Spec, write

KEY = "budget"
_GIVEN = "_given_budget"  # beside the budget, so that a spelling says what was given and nothing else


def without_budget(spelled: Spec) -> tuple[Spec, float | None]:
    """A game's spelling without its budget, and the budget; None where it gives none. UserError where it is none."""
    if KEY not in spelled.keys:
        return spelled, None
    value: Any = spelled.keys[KEY]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not (math.isfinite(value) and value > 0):
        raise UserError(
            f"{spelled.name}: {KEY} is {write(value)}; a positive finite number of gradient evaluations is allowed"
        )
    return Spec(spelled.name, {key: other for key, other in spelled.keys.items() if key != KEY}), float(value)


def with_budget(game: Game, budget: float) -> Game:
    """A copy of a game with this budget; what it has computed from the old one is computed anew."""
    if is_field(game):
        return cast("Game", replace(cast("Any", game), **{KEY: budget}))
    changed = copy(game)
    for name in [name for name in vars(game) if isinstance(getattr(type(game), name, None), cached_property)]:
        del vars(changed)[name]
    try:
        object.__setattr__(changed, KEY, budget)
    except AttributeError:  # a property
        raise UserError(f"{game.name}: {KEY} is {write(budget)}, but this game works out its own") from None
    object.__setattr__(changed, _GIVEN, budget)
    return changed


def given_budget(plugin: Any) -> list[str]:
    """The budget that a spelling gave, as it is spelled: ``["budget=500"]``, or nothing. A field is spelled as one."""
    return [f"{KEY}={write(vars(plugin)[_GIVEN])}"] if _GIVEN in vars(plugin) else []


def is_field(plugin: Any) -> bool:
    """Whether a game spells its budget as one of its fields; an object that is registered ready-made spells none."""
    return KEY in {field.name for field in fields(plugin)} and "name" not in vars(plugin)
