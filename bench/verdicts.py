"""``bench check``: the laws on one rule, direction, game or metric, from here or from anywhere."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.laws import GAME_LAWS, METRIC_LAWS, RULE_LAWS, TRIED_ON, Broken, small
from bench.modules import ModuleGAN, speed
from bench.plugins import Registry
from bench.registry import NamedMetric, directions, games, get_game, get_metric, get_rule, metrics, rules
from bench.spelling import SpecError, nearest, parse

Law = Callable[..., None]


@dataclass(frozen=True)
class Verdict:
    """What one law says of one thing: ``broken`` is empty, or says where and how it does not hold."""

    subject: str
    law: str
    broken: str = ""

    def __str__(self) -> str:
        return f"{'BROKEN' if self.broken else 'ok    '}  {self.law}{': ' * bool(self.broken)}{self.broken}"


def check(spelling: str) -> list[Verdict]:
    """The laws of plug-ins on what a spelling names, e.g. ``extragrad``, ``./my_rule.py:MyRule``; SpecError for none.

    A name that several kinds share, such as the rule and the direction ``adam``, is checked as each of them. Rules are
    tried on small games: bilinear, Dirac-GAN, a ring of Gaussians.
    """
    return [verdict for subject, laws, cases in _subjects(spelling) for verdict in _verdicts(subject, laws, cases)]


def remark(spelling: str) -> str:
    """How a game of torch modules runs, and how fast; "" for all else."""
    try:
        game = get_game(spelling)
    except SpecError:
        return ""
    return speed(game) if isinstance(game, ModuleGAN) else ""


def _verdicts(subject: str, laws: Sequence[Law], cases: list[tuple[str, tuple[Any, ...]]]) -> Iterator[Verdict]:
    for law in laws:
        broken = {where: said for where, arguments in cases if (said := _broken(law, arguments))}
        first, *others = broken or [""]
        also = f" (and on {', '.join(others)})" if others else ""
        yield Verdict(subject, law.__name__.replace("_", " "), f"on {first}: {broken[first]}{also}" if broken else "")


def _broken(law: Law, arguments: tuple[Any, ...]) -> str:
    try:
        law(*arguments)
    except Broken as error:
        return str(error)
    except Exception as error:  # a plug-in that raises breaks the law under which it does
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())
        return f"{type(error).__name__}: {text} ({last.filename}:{last.lineno})"
    return ""


def _subjects(spelling: str) -> list[tuple[str, Sequence[Law], list[tuple[str, tuple[Any, ...]]]]]:
    """What the spelling names: (kind and name, its laws, the cases they are tried on)."""
    on = [(name, get_game(name)) for name in TRIED_ON]
    makers: dict[str, Callable[[], tuple[Sequence[Law], list[tuple[str, tuple[Any, ...]]]]]] = {
        "optimizer": lambda: (RULE_LAWS, [(where, (get_rule(spelling), game)) for where, game in on]),
        "direction": lambda: (
            RULE_LAWS, [(where, (get_rule(f"sgd[direction={spelling}]"), game)) for where, game in on]
        ),
        "game": lambda: (GAME_LAWS, [(spelling, (get_game(spelling),))]),
        "metric": lambda: (METRIC_LAWS, [(where, (metric, game)) for metric, where, game in _measured(spelling)]),
    }  # fmt: skip
    found, refused = [], []
    name = parse(spelling).name
    registries: tuple[Registry[Any], ...] = (rules, directions, games, metrics)
    for (kind, make), registry in zip(makers.items(), registries, strict=True):
        if ".py:" not in name and name not in registry.names():
            continue
        try:
            found.append((f"{kind} {spelling}", *make()))
        except SpecError as error:
            refused.append(str(error))
    if found:
        return found
    if refused:
        told = [text for text in refused if "is no " not in text]
        raise SpecError((told or refused)[0] if told else f"{spelling!r} is no optimizer, direction, game or metric")
    known = {one for registry in registries for one in registry.names()}
    raise SpecError(f"there is nothing called {name!r} to check; {nearest(name, known)}")


def _measured(spelling: str) -> Iterator[tuple[NamedMetric, str, Any]]:
    """A metric with the games that it is for, small ones, and of those that lack data none."""
    metric = get_metric(spelling)
    for name in map(small, games.names()):
        if isinstance(game := get_game(name), metric.on) and not game.missing:
            yield metric, name, game
