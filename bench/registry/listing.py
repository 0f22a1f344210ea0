"""The listing for the terminal: every rule, direction, game and metric with its equation, source and settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from bench.contracts import Game, Options, UpdateRule, hyperparameters, nested
from bench.errors import UserError, nearest
from bench.registry.budget import KEY
from bench.registry.build import get_rule
from bench.registry.registries import NamedMetric, Preset, directions, games, metrics, rules
from bench.registry.spelling import write


def listing(what: str) -> str:
    """The plug-ins of a kind (optimizers, directions, games, metrics; "" for all), or those of one name."""
    kinds: dict[str, Callable[[str], str]] = {
        "optimizers": _optimizer, "directions": _direction, "games": _game, "metrics": _metric,
    }  # fmt: skip
    registries = {"optimizers": rules, "directions": directions, "games": games, "metrics": metrics}
    if what in kinds or not what:
        asked = [what] if what else list(kinds)
        return "\n".join(
            f"{kind.upper()} ({len(registries[kind].names())})\n\n"  # type: ignore[attr-defined]
            + "\n".join(kinds[kind](name) for name in registries[kind].names())  # type: ignore[attr-defined]
            for kind in asked
        )
    entries = [kinds[kind](what) for kind, registry in registries.items() if what in registry.names()]  # type: ignore[attr-defined]
    if not entries:
        names = [*kinds, *(name for registry in registries.values() for name in registry.names())]  # type: ignore[attr-defined]
        raise UserError(f"there is nothing called {what!r} to list; {nearest(what, names)}")
    return "\n".join(entries)


def _entry(name: str, doc: str, fields: list[str]) -> str:
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
    entry = rules[name]
    rule: UpdateRule = get_rule(name)
    doc = entry.doc if isinstance(entry, Preset) else inspect.getdoc(type(rule)) or ""
    alias = [f"is {entry.spelling}"] if isinstance(entry, Preset) else []
    return _entry(name, doc, [*alias, f"cost {rule.cost:g} gradient evaluations a step", *_fields(rule)])


def _direction(name: str) -> str:
    kind = directions[name]
    return _entry(name, inspect.getdoc(kind) or "", _fields(kind()))


def _game(name: str) -> str:
    game: Game = games[name]()
    sizes = " + ".join(str(size) for size in game.sizes)
    dtype = str(game.dtype).removeprefix("torch.")
    facts = f"players {sizes} parameters, {dtype}, judged by {game.score}"
    fields = [key for key in vars(game) if key in game.__dataclass_fields__ and key != KEY]  # type: ignore[attr-defined]
    settings = [f"{key} = {write(getattr(game, key))}" for key in fields]
    budget = f"{KEY} = {write(game.budget)}   gradient evaluations of one replica"
    return _entry(name, inspect.getdoc(type(game)) or "", [facts, *settings, budget])


def _metric(name: str) -> str:
    metric: NamedMetric = metrics[name]
    on = "any game" if metric.on is Game else f"{metric.on.__name__} games"
    better = f"; {metric.better} is better" if metric.better else ""
    fact = f"for {on}{better} {metric.unit}".rstrip()
    return _entry(name, inspect.getdoc(metric.function) or "", [fact])
