"""The laws over the whole registry: a new rule or game is tested by being there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import pytest
import torch
from covering import covering

from bench.checks.game_laws import GAME_LAWS, METRIC_LAWS
from bench.checks.laws import (
    RULE_LAWS,
    TRIED_ON,
    Broken,
    continues_bit_for_bit,
    cost_is_declared,
    replicas_do_not_touch,
    shapes_stay,
    small,
    step_is_pure,
)
from bench.contracts import Game, UpdateRule
from bench.registry import directions, games, get_game, get_metric, get_rule, metrics, rules
from bench.registry.spelling import write


def turned(thing: Any) -> Iterator[str]:
    """Every switch of a rule or direction, turned."""
    for item in fields(thing):
        value = getattr(thing, item.name)
        if isinstance(value, bool):
            yield f"{item.name}={write(not value)}"


SPELLED = [
    *rules.names(),
    "alternating[discriminator_steps=3,generator_first=true]",
    "lookahead[inner=lookahead[inner=adam,k=2],k=2]",
    "schedule[warm_up=0.3,begin=0.5,end=0.1,shape=cosine]",
    "lookahead[inner=schedule[begin=0,inner=adam],k=2]",
    "sgd[direction=torch[SGD,momentum=0.9]]",
    "sgd[direction=torch[Adafactor]]",  # one replica at a time
    *(f"{name}[{switch}]" for name in rules.names() for switch in turned(get_rule(name))),
    *(f"{scheme}[direction={name}]" for name in directions.names() for scheme in ("sgd", "alternating")),
    *(f"sgd[direction={name}[{switch}]]" for name in directions.names() for switch in turned(directions[name]())),
]
STEPPED = [name for name in rules.names() if "direction" in {f.name for f in fields(get_rule(name))}]
AROUND = [name for name in rules.names() if "inner" in {f.name for f in fields(get_rule(name))}]


def named(value: Any) -> Any:
    """The name of a law in a test's."""
    return getattr(value, "__name__", None)


def there(name: str) -> Game:
    """The game of that spelling; skips where its data are not here, saying which."""
    game = get_game(name)
    if game.missing:
        pytest.skip(game.missing)
    return game


@pytest.mark.parametrize(("rule", "law", "game"), covering(product(SPELLED, RULE_LAWS), TRIED_ON), ids=named)
def test_rule_obeys(rule: str, law: Any, game: str) -> None:
    torch.set_num_threads(1)
    law(get_rule(rule), get_game(game))


@pytest.mark.parametrize(("scheme", "direction"), covering(STEPPED, directions.names()))
def test_every_scheme_takes_every_direction(scheme: str, direction: str) -> None:
    rule, game = get_rule(f"{scheme}[direction={direction}]"), get_game("bilinear[dim=3]")
    for law in (replicas_do_not_touch, shapes_stay, continues_bit_for_bit, cost_is_declared):
        law(rule, game)


@pytest.mark.parametrize(("wrapper", "inner"), covering(AROUND, rules.names()))
def test_every_wrapper_goes_around_every_rule(wrapper: str, inner: str) -> None:
    rule, game = get_rule(f"{wrapper}[inner={inner}]"), get_game("bilinear[dim=3]")
    for law in (replicas_do_not_touch, shapes_stay, continues_bit_for_bit, cost_is_declared):
        law(rule, game)


@pytest.mark.parametrize("law", GAME_LAWS, ids=named)
@pytest.mark.parametrize("game", [*map(small, games.names()), *TRIED_ON])
def test_game_obeys(game: str, law: Any) -> None:
    torch.set_num_threads(1)
    law(there(game))


@pytest.mark.parametrize(("metric", "law"), covering(metrics.names(), METRIC_LAWS), ids=named)
def test_metric_obeys(metric: str, law: Any) -> None:
    """On the first game that it is for; tests of metrics go over all of them."""
    own = (get_game(name) for name in map(small, games.names()))
    game = next((game for game in own if get_metric(metric).judges(game) and not game.missing), None)
    if game is None:
        pytest.skip(f"no game that {metric} is for has its data here")
    law(get_metric(metric), game)


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
