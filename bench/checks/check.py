"""``bench check``: the laws on one rule, direction, game or metric, from here or from anywhere."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.checks.game_laws import GAME_LAWS, METRIC_LAWS, SCORE_LAWS
from bench.checks.laws import RULE_LAWS, TRIED_ON, Broken, Untried, small
from bench.checks.player_laws import PLAYER_LAWS
from bench.contracts import Game, UpdateRule
from bench.errors import UserError, nearest
from bench.games.harness.gan_game import speed
from bench.games.harness.modules import ModuleGAN
from bench.registry import directions, games, get_game, get_metric, get_rule, metrics, rules
from bench.registry.discovery import Registry
from bench.registry.spelling import parse

Law = Callable[..., None]
STAGES = (0.0, 0.15, 0.35)
"""Shares of the budget at which a game that changes is tried before it is at its end."""
Cases = list[tuple[str, tuple[Any, ...]]]  # where, and what the laws are given


@dataclass(frozen=True)
class Verdict:
    """The result of one law for one plug-in.

    ``broken`` says where and how the law does not hold, ``untried`` why it could not be tried; both are empty if it
    holds.
    """

    subject: str
    law: str
    broken: str = ""
    untried: str = ""

    def __str__(self) -> str:
        said = "BROKEN" if self.broken else "none  " if self.untried else "ok    "
        reason = self.broken or self.untried
        return f"{said}  {self.law}{': ' * bool(reason)}{reason}"


def check(spelling: str) -> list[Verdict]:
    """Test the laws of plug-ins on a rule, direction, game or metric.

    A name that several kinds share, such as the rule and the direction ``adam``, is checked as each of them. Rules are
    tested on small games: bilinear, Dirac-GAN, a ring of Gaussians.

    Args:
        spelling: e.g. ``extragrad`` or ``./my_rule.py:MyRule``.

    Returns:
        A verdict for each law; ``verdict.broken`` is empty if the law holds.

    Raises:
        UserError: nothing has this name, or the game lacks its data.

    Example:
        >>> import bench
        >>> verdicts = bench.check("extragrad")
        >>> print(verdicts[0])
        ok      replicas do not touch
        >>> any(verdict.broken for verdict in verdicts)
        False
    """
    return [verdict for subject, laws, cases in _subjects(spelling) for verdict in _verdicts(subject, laws, cases)]


def remark(spelling: str) -> str:
    """How a game of torch modules runs, and how fast; "" for all else."""
    try:
        game = get_game(spelling)
    except UserError:
        return ""
    return speed(game) if isinstance(game, ModuleGAN) else ""


def _verdicts(subject: str, laws: Sequence[Law], cases: Cases) -> Iterator[Verdict]:
    for law in laws:
        try:
            broken = {where: reason for where, arguments in cases if (reason := _broken(law, arguments))}
        except Untried as reason:
            yield Verdict(subject, law.__name__.replace("_", " "), untried=str(reason))
            continue
        first, *others = broken or [""]
        also = f" (and on {', '.join(others)})" if others else ""
        yield Verdict(subject, law.__name__.replace("_", " "), f"on {first}: {broken[first]}{also}" if broken else "")


def _broken(law: Law, arguments: tuple[Any, ...]) -> str:
    try:
        law(*arguments)
    except Broken as error:
        return str(error)
    except Untried:
        raise
    except Exception as error:  # a plug-in that raises breaks the law under which it does
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())
        return f"{type(error).__name__}: {text} ({last.filename}:{last.lineno})"
    return ""


def _subjects(spelling: str) -> list[tuple[str, Sequence[Law], Cases]]:
    """What the spelling names: (kind and name, its laws, the cases they are tried on)."""
    makers: dict[str, Callable[[], tuple[Sequence[Law], Cases]]] = {
        "optimizer": lambda: ((*RULE_LAWS, *PLAYER_LAWS), _tried(get_rule(spelling))),
        "direction": lambda: ((*RULE_LAWS, *PLAYER_LAWS), _tried(get_rule(f"sgd[direction={spelling}]"))),
        "game": lambda: ((*GAME_LAWS, *SCORE_LAWS), _stages(spelling)),
        "metric": lambda: (METRIC_LAWS, list(_measured(spelling))),
    }
    registries: tuple[Registry[Any], ...] = (rules, directions, games, metrics)
    name, subjects, refused = parse(spelling).name, [], []
    for (kind, make), registry in zip(makers.items(), registries, strict=True):
        if ".py:" not in name and name not in registry.names():
            continue
        try:
            subjects.append((f"{kind} {spelling}", *make()))
        except UserError as error:
            refused.append(str(error))
    if subjects:
        return subjects
    if refused:
        of_another_kind = [text for text in refused if text.startswith(f"{name!r} is no ")]
        reasons = [text for text in refused if text not in of_another_kind]
        raise UserError(reasons[0] if reasons else f"{spelling!r} is no optimizer, direction, game or metric")
    names = {one for registry in registries for one in registry.names()}
    raise UserError(f"there is nothing called {name!r} to check; {nearest(name, names)}")


def _tried(rule: UpdateRule) -> Cases:
    return [(name, (rule, get_game(name))) for name in TRIED_ON]


def _playable(spelling: str) -> Game:
    """The game, if it has all that it needs; UserError with what is missing."""
    game = get_game(spelling)
    if game.missing:
        raise UserError(game.missing)
    return game


def _stages(spelling: str) -> Cases:
    """The game; one that changes as the budget is spent also on the way."""
    game = _playable(spelling)
    shares = STAGES if game.changes else ()
    return [(spelling, (game,)), *((f"{spelling} at {share:.0%} of its budget", (game.at(share),)) for share in shares)]


def _measured(spelling: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """A metric with the games that it is for, small ones, and of those that lack data none."""
    metric = get_metric(spelling)
    for name in map(small, games.names()):
        if metric.judges(game := get_game(name)) and not game.missing:
            yield name, (metric, game)
