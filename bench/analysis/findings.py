"""The findings of a study: the best rule of each game, the rules tied with it, by how much it wins, at what cost.

The best is the one with the best interquartile mean. Every other rule is compared with it on the seeds that both were
trained with (Wilcoxon's signed-rank test, exact, two-sided; a failure is worse than any number), the p values of a game
corrected together (Holm 1979). That the best was picked by the same scores makes the others' p values a little too
small where many are nearly as good.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd

from bench.analysis.scores import scores
from bench.analysis.statistics import Interval, holm, paired_test, probability_of_improvement
from bench.analysis.study import ComparedStudy
from bench.analysis.table import games_of
from bench.registry.description import MetricDescription

LEVEL = 0.05


class Rival(NamedTuple):
    """A rule beside the best one: its score, Holm's p of the difference, how often a run of the best is better."""

    rule: str
    score: Interval
    p: float
    improvement: Interval

    @property
    def tied(self) -> bool:
        """Whether it is not significantly different from the best."""
        return self.p > LEVEL


class Failure(NamedTuple):
    """How many of a rule's ``n`` replicas on a game diverged, stopped with an error, learned nothing or collapsed."""

    rule: str
    n: int
    diverged: int
    errors: int
    not_learned: int
    collapsed: int

    @property
    def words(self) -> str:
        """What happened how often: ``3 of 10 diverged``."""
        named = {"diverged": self.diverged, "stopped with an error": self.errors}
        named |= {"learned nothing": self.not_learned, "collapsed": self.collapsed}
        return ", ".join(f"{count} of {self.n} {what}" for what, count in named.items() if count)


class Finding(NamedTuple):
    """A game's verdict; ``best`` is "" where no rule came through. Costs are those of the best rule."""

    game: str
    metric: MetricDescription
    best: str
    score: Interval
    cost: float
    seconds: float
    tuning_cost: float
    seeds: int
    rivals: list[Rival]
    failures: list[Failure]

    @property
    def smallest(self) -> float:
        """The smallest p that so many seeds and rivals allow: every seed for the same rule, times Holm's factor."""
        return min(1.0, max(1, len(self.rivals)) * 2.0 ** (1 - self.seeds))

    @property
    def needed(self) -> int:
        """How many seeds are needed for any difference to be significant."""
        return 1 + math.ceil(math.log2(max(1, len(self.rivals)) / LEVEL))

    @property
    def decidable(self) -> bool:
        """Whether there are enough seeds for any difference to be significant."""
        return self.smallest <= LEVEL

    @property
    def tied(self) -> list[Rival]:
        """The rules that are not significantly different from the best."""
        return [rival for rival in self.rivals if rival.tied]

    @property
    def worse(self) -> list[Rival]:
        """The rules that are significantly worse than the best, the nearest first."""
        return [rival for rival in self.rivals if not rival.tied]

    def behind(self, rival: Rival) -> str:
        """How a rule's score stands to the best one's: a factor where both are positive, else a difference."""
        best_score, score = self.score.value, rival.score.value
        if math.isinf(score):
            return "most replicas failed"
        if best_score > 0 and score > 0 and 0.995 < score / best_score < 1.005:
            return "equal to two digits"
        if best_score > 0 and score > 0:
            return f"{score / best_score:.3g} times its score"
        return f"{abs(score - best_score):.3g} behind"


def findings(table: pd.DataFrame, records: pd.DataFrame, study: ComparedStudy) -> list[Finding]:
    """The verdict of every game of a table (`bench.analysis.table.table`), from the records that it was made of."""
    return [_finding(str(game), rows, records[records["game"] == game], study) for game, rows in games_of(table)]


def winners(verdicts: list[Finding]) -> dict[str, list[Finding]]:
    """rule -> the verdicts of the games on which it is best, the rule with the most games first."""
    games_won: dict[str, list[Finding]] = {}
    for finding in verdicts:
        if finding.best:
            games_won.setdefault(finding.best, []).append(finding)
    return dict(sorted(games_won.items(), key=lambda pair: -len(pair[1])))


def _finding(game: str, rows: pd.DataFrame, game_records: pd.DataFrame, study: ComparedStudy) -> Finding:
    metric, by_rule = study.metric(rows["metric"].iloc[0]), rows.set_index("optimizer")
    failures = [failure for rule, row in by_rule.iterrows() if (failure := _failure(str(rule), row)).words]
    failures.sort(key=lambda failure: (-failure.diverged - failure.errors, -failure.not_learned - failure.collapsed))
    higher = metric.better == "higher"
    order = by_rule.sort_values("iqm", ascending=not higher, kind="stable")
    scores_by_seed, best = scores(game_records, metric), str(order.index[0])
    if order["iqm"].iloc[0] == metric.worst:
        none = math.nan
        return Finding(game, metric, "", _score(order.iloc[0]), none, none, none, scores_by_seed.shape[1], [], failures)
    others = [str(rule) for rule in order.index[1:]]
    best_scores = scores_by_seed.loc[best].to_numpy()
    p_values = (
        holm([paired_test(best_scores, scores_by_seed.loc[rule].to_numpy()) for rule in others]) if others else ()
    )
    rivals = [
        Rival(
            rule,
            _score(order.loc[rule]),
            float(p),
            probability_of_improvement(best_scores, scores_by_seed.loc[rule].to_numpy(), higher=higher, resamples=2000),
        )
        for rule, p in zip(others, p_values, strict=True)
    ]
    row = order.iloc[0]
    cost, seconds, tuning = (float(row[name]) for name in ("cost", "seconds", "tuning_cost"))
    return Finding(game, metric, best, _score(row), cost, seconds, tuning, int(row["n"]), rivals, failures)


def _failure(rule: str, row: pd.Series) -> Failure:
    counted = ("n", "diverged", "errors", "not_learned", "collapsed")
    return Failure(rule, *(0 if pd.isna(row[name]) else int(row[name]) for name in counted))


def _score(row: pd.Series) -> Interval:
    return Interval(float(row["iqm"]), float(row["low"]), float(row["high"]))
