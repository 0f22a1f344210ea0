"""Tuning: every rule gets the same number of trials, cost a trial and tuning seeds, and what is chosen is frozen.

A trial's value is the median over its tuning seeds of the game's primary metric, a failed replica counting as the
worst. All trials of a round and all tuning seeds train as one stack. The best RERANKED trials are trained again on
tuning seeds of their own, and what is best on all their seeds is chosen, so that a lucky draw does not win. Where
trials go, `bench.studies.tuning.search` says; which are given up early, `bench.studies.tuning.pruning`.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator

import numpy as np
import pandas as pd

from bench.analysis.scores import final_scores
from bench.analysis.statistics import interquartile_mean
from bench.contracts import UpdateRule, hyperparameters
from bench.studies.plan import TUNING_SEED, Chunk, Curves, Row, Task, Values
from bench.studies.study import Study
from bench.studies.tuning.optuna_adapters import BATCH, sampled
from bench.studies.tuning.pruning import KEPT as RERANKED
from bench.studies.tuning.search import Point, Space, Trial, best, propose, rounds

MARKS = 5  # evaluations of a tuning replica

Rounds = Generator[list[Chunk], pd.DataFrame, Values]


def tune(task: Task, study: Study) -> Rounds:
    """Yields the chunks of each round and is sent their records; returns the values to freeze."""
    frozen = study.hyperparameters.get(task.game, {}).get(task.optimizer)
    space = task.tunable(study.tune)
    if frozen is not None or not study.trials or not space:
        return dict(frozen or {})
    tuning = _Tuning(task, study, space)
    while batch := tuning.ask():
        tuning.tell((yield batch))
    chosen = tuning.chosen((yield tuning.rerank()))
    return declared(task.rule, space) if chosen is None else dict(tuning.tried[chosen].point)


def declared(rule: UpdateRule, space: Space) -> Values:
    """The declared defaults of what is tuned."""
    return {path: value for path, (_, value) in hyperparameters(rule).items() if path in space}


def replicas(study: Study, optimizer: str) -> int:
    """Trainings granted to the tuning of a rule on a game; what failed or pruned trials do not spend is saved."""
    frozen = all(optimizer in study.hyperparameters.get(game, {}) for game in study.games)
    if frozen or not study.searched(optimizer) or not study.trials:
        return 0
    return (study.trials + RERANKED) * study.tuning_seeds


class _Tuning:
    """The trials of one rule on one game."""

    def __init__(self, task: Task, study: Study, space: Space) -> None:
        self.task, self.study, self.space = task, study, space
        self.metric = study.primary(task.game)
        self.tried: list[Trial] = []
        self.curves: list[np.ndarray] = []  # of each trial: [marks, seeds]
        self.finals: list[np.ndarray] = []  # of each trial: [seeds]
        self.left, self.spread, self.asked = self._rounds(), 0, list[Point]()

    def _rounds(self) -> list[list[tuple[bool, int, int]]]:
        if not self.study.sampler:
            return rounds(self.study.trials, len(self.space))
        firsts = range(0, self.study.trials, BATCH)
        return [[(False, first, min(BATCH, self.study.trials - first))] for first in firsts]

    def ask(self) -> list[Chunk]:
        """The chunks of the next round; none after the last trial."""
        chunks: list[Chunk] = []
        self.asked = []
        for spread, first, count in self.left.pop(0) if self.left else ():
            if self.study.sampler:
                points = sampled(self.study.sampler, self.space, self.tried, count)
            else:
                points = propose(self.space, spread, self.tried, self.spread, count)
            self.spread += count if spread else 0
            rows = list(self._rows(enumerate(points, first), 0))
            chunks += self.task.chunks(rows, "tune", MARKS, self.study.pruner, self._rivals())
            self.asked += points
        return chunks

    def _rows(self, points: Iterator[tuple[int, Point]] | list[tuple[int, Point]], fresh: int) -> Iterator[Row]:
        seeds = range(fresh * self.study.tuning_seeds, (fresh + 1) * self.study.tuning_seeds)
        for number, point in points:
            for seed in seeds:
                yield Row(TUNING_SEED + seed, tuple(sorted(point.items())), number)

    def _rivals(self) -> Curves:
        """Curves of the best trials so far, [marks, rivals, seeds], that new trials are compared with."""
        leaders = [self.curves[i] for i in best(self.tried, RERANKED)]
        if not leaders or self.study.pruner == "none":
            return ()
        return tuple(tuple(tuple(map(float, row)) for row in mark) for mark in np.stack(leaders, axis=1))

    def tell(self, records: pd.DataFrame) -> None:
        """Add the records of the round, in the order of its trials."""
        sign = self.metric.sign
        metric_records = records[records["metric"] == self.metric.name]
        ended = (
            metric_records.groupby(["trial", "seed"], observed=True)["outcome"].first().unstack("seed") == "interrupted"
        )
        finals = (sign * final_scores(records, self.metric, ["trial", "seed"])).unstack("seed")
        for number, point in enumerate(self.asked, len(self.tried)):
            curve = _curve(metric_records[metric_records["trial"] == number], sign)
            self.curves.append(curve)
            stopped = bool(ended.loc[number].any())
            value = float(np.median(curve[~np.isnan(curve).all(axis=1)][-1] if stopped else finals.loc[number]))
            self.finals.append(finals.loc[number].to_numpy(float))
            self.tried.append(Trial(point, value, stopped))

    @property
    def finalists(self) -> list[int]:
        """The best trials, filled up with others where too many failed: every rule has the same number."""
        order = best(self.tried, RERANKED)
        return (order + [i for i in range(len(self.tried)) if i not in order])[:RERANKED]

    def rerank(self) -> list[Chunk]:
        """The finalists on tuning seeds that no trial used before."""
        points = [(i, self.tried[i].point) for i in self.finalists]
        return self.task.chunks(list(self._rows(points, 1)), "rerank", MARKS)

    def chosen(self, records: pd.DataFrame) -> int | None:
        """The finalist with the best interquartile mean over all its seeds; None where no trial ever came through.

        On so few seeds it is more stable than a median, and the seeds of the first round count too. Finalists that tie
        are ordered by their earlier scores. If all of them fail this time, their step sizes were at the limit of
        stability: then the best of the other trials that failed on no seed is chosen, and without one the first of all.
        """
        fresh = (self.metric.sign * final_scores(records, self.metric, ["trial", "seed"])).unstack("seed")
        others = [i for i in range(len(self.tried)) if i not in self.finalists and not self.tried[i].stopped]
        for places, scores in (
            (self.finalists, [[*self.finals[i], *fresh.loc[i]] for i in self.finalists]),
            (others, [self.finals[i] for i in others]),
        ):
            means = [float(interquartile_mean(seed_scores)) for seed_scores in scores]
            if means and math.isfinite(min(means)):
                return places[int(np.argmin(means))]
        return next(iter(best(self.tried, 1)), None)


def _curve(trial_records: pd.DataFrame, sign: float) -> np.ndarray:
    """Scores of a trial after its start, lower the better, [marks, seeds]: inf after a failure, NaN once pruned."""
    costs, seeds, values, outcomes = (trial_records[name].to_numpy() for name in ("cost", "seed", "value", "outcome"))
    distinct, first, column = np.unique(seeds, return_index=True, return_inverse=True)
    later = costs > 0
    mark = np.unique(costs[later], return_inverse=True)[1]
    curve = np.full((MARKS, len(distinct)), np.nan)
    curve[mark, column[later]] = sign * values[later]
    pruned = outcomes[first] == "interrupted"
    return np.where(np.isnan(curve) & ~pruned, np.inf, curve)
