"""The listing for the terminal: every rule, direction, game and metric with its equation, source and settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from bench.contracts import Game, Options, UpdateRule, hyperparameters, nested
from bench.errors import UserError, nearest
from bench.registry.budget import KEY
from bench.registry.build import get_game, get_rule
from bench.registry.registries import NamedMetric, Preset, directions, games, metrics, rules
from bench.registry.spelling import write


def listing(what: str, others: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """What there is of a kind, or under a name.

    Args:
        what: optimizers, directions, games, metrics, or one of the others; "" for all; or a name.
        others: further kinds, kind -> name -> its entry.
    """
    plugins: dict[str, tuple[Any, Callable[[str], str]]] = {
        "optimizers": (rules, _optimizer), "directions": (directions, _direction),
        "games": (games, _game), "metrics": (metrics, _metric),
    }  # fmt: skip
    kinds: dict[str, tuple[list[str], Callable[[str], str]]] = {
        kind: (registry.names(), described) for kind, (registry, described) in plugins.items()
    }
    kinds |= {kind: (list(entries), entries.__getitem__) for kind, entries in (others or {}).items()}
    if what in kinds or not what:
        asked = {what: kinds[what]} if what else kinds
        return "\n".join(
            f"{kind.upper()} ({len(names)})\n\n" + "\n".join(map(described, names))
            for kind, (names, described) in asked.items()
        )
    entries = [described(what) for names, described in kinds.values() if what in names]
    if not entries:
        known = [*kinds, *(name for names, _ in kinds.values() for name in names)]
        raise UserError(f"there is nothing called {what!r} to list; {nearest(what, known)}")
    return "\n".join(entries)


def entry(name: str, doc: str, fields: list[str]) -> str:
    """An entry of the listing: a name, what it is, and a line for each fact."""
    text = inspect.cleandoc(doc or "").splitlines()
    lines = [name] + [f"    {line}" if line else "" for line in text]
    return "\n".join(lines + [f"    - {field}" for field in fields]) + "\n"


def _fields(owner: Any) -> list[str]:
    """Hyperparameters with their kind and range, nested ones too; then the settings."""
    kinds = hyperparameters(owner)
    lines = [
        f"{path} = {write(value)}   {kind.kind}, searched in [{kind.low:g}, {kind.high:g}]{' (log)' * kind.log}"
        for path, (kind, value) in kinds.items()
    ]
    inside = nested(owner)
    for field in fields(owner):
        if field.name in inside:
            lines.append(f"{field.name} = {inside[field.name].name}")
        elif field.name not in kinds and not isinstance(value := getattr(owner, field.name), Options):
            lines.append(f"{field.name} = {write(value)}")
    return lines


def _optimizer(name: str) -> str:
    found = rules[name]
    rule: UpdateRule = get_rule(name)
    doc = found.doc if isinstance(found, Preset) else inspect.getdoc(type(rule)) or ""
    alias = [f"is {found.spelling}"] if isinstance(found, Preset) else []
    return entry(name, doc, [*alias, f"cost {rule.cost:g} gradient evaluations a step", *_fields(rule)])


def _direction(name: str) -> str:
    kind = directions[name]
    return entry(name, inspect.getdoc(kind) or "", _fields(kind()))


def _game(name: str) -> str:
    game: Game = get_game(name)
    sizes = " + ".join(str(size) for size in game.sizes)
    dtype = str(game.dtype).removeprefix("torch.")
    facts = f"players {sizes} parameters, {dtype}, judged by {game.score}"
    known = getattr(game, "__dataclass_fields__", {})
    fields = [key for key in vars(game) if key in known and key != KEY]
    settings = [f"{key} = {write(getattr(game, key))}" for key in fields]
    budget = f"{KEY} = {write(game.budget)}   gradient evaluations of one replica"
    return entry(name, inspect.getdoc(type(game)) or "", [facts, *settings, budget])


def _metric(name: str) -> str:
    metric: NamedMetric = metrics[name]
    on = "any game" if metric.on is Game else f"{metric.on.__name__} games"
    better = f"; {metric.better} is better" if metric.better else ""
    fact = f"for {on}{better} {metric.unit}".rstrip()
    return entry(name, inspect.getdoc(metric.function) or "", [fact])
