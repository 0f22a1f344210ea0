"""Descriptions of rules, games and metrics as plain values: a run stores them, so its report runs no plug-in.

A description is made from the plug-in when a study begins, and written into the run's manifest. Readers of the run use
only the description, because the plug-in may be missing or untrusted.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contracts import Collapse, Direction, Filmed, Game, Pictured, UpdateRule, Written
from bench.errors import UserError
from bench.registry.build import Plugins, free, get_game, get_metric
from bench.registry.discovery import Registry, origin
from bench.registry.registries import NamedMetric, Preset, directions, games, metrics, rules
from bench.registry.spelling import Spec, parse

Equation = tuple[str, str, str]
"""(name, equation, source); the name is "" for the rule itself."""


@dataclass(frozen=True)
class MetricDescription:
    """A metric as statistics and figures need it: ``better`` is lower, higher or "" for what is only watched."""

    name: str
    better: str = "lower"
    worst: float = math.inf
    unit: str = ""
    doc: str = ""

    @property
    def sign(self) -> float:
        """What makes a lower score the better one."""
        return -1.0 if self.better == "higher" else 1.0

    def reaches(self, values: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
        """Which values are as good as the threshold or better; NaN is not."""
        return np.asarray(self.sign * values <= self.sign * threshold)


@dataclass(frozen=True)
class GameDescription:
    """A game as a report needs it: its scores' names, its own budget, what counts as collapse, how it computes."""

    score: str
    budget: float
    minibatches: bool = True
    dtype: str = "float32"
    collapse: Collapse | None = None
    metrics: tuple[str, ...] = ()
    doc: str = ""
    tie_break: str = ""
    learned: float | None = None
    references: dict[str, float] = field(default_factory=dict)
    """What known generators score, by name, to three digits; measured when a study begins."""
    image: tuple[int, ...] = ()
    """Planes, height and width of a sample that is an image, or of one of its frames."""
    frames: int = 1
    """Images of a sample that is a strip of them."""
    alphabet: str = ""
    """The letters of samples that are lines of text."""


@dataclass(frozen=True)
class RuleDescription:
    """A rule's equations, and what tuning may search of it: path -> (low, high, whether it is a step size)."""

    equations: tuple[Equation, ...]
    searched: dict[str, tuple[float, float, bool]] = field(default_factory=dict)


@dataclass(frozen=True)
class Descriptions:
    """Descriptions of a run's rules, games and metrics, by spelling or name.

    A missing description is made from the installed plug-in when it is first asked for, as for a study that has not
    begun; UserError if there is no such plug-in.
    """

    games: dict[str, GameDescription] = field(default_factory=dict)
    metrics: dict[str, MetricDescription] = field(default_factory=dict)
    rules: dict[str, RuleDescription] = field(default_factory=dict)
    refused: dict[str, dict[str, str]] | None = None
    """game -> rule -> why it is not applicable there; None where nobody has asked."""

    @classmethod
    def of(cls, optimizers: Iterable[str], games: Iterable[str], plugins: Plugins) -> Descriptions:
        """Descriptions of rules and games as spelled, and of all metrics that the games have."""
        by_game = {spelled: describe_game(plugins.game(spelled)) for spelled in games}
        names = dict.fromkeys(name for game in by_game.values() for name in (game.score, *game.metrics))
        by_metric = {name: describe_metric(get_metric(name)) for name in names}
        by_rule = {spelled: describe_rule(spelled, plugins.rule(spelled)) for spelled in optimizers}
        return cls(by_game, by_metric, by_rule, refusals(by_rule, by_game, plugins))

    def plain(self) -> dict[str, Any]:
        """The same in a form that JSON can hold, with infinity as a word."""
        plain_values: dict[str, Any] = _plain(asdict(self))
        return plain_values

    def game(self, spelled: str, plugins: Plugins) -> GameDescription:
        """The description of a game."""
        if spelled not in self.games:
            self.games[spelled] = describe_game(plugins.game(spelled))
        return self.games[spelled]

    def metric(self, name: str) -> MetricDescription:
        """The description of a metric."""
        if name not in self.metrics:
            self.metrics[name] = describe_metric(get_metric(name))
        return self.metrics[name]

    def rule(self, spelled: str, plugins: Plugins) -> RuleDescription:
        """The description of a rule; an empty one if this installation does not have the rule."""
        if spelled not in self.rules:
            try:
                self.rules[spelled] = describe_rule(spelled, plugins.rule(spelled))
            except UserError:
                self.rules[spelled] = RuleDescription((("", "not known to this installation", ""),))
        return self.rules[spelled]


def refusals(optimizers: Iterable[str], games: Iterable[str], plugins: Plugins) -> dict[str, dict[str, str]]:
    """game -> rule -> why the rule cannot be applied there; games that every rule can be applied to are left out."""
    optimizers, refused = list(optimizers), {}
    for game in games:
        played = plugins.game(game)
        if played.missing:  # what its players are may stand in the files
            continue
        reasons = {rule: plugins.rule(rule).refuses(played) for rule in optimizers}
        refused[game] = {rule: reason for rule, reason in reasons.items() if reason}
    return {game: reasons for game, reasons in refused.items() if reasons}


def describe_game(game: Game) -> GameDescription:
    """The description of a game."""
    metric_names = tuple(name for name in metrics.names() if metrics[name].judges(game))
    minibatches = not game.missing and game.batch(torch.tensor([0, 1]), 0) is not None
    dtype = str(game.dtype).removeprefix("torch.")
    about = first_line(type(game))
    image = (game.planes, *game.shape) if isinstance(game, Pictured) else ()
    return GameDescription(
        game.score, float(game.budget), minibatches, dtype, game.collapse, metric_names, about, game.tie_break,
        game.learned, image=image, frames=game.frames if isinstance(game, Filmed) else 1,
        alphabet=game.alphabet if isinstance(game, Written) else "",
    )  # fmt: skip


def describe_metric(metric: NamedMetric) -> MetricDescription:
    """The description of a metric."""
    return MetricDescription(metric.name, metric.better, metric.worst, metric.unit, first_line(metric))


def describe_rule(spelled: str, update_rule: UpdateRule) -> RuleDescription:
    """The description of a rule and its directions: equations, sources, ranges of tuning."""
    entry = rules[parse(spelled).name]
    searched = {path: (kind.low, kind.high, kind.step_size) for path, kind in free(spelled, update_rule).items()}
    if isinstance(entry, Preset):
        return RuleDescription((("", *_equation(entry.doc)),), searched)
    inner = [
        part
        for part in vars(update_rule).values()
        if isinstance(part, (UpdateRule, Direction)) and part.name != "plain"
    ]
    named = [("", entry), *((part.name, type(part)) for part in inner)]
    return RuleDescription(
        tuple((name, *_equation(inspect.getdoc(described) or "")) for name, described in named), searched
    )


def rule_ships(spelled: str) -> bool:
    """Whether a complete spelling of a rule is made of rules and directions of the suite alone; nothing is built."""
    try:
        specs = [parse(spelled)]
    except UserError:
        return False
    for spec in specs:
        specs += [value for value in spec.keys.values() if isinstance(value, Spec)]
    return all(_is_here(spec.name, rules) or _is_here(spec.name, directions) for spec in specs)


def shipped_class(spelled: str) -> type[Game] | None:
    """The class of a spelled game where it ships with the suite; None for a plug-in. Nothing is built."""
    try:
        name = parse(spelled).name
    except UserError:
        return None
    return games[name] if _is_here(name, games) else None


def _is_here(name: str, kind: Registry[Any]) -> bool:
    return ".py:" not in name and name in kind.names() and origin(kind[name]) == "here"


def shipped_game(spelled: str) -> Game | None:
    """The game where it ships with the suite, whose code a report may run to draw it; None for a plug-in."""
    name = parse(spelled).name
    if ".py:" in name or name not in games.names() or origin(games[name]) != "here":
        return None
    return get_game(spelled)


def shipped_metric(name: str) -> NamedMetric | None:
    """The metric where it ships with the suite; None for a plug-in."""
    return metrics[name] if name in metrics.names() and origin(metrics[name].function) == "here" else None


def first_line(documented: object) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _equation(doc: str) -> tuple[str, str]:
    paragraphs = [" ".join(part.split()) for part in doc.split("\n\n")]
    return paragraphs[0], " ".join(part for part in paragraphs if part.startswith("Source:"))
