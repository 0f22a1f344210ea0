"""What a study found: on each game the best rule, who cannot be told apart from it, by how much, at what cost.

The best is the one with the best interquartile mean. Every other rule is compared with it on the seeds that both were
trained with (Wilcoxon's signed-rank test, exact, two-sided; a failure is worse than any number), the p values of a game
corrected together (Holm 1979). That the best was picked by the same scores makes the others' p values a little too
small where many are nearly as good.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd

from bench.registry import NamedMetric, get_metric
from bench.statistics import Interval, holm, paired_test, probability_of_improvement
from bench.table import games_of, scores

LEVEL = 0.05


class Rival(NamedTuple):
    """A rule beside the best one: its score, Holm's p of the difference, how often a run of the best is better."""

    rule: str
    score: Interval
    p: float
    improvement: Interval

    @property
    def tied(self) -> bool:
        """Whether it cannot be told apart from the best."""
        return self.p > LEVEL


class Finding(NamedTuple):
    """A game's verdict; ``best`` is "" where no rule came through."""

    game: str
    metric: NamedMetric
    best: str
    score: Interval
    cost: float
    seconds: float
    seeds: int
    rivals: list[Rival]

    @property
    def decidable(self) -> bool:
        """Whether the seeds are enough for any difference to be told."""
        return 2.0 ** (1 - self.seeds) <= LEVEL

    @property
    def tied(self) -> list[Rival]:
        """Who cannot be told apart from the best."""
        return [rival for rival in self.rivals if rival.tied]

    @property
    def worse(self) -> list[Rival]:
        """Who is worse, the nearest first."""
        return [rival for rival in self.rivals if not rival.tied]

    def behind(self, rival: Rival) -> str:
        """How a rule's score stands to the best one's: a factor where both are positive, else a difference."""
        own, other = self.score.value, rival.score.value
        if math.isinf(other):
            return "most replicas failed"
        if own > 0 and other > 0:
            return f"{other / own:.3g} times its score"
        return f"{abs(other - own):.3g} behind"


def findings(found: pd.DataFrame, records: pd.DataFrame) -> list[Finding]:
    """The verdict of every game of a table (`bench.table.table`), from the records that it was made of."""
    return [_finding(str(game), rows, records[records["game"] == game]) for game, rows in games_of(found)]


def _finding(game: str, rows: pd.DataFrame, here: pd.DataFrame) -> Finding:
    metric, by_rule = get_metric(rows["metric"].iloc[0]), rows.set_index("optimizer")
    higher = metric.better == "higher"
    order = by_rule.sort_values("iqm", ascending=not higher, kind="stable")
    wide, best = scores(here, metric), str(order.index[0])
    if order["iqm"].iloc[0] == metric.worst:
        return Finding(game, metric, "", _score(order.iloc[0]), math.nan, math.nan, wide.shape[1], [])
    others = [str(rule) for rule in order.index[1:]]
    own = wide.loc[best].to_numpy()
    p_values = holm([paired_test(own, wide.loc[rule].to_numpy()) for rule in others]) if others else ()
    rivals = [
        Rival(
            rule,
            _score(order.loc[rule]),
            float(p),
            probability_of_improvement(own, wide.loc[rule].to_numpy(), higher=higher, resamples=2000),
        )
        for rule, p in zip(others, p_values, strict=True)
    ]
    row = order.iloc[0]
    return Finding(game, metric, best, _score(row), float(row["cost"]), float(row["seconds"]), int(row["n"]), rivals)


def _score(row: pd.Series) -> Interval:
    return Interval(float(row["iqm"]), float(row["low"]), float(row["high"]))
