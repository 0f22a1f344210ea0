"""The top of the report: the order of the rules over the GANs and over the games in closed form, and who wins where."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from bench.analysis.findings import findings
from bench.analysis.ranking import Order, orders
from bench.analysis.statistics import Interval, mean_ranks
from bench.analysis.table import table
from bench.registry.description import GameDescription, MetricDescription
from bench.report.answer import MOST, drawings, winners
from bench.report.figures.panels import looks

SEEDS = 8


@dataclass
class Compared:
    """A study of two GANs and a game in closed form, lower scores being better."""

    optimizers: list[str]
    games: list[str] = field(default_factory=lambda: ["gan1", "closed", "gan2"])

    def game(self, label: str) -> GameDescription:
        return GameDescription("distance", 10.0, minibatches=label != "closed")

    def metric(self, name: str) -> MetricDescription:
        return MetricDescription(name)

    def primary(self, game: str) -> MetricDescription:
        return self.metric("distance")


def records(scores: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    """Report records of (rule, game) -> a final score for each seed, infinite for one that diverged."""
    rows = [
        {"optimizer": rule, "game": game, "hyperparameters": "{}", "seed": seed, "phase": "report", "trial": 0}
        | {"cost": cost, "seconds": 0.1, "metric": "distance", "value": 9.0 if cost == 0 else score, "ended": 10.0}
        | {"outcome": "ok" if np.isfinite(score) else "diverged"}
        for (rule, game), by_seed in scores.items()
        for seed, score in enumerate(by_seed)
        for cost in (0.0, 10.0)
    ]
    return pd.DataFrame(rows)


def found(scores: dict[tuple[str, str], list[float]]) -> tuple[pd.DataFrame, pd.DataFrame, Compared]:
    study, own = Compared(list(dict.fromkeys(rule for rule, _ in scores))), records(scores)
    return table(own, study), own, study


def around(middle: float, seed: int) -> list[float]:
    return list(middle + np.random.default_rng(seed).normal(size=SEEDS))


@pytest.fixture
def scores() -> dict[tuple[str, str], list[float]]:
    """On the GANs a is ahead, b next; in closed form c is, and a diverges."""
    middles = {("a", "gan1"): 2, ("b", "gan1"): 4, ("c", "gan1"): 9, ("a", "gan2"): 1, ("b", "gan2"): 1.2}
    middles |= {("c", "gan2"): 9, ("b", "closed"): 7, ("c", "closed"): 1}
    of = {pair: around(middle, k) for k, (pair, middle) in enumerate(middles.items())}
    return {
        (rule, game): of.get((rule, game), [np.inf] * SEEDS) for rule in "abc" for game in ("gan1", "gan2", "closed")
    }


def test_gans_and_games_in_closed_form_are_ordered_apart(scores: dict[tuple[str, str], list[float]]) -> None:
    gans, closed = orders(*found(scores))
    assert (gans.kind, gans.games, gans.where) == ("GANs", ["gan1", "gan2"], "over the 2 GANs")
    assert (closed.games, closed.where) == (["closed"], "on closed")
    assert list(closed.ranks) == ["c", "b", "a"]
    own = np.array([[scores[rule, game] for rule in "abc"] for game in gans.games])
    band = mean_ranks(own)
    assert {rule: gans.ranks[rule] for rule in "abc"} == {
        rule: Interval(*(float(part[i]) for part in band)) for i, rule in enumerate("abc")
    }
    assert gans.first == min("abc", key=lambda rule: gans.ranks[rule].value)
    assert gans.level == [rule for rule in "ab" if rule != gans.first], "c is surely behind"


def test_a_game_that_is_not_finished_orders_nothing(scores: dict[tuple[str, str], list[float]]) -> None:
    del scores["b", "gan2"]
    gans, _ = orders(*found(scores))
    assert gans.games == ["gan1"]
    assert orders(*found({pair: own for pair, own in scores.items() if pair[0] == "a"})) == [], "one rule alone"


def test_who_wins_where_is_what_the_verdicts_say(scores: dict[tuple[str, str], list[float]]) -> None:
    own_table, own, study = found(scores)
    verdicts, by_kind = findings(own_table, own, study), orders(own_table, own, study)
    words = winners(by_kind, verdicts)
    assert list(words) == [rule for rule in by_kind[0].ranks if rule in words]
    for finding in verdicts:
        assert words[finding.best][finding.game] == "best"
        for rival in finding.rivals:
            told = "failed" if np.isinf(rival.score.value) else "level" if rival.tied else "worse"
            assert words.get(rival.rule, {}).get(finding.game, told) == told
    assert winners([], verdicts) == {}


def test_the_map_is_small_however_many_rules_there_are() -> None:
    rules = [f"r{i}" for i in range(30)]
    scores = {(rule, game): around(1.0, i) for i, rule in enumerate(rules) for game in ("gan1", "gan2", "closed")}
    own_table, own, study = found(scores)
    verdicts = findings(own_table, own, study)
    words = winners(orders(own_table, own, study), verdicts)
    assert len(words) == MOST
    assert {finding.best for finding in verdicts} <= set(words)


def test_each_order_has_a_figure() -> None:
    ranks = {"a": Interval(1.5, 1, 2), "b": Interval(2.5, 2, 3)}
    drawn = drawings([Order("GANs", ["g", "h"], ranks), Order("games in closed form", ["i"], ranks)], looks(["a", "b"]))
    assert [drawing.name for drawing in drawn] == ["order-gans", "order-closed-form"]
    assert [drawing.heading for drawing in drawn] == ["Mean ranks over the 2 GANs", "Mean ranks on i"]
    assert all(">a</text>" in drawing.svg for drawing in drawn)
