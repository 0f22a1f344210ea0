"""Bugs to be planted in any update rule, and the quality gate that is to see them, in this process.

A bug is planted around a rule, in what goes into its step and comes out of it: so every rule of the registry gets every
bug that it has a place for, a new one too, and no list says which.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from zlib import crc32

import pandas as pd
import pyarrow.parquet as pq
import torch
from torch import Tensor

from bench.analysis.comparison import FAILS_ON, compare
from bench.checks.laws import leaves, restored, small
from bench.contracts import Game, Oracle, State, UpdateRule, hyperparameters
from bench.contracts.introspection import stacked, with_values
from bench.errors import UserError
from bench.execution.coordinator import failed
from bench.execution.training import execute
from bench.registry import games, get_game, get_rule, metrics, rules
from bench.registry.build import spell
from bench.registry.discovery import origin
from bench.registry.spelling import parse
from bench.storage.baseline import Baseline
from bench.storage.manifest import manifest
from bench.storage.records import Result, pack
from bench.studies.plan import Chunk, Row, Task, report_rows
from bench.studies.request import make_request
from bench.studies.study import Study
from bench.studies.toml import read_toml

FOLDER = Path(__file__).parents[2] / "results" / "reference" / "ci"
STUDY = FOLDER.with_suffix(".toml")
FEW = 3000  # parameters: a game of them is stepped in a moment
CHANGED = set(FAILS_ON["changed"])
FIRST_DRAW = 500  # of roundings that the baseline has not drawn
ROUNDINGS = 3  # draws of roundings of a rule that the baseline does not know


# --- the gate --------------------------------------------------------------------------------------------------------


@cache
def baseline() -> Baseline:
    return Baseline(FOLDER)


@cache
def study() -> Study:
    """The gate's, of what is shipped here now: another test of the same process may have registered more."""
    asked = make_request(read_toml(STUDY)).study
    shipped = [name for name in asked.optimizers if origin(rules[parse(name).name]) == "here"]
    return asked.model_copy(update={"optimizers": shipped})


@cache
def known(spelled: str, game: str) -> pd.DataFrame:
    """The committed records of a rule on a game; of one that is new what is trained of it now."""
    every = baseline().records
    own: pd.DataFrame = every[(every["optimizer"] == spelled) & (every["game"] == game)]
    if own.empty:
        drawn = [rounded_records(spelled, game, draw).assign(phase="rounded") for draw in range(ROUNDINGS)]
        return pd.concat([records(spelled, get_rule(spelled), game), *drawn], ignore_index=True)
    return own.assign(optimizer=spelled, game=game)  # plain words, for categories are slow


def records(spelled: str, rule: UpdateRule, game: str) -> pd.DataFrame:
    """What the study trains of a rule on a game, of the score alone, by this rule in the place of the spelled one."""
    return _records(spelled, rule, game, report_rows(study().seeds, {}), "untuned")  # which draws no pictures


def rounded_records(spelled: str, game: str, draw: int) -> pd.DataFrame:
    """The same with every gradient of the rule rounded at random."""
    rows = [replace(row, trial=draw) for row in report_rows(study().seeds, {})]
    return _records(spelled, get_rule(spelled), game, rows, "rounded")


def _records(spelled: str, rule: UpdateRule, game: str, rows: list[Row], phase: str) -> pd.DataFrame:
    asked = study()
    task = Task(spelled, game, asked.cost_of(game), asked.evaluations, "cpu")
    (chunk,) = task.chunks(rows, phase)
    score = [metrics[get_game(game).score]]
    with (
        patch("bench.execution.training.get_rule", lambda _: rule),
        patch("bench.execution.training.plugin_code", lambda *_: chunk.code),
        patch("bench.execution.recorder.Recorder.metrics", lambda *_: score),
    ):
        packed = pack(chunk, _trained(chunk))
    found: pd.DataFrame = pq.read_table(io.BytesIO(packed["parquet"])).to_pandas()
    return found.assign(phase="report", optimizer=spelled, game=game)


def _trained(chunk: Chunk) -> Result:
    """As a worker does it: what raises is an error of all replicas."""
    try:
        return execute(chunk)
    except Exception:
        return failed(chunk)


def verdict(spelled: str, rule: UpdateRule, game: str, elsewhere: bool = False) -> Any:
    """The gate's row on a rule in the place of the spelled one; ``elsewhere``, as if another processor had trained."""
    return compared(spelled, game, records(spelled, rule, game), elsewhere)


def compared(spelled: str, game: str, trained: pd.DataFrame, elsewhere: bool) -> Any:
    """The gate's row on what was trained of a rule on a game."""
    asked = manifest(study(), "cpu")
    asked["environment"] |= {"processor": "another"} if elsewhere else {}
    asked["study"] |= {"optimizers": [spelled], "games": [game]}
    kept = baseline()
    first = SimpleNamespace(path=FOLDER, manifest=kept.manifest, study=kept.study, records=known(spelled, game))
    second = SimpleNamespace(path=FOLDER, manifest=asked, study=study(), records=trained)
    second.study = study().model_copy(update={"optimizers": [spelled], "games": [game]})
    (row,) = compare(first, second).itertuples()
    return row


# --- bugs ------------------------------------------------------------------------------------------------------------

Step = Callable[[UpdateRule, Any, Tensor, State], tuple[Tensor, State]]


@dataclass(frozen=True)
class Planted(UpdateRule):
    """A rule that steps by ``bug(inner, F, w, s)`` and is judged by the answer of ``late`` steps ago."""

    inner: UpdateRule
    bug: Any
    late: bool = False

    @property
    def cost(self) -> float:
        return self.inner.cost

    def init(self, w: Tensor) -> State:
        s = self.inner.init(w)
        return {"now": s, "past": s, "w": w}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        s = s | {"w": w}
        moved, after = self.bug(self.inner, F, w, s)
        return moved, {"now": after, "past": s["now"], "w": w}

    def answer(self, w: Tensor, s: State) -> Tensor:
        return self.inner.answer(s["w"], s["past"]) if self.late else self.inner.answer(w, s["now"])


def as_it_is(rule: UpdateRule, F: Any, w: Tensor, s: State) -> tuple[Tensor, State]:
    return rule.step(F, w, s["now"])


def scaled(factor: float) -> Step:
    def bug(rule: UpdateRule, F: Any, w: Tensor, s: State) -> tuple[Tensor, State]:
        moved, after = rule.step(F, w, s["now"])
        return w + factor * (moved - w), after

    return bug


def remembered(name: str, change: Callable[[Tensor, Tensor], Tensor]) -> Step:
    """An entry of the memory after a step is ``change(before, after)``."""

    def bug(rule: UpdateRule, F: Any, w: Tensor, s: State) -> tuple[Tensor, State]:
        before, (moved, after) = dict(leaves(s["now"])), rule.step(F, w, s["now"])
        flat = dict(leaves(after))
        return moved, restored(after, flat | {name: change(before[name], flat[name])})

    return bug


def delayed(name: str) -> Step:
    """An entry of the memory comes a step late."""

    def bug(rule: UpdateRule, F: Any, w: Tensor, s: State) -> tuple[Tensor, State]:
        flat = dict(leaves(s["now"])) | {name: dict(leaves(s["past"]))[name]}
        return rule.step(F, w, restored(s["now"], flat))

    return bug


class Window:
    """An oracle that looks at another point, or shows another field, than it is asked for."""

    def __init__(self, F: Oracle, at: Callable[[Tensor], Tensor], shown: Callable[[Oracle, Tensor], Tensor]) -> None:
        self._F, self._at, self._shown = F, at, shown

    def __call__(self, w: Tensor, player: int | None = None) -> Tensor:
        return self._shown(self._F, self._F(self._at(w), player))

    def linear(self, w: Tensor, **which: Any) -> Any:
        field, *products = self._F.linear(self._at(w), **which)
        return (self._shown(self._F, field), *products)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._F, name)


def ascending(rule: UpdateRule, F: Any, w: Tensor, s: State) -> tuple[Tensor, State]:
    """The discriminator's gradient has the other sign."""
    return rule.step(Window(F, lambda at: at, lambda F, g: F.within(1, -g, g)), w, s["now"])  # type: ignore[arg-type]


def blind(rule: UpdateRule, F: Any, w: Tensor, s: State) -> tuple[Tensor, State]:
    """Every gradient is taken where the step begins, whatever it has done since: alternation and looking ahead lost."""
    return rule.step(Window(F, lambda at: w, lambda F, g: g), w, s["now"])  # type: ignore[arg-type]


STEPS: dict[str, Step] = {
    "a step of 1.01": scaled(1.01),
    "a step backwards": scaled(-1.0),
    "the discriminator ascends": ascending,
    "every gradient is taken where the step begins": blind,
}
MEMORIES: dict[str, Callable[[str], Step]] = {
    "is never updated": lambda name: remembered(name, lambda before, after: before),
    "has the other sign": lambda name: remembered(name, lambda before, after: -after),
    "comes a step late": delayed,
}


def bugs(rule: UpdateRule) -> Iterator[tuple[str, UpdateRule]]:
    """Every bug that a rule has a place for: (what is wrong, the rule with it)."""
    for name, bug in STEPS.items():
        yield name, Planted(rule, bug)
    yield "judged a step late", Planted(rule, as_it_is, late=True)
    start = get_game(study().games[0]).init(torch.tensor(study().seeds))
    for name, _ in leaves(rule.init(start)):
        for what, bug_of in MEMORIES.items():
            yield f"{name} {what}", Planted(rule, bug_of(name))
    yield from misread(rule)


def misread(rule: UpdateRule) -> Iterator[tuple[str, UpdateRule]]:
    """Hyperparameters: each read wrongly, each two of a kind swapped."""
    known = hyperparameters(rule)
    for path, (kind, value) in known.items():
        if isinstance(value, int):
            yield f"{path} + 1", with_values(rule, {path: value + 1})
        elif value:
            yield f"{path} a tenth", with_values(rule, {path: value / 10})  # a threshold may not feel less
        else:
            yield f"{path} not 0", with_values(rule, {path: min(0.01, kind.most)})
    numbers = [(path, kind.kind, value) for path, (kind, value) in known.items()]
    for (path, kind, value), (other, own, swapped) in combinations(numbers, 2):
        if own == kind and swapped != value and path.rpartition(".")[0] == other.rpartition(".")[0]:
            try:
                wrong = with_values(rule, {path: swapped, other: value})
            except UserError:  # the rule itself refuses it
                continue
            yield f"{path} and {other} swapped", wrong


# --- bugs that are none ----------------------------------------------------------------------------------------------


def same_way(one: UpdateRule, other: UpdateRule, game: Game, steps: int) -> bool:
    """Whether two rules go the same way, bit for bit, and are judged the same, at every step."""
    seeds = torch.tensor(study().seeds[:2])
    rows: list[dict[str, Any]] = [{}] * len(seeds)
    sides = [(stacked(rule, rows, game), Oracle(game, seeds)) for rule in (one, other)]
    w = game.init(seeds)
    states = [(w, rule.init(w)) for rule, _ in sides]
    for _ in range(steps):
        states = [rule.step(F, *at) for (rule, F), at in zip(sides, states, strict=True)]
        for _, F in sides:
            F.new_batch()
        (first, s), (second, t) = states
        points = [(first, second), (sides[0][0].answer(first, s), sides[1][0].answer(second, t))]
        if not all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in points):
            return False
    return True


def quicker(rule: UpdateRule) -> UpdateRule:
    """The rule with ten times its step sizes: thresholds are crossed that were far away."""
    sizes = {path: 10 * value for path, (kind, value) in hyperparameters(rule).items() if kind.step_size}
    changed: UpdateRule = with_values(rule, sizes)
    return changed


def as_if_none_were(one: UpdateRule, other: UpdateRule) -> bool:
    """Whether a bug changes no bit of the study: the gate has nothing to see."""
    steps = int(study().cost_of("dirac") / one.cost)
    return all(same_way(one, other, get_game(game), steps) for game in study().games)


@cache
def light() -> list[Game]:
    """The games of few parameters and two players, which every rule can be applied to, made small."""
    made = [get_game(small(name)) for name in games.names()]
    return [game for game in made if not game.missing and game.players == 2 and sum(game.sizes) <= FEW]


def none_at_all(one: UpdateRule, other: UpdateRule) -> bool:
    """Whether a bug changes no bit on any small game, nor at ten times the step size."""
    pairs = ((one, other), (quicker(one), quicker(other)))
    return all(same_way(*pair, game, steps=12) for pair in pairs for game in light())


def distinct() -> list[str]:
    """The study's rules, each once: a preset and what it spells are one."""
    return list({spell(get_rule(name)): name for name in reversed(study().optimizers)}.values())[::-1]


# --- all of it -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Examined:
    """A bug in a rule, and what the gate says: a verdict, or that it is none because nothing differs anywhere."""

    rule: str
    what: str
    said: str
    number: bool = False  # a hyperparameter is read wrongly; else the step or the memory is wrong

    @property
    def seen(self) -> bool:
        return self.said in CHANGED

    @property
    def none(self) -> bool:
        return self.said == "none"


def alarms(spelled: str, draws: int) -> list[str]:
    """What the gate says of a rule that is as it was, when every gradient is rounded otherwise: nothing, it should."""
    torch.set_num_threads(1)
    rows = [
        (game, draw, compared(spelled, game, rounded_records(spelled, game, FIRST_DRAW + draw), elsewhere=True))
        for game in study().games
        for draw in range(draws)
    ]
    return [
        f"{spelled} on {game}, draw {d}: {row.verdict}, {row.change}" for game, d, row in rows if row.verdict in CHANGED
    ]


def examined(spelled: str, share: int = 1) -> list[Examined]:
    """The bugs of a rule before the gate as it judges another processor's runs, after the rule itself.

    With a share of n it is every n-th bug, counted from one that the rule's name decides.
    """
    torch.set_num_threads(1)
    rule = get_rule(spelled)
    found = [Examined(spelled, "", str(verdict(spelled, rule, game).verdict)) for game in study().games]
    numbers = {what for what, _ in misread(rule)}
    planted = islice(bugs(rule), crc32(spelled.encode()) % share, None, share)
    return found + [Examined(spelled, what, _said(spelled, rule, bug), what in numbers) for what, bug in planted]


def _said(spelled: str, rule: UpdateRule, bug: UpdateRule) -> str:
    """The verdict on the first game on which there is something to see."""
    first, *others = study().games
    said = str(verdict(spelled, bug, first, elsewhere=True).verdict)
    if said in CHANGED:
        return said
    if as_if_none_were(rule, bug):
        return "none" if none_at_all(rule, bug) else "no bit of the study differs"
    verdicts = (str(verdict(spelled, bug, game, elsewhere=True).verdict) for game in others)
    return next((said for said in verdicts if said in CHANGED), said)
