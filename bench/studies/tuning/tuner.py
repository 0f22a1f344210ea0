"""Tuning: every rule gets the same number of trials, cost a trial and tuning seeds, and what is chosen is frozen.

The trials of a rule on a game are those of an Optuna study, which is asked for a round of them and told how they did.
All trials of a round and all tuning seeds train as one stack. A trial's value is the interquartile mean over its
tuning seeds of the game's primary metric, a failed replica counting as the worst; a trial that learns comes before one
that does not (see `bench.studies.tuning.judging`). The best RERANKED trials are trained again on tuning seeds of their
own, and what is best on all their seeds is chosen, so that a lucky draw does not win. Where trials go,
`bench.studies.tuning.search` says; which are given up early, `bench.studies.tuning.pruning`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.contracts import UpdateRule, hyperparameters
from bench.studies.plan import TUNING_SEED, Chunk, Curves, Row, Task, Values
from bench.studies.study import Study
from bench.studies.tuning.judging import Judge, Judged, place
from bench.studies.tuning.pruning import KEPT as RERANKED
from bench.studies.tuning.search import Point, Space, Trial, best, can_tie, rounds

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage

BATCH = 8  # trials that a sampler of Optuna's proposes at once
MARKS = 5  # evaluations of a tuning replica

Rounds = Generator[list[Chunk], pd.DataFrame, Values]


def tune(task: Task, study: Study, storage: BaseStorage | None = None) -> Rounds:
    """Yields the chunks of each round and is sent their records; returns the values to freeze.

    Where no trial came through, or none learns on a game that says what learning is, the rule cannot be trained there:
    then these are its declared defaults.

    Args:
        task: the rule on the game.
        study: what it is a part of.
        storage: where the Optuna study is kept for others to watch; None keeps it in memory.
    """
    frozen = study.hyperparameters.get(task.game, {}).get(task.optimizer)
    space = task.tunable(study.tune)
    if frozen is not None or not study.trials or not space:
        return dict(frozen or {})
    tuning = _Tuning(task, study, space, storage)
    while batch := tuning.ask():
        tuning.tell((yield batch))
    return tuning.end((yield tuning.rerank()))


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

    def __init__(self, task: Task, study: Study, space: Space, storage: BaseStorage | None = None) -> None:
        from bench.studies.tuning import optuna_study  # Optuna is imported only where something is tuned

        self.task, self.study, self.space, self.storage = task, study, space, storage
        self.judge = Judge.of(study, task.game)
        self.optuna, self.made = optuna_study, optuna_study.create(study, task.game, task.optimizer, space, storage)
        self.spans = optuna_study.distributions(space, study.trials, study.sampler)
        self.tried: list[Trial] = []
        self.judged: list[Judged] = []
        self.left = self._rounds()
        self.asked: list[optuna.Trial] = []

    def _rounds(self) -> list[list[int]]:
        """How many trials are asked for together, and of these which train as a stack: [[count, ...], ...]."""
        if not self.study.sampler:
            planned = rounds(self.study.trials, len(self.space), can_tie(self.space))
            return [[stage.size for stage in together] for together in planned]
        return [[min(BATCH, self.study.trials - first)] for first in range(0, self.study.trials, BATCH)]

    def ask(self) -> list[Chunk]:
        """The chunks of the next round; none after the last trial."""
        chunks: list[Chunk] = []
        self.asked = []
        for count in self.left.pop(0) if self.left else ():
            with self.optuna.reached(self.storage):
                trials = [self.made.ask(dict(self.spans)) for _ in range(count)]
            self.asked += trials
            rows = list(self._rows([(trial.number, self._point(trial.params)) for trial in trials], 0))
            chunks += self.task.chunks(rows, "tune", MARKS, self.study.pruner, self._reference_curves())
        return chunks

    def _point(self, params: dict[str, float]) -> Point:
        return {path: params[path] for path in self.space}

    def _rows(self, points: list[tuple[int, Point]], fresh: int) -> Iterator[Row]:
        seeds = range(fresh * self.study.tuning_seeds, (fresh + 1) * self.study.tuning_seeds)
        for number, point in points:
            for seed in seeds:
                yield Row(TUNING_SEED + seed, tuple(sorted(point.items())), number)

    def _reference_curves(self) -> Curves:
        """Curves of the best trials so far, [evaluations, trials, seeds], that new trials are compared with."""
        leaders = [self.judged[i].marks(MARKS) for i in best(self.tried, RERANKED)]
        if not leaders or self.study.pruner == "none":
            return ()
        return tuple(tuple(tuple(map(float, row)) for row in mark) for mark in np.stack(leaders, axis=1))

    def tell(self, records: pd.DataFrame) -> None:
        """Add the records of the round, in the order of its trials."""
        by_trial = dict(iter(records.groupby("trial")))
        for trial in self.asked:
            judged = self.judge.judge(by_trial[trial.number])
            with self.optuna.reached(self.storage):
                self.optuna.tell(self.made, trial, judged)
            self.judged.append(judged)
            self.tried.append(judged.trial(self._point(trial.params)))

    @property
    def finalists(self) -> list[int]:
        """The best trials, filled up with others where too many failed: every rule has the same number."""
        order = best(self.tried, RERANKED)
        return (order + [i for i in range(len(self.tried)) if i not in order])[:RERANKED]

    def rerank(self) -> list[Chunk]:
        """The finalists on tuning seeds that no trial used before."""
        points = [(i, self.tried[i].point) for i in self.finalists]
        return self.task.chunks(list(self._rows(points, 1)), "rerank", MARKS)

    def end(self, records: pd.DataFrame) -> Values:
        """The values to freeze, by the records of the re-ranking."""
        again = {int(trial): self.judge.judge(own) for trial, own in records.groupby("trial")}
        chosen = self.chosen(again)
        values: Values = declared(self.task.rule, self.space) if chosen is None else dict(self.tried[chosen].point)
        points = {number: trial.point for number, trial in enumerate(self.tried)}
        with self.optuna.reached(self.storage):
            for key, value in self.optuna.ending(values, points, again).items():
                self.made.set_user_attr(key, value)
        return values

    def chosen(self, again: dict[int, Judged]) -> int | None:
        """The finalist with the best place over all its seeds, those of ``again`` too; None where nothing is to choose.

        No trial is chosen that does not learn (at least half of its seeds learned) while another does. Finalists that
        tie are ordered by their earlier scores. If all of them fail this time, their step sizes were at the limit of
        stability: then the best of the other trials that failed on no seed is chosen, and without one the first of all.
        Where the game says what learning is and no trial learns on all its seeds, none is chosen.
        """
        finalists = {i: place([self.judged[i], again[i]]) for i in self.finalists}
        others = {i: place([judged]) for i, judged in enumerate(self.judged) if i not in finalists}
        others = {i: own for i, own in others.items() if not self.tried[i].stopped}
        for places in (finalists, others):
            came_through = [i for i, (fails, score, _) in places.items() if not fails and np.isfinite(score)]
            if came_through:
                return min(came_through, key=lambda i: places[i])
        if self.judge.learned is None:
            return next(iter(best(self.tried, 1)), None)
        learn = {i: own for i, own in (finalists | others).items() if not own[0]}
        return min(learn, key=lambda i: learn[i], default=None)
