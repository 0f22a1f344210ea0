"""The findings of a study: the best rule of each game, the rules tied with it, by how much it wins, at what cost.

The best is the one with the best interquartile mean. Every other rule is compared with it on the seeds that both were
trained with (Wilcoxon's signed-rank test, exact, two-sided; a failure is worse than any number), the p values of a game
corrected together (Holm 1979). That the best was picked by the same scores makes the others' p values a little too
small where many are nearly as good.

For a rule that is not told apart, the verdict says how many seeds would do it with 80 % power, if the two differ as
they do on these (`bench.analysis.statistics.power`), at the level that Holm's procedure would test at next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bench.analysis.formatting import MOST_SEEDS, about
from bench.analysis.scores import scores
from bench.analysis.statistics import Interval, holm, paired_test, probability_of_improvement, seeds_needed
from bench.analysis.study import ComparedStudy
from bench.analysis.table import games_of
from bench.registry.description import MetricDescription

LEVEL = 0.05


class Rival(NamedTuple):
    """A rule beside the best one: its score, Holm's p of the difference, how often a run of the best is better.

    ``seeds`` is how many would tell the two apart (`seeds_needed`); 0 where these do.
    """

    rule: str
    score: Interval
    p: float
    improvement: Interval
    seeds: float = 0.0

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
    def power(self) -> str:
        """How many seeds would tell the tied rules apart from the best, in words; "" where none is tied."""
        return seeds_in_words(self.best, {rival.rule: rival.seeds for rival in self.tied})

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
    by_score = by_rule.sort_values("iqm", ascending=not higher, kind="stable")
    order = by_score.sort_values("untrainable", kind="stable")  # what cannot be trained stands last
    scores_by_seed, best = scores(game_records, metric), str(order.index[0])
    if order["iqm"].iloc[0] == metric.worst or order["untrainable"].iloc[0]:
        none = math.nan
        return Finding(game, metric, "", _score(order.iloc[0]), none, none, none, scores_by_seed.shape[1], [], failures)
    rivals = _rivals(order.iloc[1:], best, scores_by_seed, higher)
    row = order.iloc[0]
    cost, seconds, tuning = (float(row[name]) for name in ("cost", "seconds", "tuning_cost"))
    return Finding(game, metric, best, _score(row), cost, seconds, tuning, int(row["n"]), rivals, failures)


def _rivals(others: pd.DataFrame, best: str, scores_by_seed: pd.DataFrame, higher: bool) -> list[Rival]:
    """The other rules beside the best one; their rows of the table, and the scores of all rules [rules, seeds]."""
    if others.empty:
        return []
    best_scores = scores_by_seed.loc[best].to_numpy()
    pairs = {str(rule): scores_by_seed.loc[rule].to_numpy() for rule in others.index}
    p_values = holm([paired_test(best_scores, own) for own in pairs.values()])
    level = next_level(p_values)
    return [
        Rival(
            rule,
            _score(others.loc[rule]),
            float(p),
            probability_of_improvement(best_scores, own, higher=higher, resamples=2000),
            seeds_needed(best_scores, own, level) if p > LEVEL else 0.0,
        )
        for (rule, own), p in zip(pairs.items(), p_values, strict=True)
    ]


def next_level(p_values: ArrayLike) -> float:
    """The level that Holm's procedure would test at next: `LEVEL` over the comparisons that are not told apart yet.

    Args:
        p_values: corrected ones [m].
    """
    return LEVEL / max(1, int((np.asarray(p_values) > LEVEL).sum()))


def seeds_in_words(first: str, seeds: Mapping[str, float], most: int = 4) -> str:
    """``about 40 seeds would tell adam and ttur apart``, the fewest first; ``seeds`` is rule -> how many it takes."""
    order = sorted(seeds, key=lambda rule: seeds[rule])
    near = [rule for rule in order if seeds[rule] <= MOST_SEEDS]
    parts = [
        f"{about(seeds[rule])} would tell {first} and {rule} apart"
        if k == 0
        else f"{about(seeds[rule])} {first} and {rule}"
        for k, rule in enumerate(near[:most])
    ]
    if len(near) > most:
        parts[-1] += f" ({len(near) - most} more {'rule takes' if len(near) == most + 1 else 'rules take'} more)"
    if level := order[len(near) :]:
        named = ", ".join(level[:most]) + (f" and {len(level) - most} more" if len(level) > most else "")
        parts.append(f"{about(math.inf)} would be needed for {named}: level with {first} for all practical purposes")
    return "; ".join(parts)


def _failure(rule: str, row: pd.Series) -> Failure:
    counted = ("n", "diverged", "errors", "not_learned", "collapsed")
    return Failure(rule, *(0 if pd.isna(row[name]) else int(row[name]) for name in counted))


def _score(row: pd.Series) -> Interval:
    return Interval(float(row["iqm"]), float(row["low"]), float(row["high"]))
