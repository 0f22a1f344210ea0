"""Rules, directions, games and metrics by name, and the decorators that register them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

from bench.contracts import Direction, Game, Metric, UpdateRule
from bench.errors import UserError
from bench.registry.discovery import Registry, named, place

Class = TypeVar("Class")  # a class of rules, directions or games, or an object of one
M = TypeVar("M", bound=Callable[..., Any])  # a Metric; its game may be any class of games


@dataclass(frozen=True)
class Preset:
    """A well-known combination under its well-known name: a spelling whose keys may still be set."""

    name: str
    spelling: str
    doc: str
    first: str = ""
    """The key of a value without a key, if it is not the first field of the spelled rule."""


@dataclass(frozen=True)
class NamedMetric:
    """A metric with what statistics must know of it: which games it is for, which way is better, its worst value."""

    name: str
    function: Metric
    on: type
    better: str
    worst: float
    unit: str
    at_end: bool = False
    """Whether it is judged at the end alone: it costs too much for a curve."""
    where: Callable[[Any], bool] = lambda game: True
    """Of the games that it is for, those that have what it needs."""
    best: float | None = None
    """The perfect value, where it is known whatever the game."""

    @property
    def sign(self) -> float:
        """What makes a lower score the better one."""
        return -1.0 if self.better == "higher" else 1.0

    def judges(self, game: Game) -> bool:
        """Whether it is for this game."""
        return isinstance(game, self.on) and self.where(game)

    def __call__(self, game: Game, w: Any, F: Any) -> Any:
        return self.function(game, w, F)

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return inspect.getdoc(self.function) or ""


rules: Registry[type[UpdateRule] | Preset] = Registry("optimizer", "optimizers", "bench.rules", UpdateRule)
directions: Registry[type[Direction]] = Registry("direction", "optimizers", "bench.rules", Direction)
games: Registry[type[Game]] = Registry("game", "bench.games", "bench.games", Game)
metrics: Registry[NamedMetric] = Registry("metric", "bench.metrics", "bench.metrics", NamedMetric, ("bench.games",))


def _registering(registry: Registry[Any], name: str) -> Callable[[Class], Class]:
    def register(cls: Class) -> Class:
        if not registry.fits(cls):
            found = getattr(cls, "__qualname__", None) or f"a {type(cls).__qualname__}"
            allowed = f"a class or an object of bench.{registry.kind.__name__}"
            raise UserError(f"{registry.what} {name!r} is {found}; {allowed} is allowed")
        if not inspect.isclass(cls):
            registry.give(name, cls)
            return cls
        frozen: Class = named(cls, name)
        registry.add(name, frozen, place(frozen))
        return frozen

    return register


@dataclass_transform(frozen_default=True)
def rule(name: str) -> Callable[[Class], Class]:
    """Register an UpdateRule under a name; its annotated fields become its hyperparameters.

    Args:
        name: the name in spellings, e.g. ``extragrad``.

    Returns:
        A decorator that makes the class a frozen dataclass.
    """
    return _registering(rules, name)


@dataclass_transform(frozen_default=True)
def direction(name: str) -> Callable[[Class], Class]:
    """Register a Direction under a name."""
    return _registering(directions, name)


@dataclass_transform(frozen_default=True)
def game(name: str) -> Callable[[Class], Class]:
    """Register a Game under a name; its annotated fields become its settings.

    Args:
        name: the name in spellings, e.g. ``bilinear``.

    Returns:
        A decorator that makes the class a frozen dataclass. It also takes a game that is made already, such as that of
        ``gan_game``, and gives it the name.
    """
    return _registering(games, name)


def preset(name: str, spelling: str, doc: str, first: str = "") -> None:
    """Register a well-known combination of rules and directions under its own name.

    Args:
        name: the name in spellings, e.g. ``extraadam``.
        spelling: what it stands for, e.g. ``extragrad[direction=adam]``.
        doc: its equation on the first line, then its source.
        first: the key that a value alone stands for; by default the first field of the spelled rule.
    """
    rules.add(name, Preset(name, spelling, inspect.cleandoc(doc), first), f"preset {spelling}")


def metric(
    name: str,
    on: type = Game,
    better: str = "lower",
    worst: float = float("inf"),
    unit: str = "",
    at_end: bool = False,
    where: Callable[[Any], bool] = lambda game: True,
    best: float | None = None,
) -> Callable[[M], M]:
    """Register a metric: a function (game, w [R, n], oracle) -> [R].

    Args:
        name: the name of the metric.
        on: the class of the games that it is for.
        better: ``lower``, ``higher``, or "" for a metric that is only shown.
        worst: what a failed replica counts as.
        unit: the unit, for tables and axes.
        at_end: True for a metric that is too slow to be evaluated during training.
        where: which of the games of class ``on`` it is for.
        best: the perfect value, where it is known whatever the game.

    Returns:
        A decorator that returns the function as it is.
    """

    def register(function: M) -> M:
        metrics.add(name, NamedMetric(name, function, on, better, worst, unit, at_end, where, best), place(function))
        return function

    return register
