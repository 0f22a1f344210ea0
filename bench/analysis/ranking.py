"""The ranks of rules on every game, and over all games together.

A rule's rank on a game is by interquartile mean: 1 is the best, equal scores share their mean rank, and a rule that
mostly failed is last. Beside it is the range of ranks that it may have: a rule is certainly ahead of another only where
their 95 % intervals do not overlap. Over the games ranks are averaged and compared by Friedman's test
with Nemenyi's critical difference (Demsar 2006, JMLR 7:1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from bench.analysis.findings import LEVEL
from bench.analysis.formatting import about
from bench.analysis.scores import scores
from bench.analysis.statistics import (
    Array,
    Interval,
    critical_difference,
    friedman_nemenyi,
    games_needed,
    mean_ranks,
)
from bench.analysis.study import ComparedStudy
from bench.analysis.table import games_of
from bench.registry.description import MetricDescription


class Place(NamedTuple):
    """A rule's rank among ``rules`` on a game, the best and the worst that it may have.

    ``failed``: no finite score; ``untrainable``: it learned at no step size tried, has no rank and stands last.
    """

    rank: float
    first: int
    last: int
    rules: int
    failed: bool
    untrainable: bool = False

    @property
    def heat(self) -> float:
        """1 for every rule that none is surely ahead of, 0 for one that all others are ahead of."""
        return (self.rules - self.first) / (self.rules - 1) if self.rules > 1 else 1.0

    @property
    def words(self) -> str:
        """The rank, and in brackets those that it may have where its interval overlaps others."""
        if self.untrainable:
            return "none: cannot be trained here"
        return f"{self.rank:g}" + (f" ({self.first}–{self.last})" if self.first != self.last else "")


class Standing(NamedTuple):
    """Rules over games: mean ranks, best first, the critical difference, the groups [first, last] that are tied.

    Where no diagram can be given ``why`` says so, and the difference is NaN; where there is no test, p is NaN.
    """

    games: list[str]
    ranks: dict[str, float]
    statistic: float = math.nan
    p: float = math.nan
    difference: float = math.nan
    groups: tuple[tuple[int, int], ...] = ()
    why: str = ""

    @property
    def power(self) -> str:
        """Over how many games Nemenyi's test would tell the first rule from one under its bar, in words.

        The rule furthest from it is meant: it is told apart first. "" where no bar joins the first rule to others.
        """
        last = max((end for start, end in self.groups if start == 0), default=0)
        if not last:
            return ""
        first, other = (list(self.ranks)[i] for i in (0, last))
        games = about(games_needed(self.ranks[other] - self.ranks[first], len(self.ranks), LEVEL), "games")
        return f"{games} would tell {first} and {other} apart, if their ranks stay as they are; more seeds would not"


class Order(NamedTuple):
    """Rules by their mean rank over the games of one kind, the best first, with 95 % intervals over the seeds."""

    kind: str
    games: list[str]
    ranks: dict[str, Interval]

    @property
    def where(self) -> str:
        """The games in words: ``over the 3 GANs``, ``on dirac``."""
        return f"over the {len(self.games)} {self.kind}" if len(self.games) > 1 else f"on {self.games[0]}"

    @property
    def first(self) -> str:
        """The rule with the best mean rank."""
        return next(iter(self.ranks))

    @property
    def level(self) -> list[str]:
        """The others that are not surely behind it: whose intervals overlap its own."""
        return [rule for rule, rank in self.ranks.items() if rule != self.first and rank.low <= self.high]

    @property
    def high(self) -> float:
        """The worst mean rank that the first may have."""
        return self.ranks[self.first].high


def orders(table: pd.DataFrame, records: pd.DataFrame, study: ComparedStudy) -> list[Order]:
    """The order over the GANs, and that over the games in closed form, where nothing is drawn at random.

    Args:
        table: of `bench.analysis.table.table`.
        records: long records that it was made of.
        study: what was asked.

    Returns:
        An order for each kind that has a game on which every rule is finished; none for a single rule.
    """
    whole = {str(game): rows.set_index("optimizer") for game, rows in games_of(_whole(table, study.optimizers))}
    kinds = {True: "GANs", False: "games in closed form"}
    found = []
    for sampled, kind in kinds.items():
        games = [game for game in study.games if game in whole and study.game(game).minibatches is sampled]
        if games and len(study.optimizers) > 1:
            by_seed = [_by_seed(records[records["game"] == game], whole[game], study) for game in games]
            band = mean_ranks(np.stack(by_seed))
            order = np.argsort(band.value, kind="stable")
            ranks = {study.optimizers[i]: Interval(*(float(part[i]) for part in band)) for i in order}
            found.append(Order(kind, games, ranks))
    return found


def _by_seed(game_records: pd.DataFrame, rows: pd.DataFrame, study: ComparedStudy) -> Array:
    """Scores [rules, seeds] of a game, lower is better; infinite for what cannot be trained there."""
    metric, rules = study.metric(rows["metric"].iloc[0]), list(study.optimizers)
    seeds = sorted(game_records.loc[game_records["phase"] == "report", "seed"].unique())
    signed = metric.sign * scores(game_records, metric, order=rules, seeds=seeds).to_numpy(float)
    return np.where(rows.loc[rules, "untrainable"].to_numpy(bool)[:, None], np.inf, signed)


def ranks(table: pd.DataFrame, study: ComparedStudy) -> dict[tuple[str, str], Place]:
    """(rule, game) -> its place, of a table (`bench.analysis.table.table`)."""
    return {
        (str(rule), str(game)): place
        for game, rows in games_of(table)
        for rule, place in zip(rows["optimizer"], places(rows, study.metric(rows["metric"].iloc[0])), strict=True)
    }


def _ordered(rows: pd.DataFrame, metric: MetricDescription) -> tuple[Array, Array, Array]:
    """Score and interval of a game's rows such that lower is better; infinite for what cannot be trained there."""
    score, low, high = (rows[name].to_numpy(float) for name in ("iqm", "low", "high"))
    ordered = (-score, -high, -low) if metric.better == "higher" else (score, low, high)
    lost = rows["untrainable"].to_numpy(bool)
    score, low, high = (np.where(lost, np.inf, part) for part in ordered)
    return score, low, high


def places(rows: pd.DataFrame, metric: MetricDescription) -> list[Place]:
    """The place of each row among all of them.

    Args:
        rows: iqm, low, high and untrainable of rules on one game.
        metric: the game's.
    """
    score, low, high = _ordered(rows, metric)
    ahead = high[:, None] < low  # [i, j]: all of i's interval is better than j's
    first, last = 1 + ahead.sum(axis=0), len(rows) - ahead.sum(axis=1)
    failed = rows["iqm"].to_numpy(float) == metric.worst
    parts = zip(stats.rankdata(score), first, last, failed, rows["untrainable"], strict=True)
    return [
        Place(float(rank), int(low), int(high), len(rows), bool(none), bool(lost))
        for rank, low, high, none, lost in parts
    ]


def standing(table: pd.DataFrame, study: ComparedStudy) -> Standing:
    """The rules of a study over the games on which all of them are finished."""
    rules = study.optimizers
    blocks = [
        (str(game), rows.set_index("optimizer").loc[list(rules)]) for game, rows in games_of(_whole(table, rules))
    ]
    games = [game for game, _ in blocks]
    if not games:
        return Standing([], {}, why="there is no game yet on which every rule is finished")
    tested = friedman_nemenyi(np.array([_ordered(rows, study.metric(rows["metric"].iloc[0]))[0] for _, rows in blocks]))
    order = np.argsort(tested.ranks, kind="stable")
    ranks = {rules[i]: float(tested.ranks[i]) for i in order}
    if tested.statistic is None or tested.p is None:
        return Standing(games, ranks, why=tested.reason)
    difference = critical_difference(len(rules), len(games), 1 - LEVEL)
    numbers = Standing(games, ranks, tested.statistic, tested.p)
    if difference >= len(rules) - 1:
        most = len(rules) - 1
        enough = next(n for n in range(len(games), 100) if critical_difference(len(rules), n, 1 - LEVEL) < most)
        return numbers._replace(
            why=f"mean ranks of {len(rules)} rules over {len(games)} games would have to be {difference:.3g} apart to "
            f"differ, and {len(rules) - 1} is the most that they can be; at least {enough} games are needed"
        )
    groups = _groups(list(ranks.values()), difference if tested.p <= LEVEL else math.inf)
    return numbers._replace(difference=difference, groups=groups)


def _whole(table: pd.DataFrame, rules: Sequence[str]) -> pd.DataFrame:
    """The rows of the games on which every rule is finished."""
    if table.empty:
        return table
    return table[table.groupby("game", observed=True)["optimizer"].transform("nunique") == len(rules)]


def _groups(ranks: Sequence[float], difference: float) -> tuple[tuple[int, int], ...]:
    """The longest runs of at least two ranks, in rising order, of which none is further apart than the difference."""
    ends = [max(j for j in range(i, len(ranks)) if ranks[j] - ranks[i] <= difference) for i in range(len(ranks))]
    runs = [(i, end) for i, end in enumerate(ends) if end > i]
    return tuple(run for run in runs if not any(other[0] < run[0] and run[1] <= other[1] for other in runs))
