"""The laws over the whole registry: a new rule or game is tested by being there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from bench.contracts import Game, UpdateRule
from bench.laws import GAME_LAWS, RULE_LAWS, Broken, cost_is_declared, replicas_do_not_touch, step_is_pure
from bench.registry import directions, games, get_game, get_rule, rules

TINY = ["bilinear[dim=3]", "dirac", "ring8[width=16,batch_size=16]"]
SPELLED = [*rules.names(), "alternating[discriminator_steps=3,generator_first=true]", "extragrad[fresh=true]"] + [
    f"{scheme}[direction={name}]" for name in directions.names() for scheme in ("sgd", "alternating")
]


@pytest.mark.parametrize("law", RULE_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("game", TINY)
@pytest.mark.parametrize("rule", SPELLED)
def test_rule_obeys(rule: str, game: str, law: Any) -> None:
    torch.set_num_threads(1)
    law(get_rule(rule), get_game(game))


@pytest.mark.parametrize("law", GAME_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("game", [*games.names(), *TINY])
def test_game_obeys(game: str, law: Any) -> None:
    torch.set_num_threads(1)
    law(get_game(game))


@dataclass(frozen=True)
class Mixing(UpdateRule):
    """Breaks the first law: replicas share their mean."""

    def step(self, F: Any, w: Any, s: Any) -> Any:
        return w - 0.1 * F(w).mean(0, keepdim=True), s


@dataclass(frozen=True)
class InPlace(UpdateRule):
    """Breaks purity: w is changed where it stands."""

    def step(self, F: Any, w: Any, s: Any) -> Any:
        return w.sub_(0.1 * F(w)), s


@dataclass(frozen=True)
class Underdeclared(UpdateRule):
    """Asks for two gradients, declares one."""

    def step(self, F: Any, w: Any, s: Any) -> Any:
        return w - 0.1 * F(w - 0.1 * F(w)), s


@pytest.mark.parametrize(
    ("rule", "law"), [(Mixing(), replicas_do_not_touch), (InPlace(), step_is_pure), (Underdeclared(), cost_is_declared)]
)
def test_a_broken_rule_is_caught(rule: UpdateRule, law: Any) -> None:
    game: Game = get_game("bilinear[dim=3]")
    with pytest.raises(Broken):
        law(rule, game)
