"""Tuning: every rule gets the same number of trials, cost a trial and tuning seeds (Optuna, ask and tell in batches).

One step size: a grid even in logarithm with half of the trials, then a zoom around the best. Two or more: a
quasi-random half, then TPE in batches. A trial's value is the median over its tuning seeds of the game's primary
metric, a failed replica counting as the worst. All trials of a batch and all tuning seeds train as one stack.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import FloatDistribution

from bench.contracts import hyperparameters
from bench.plan import TUNING_SEED, Chunk, Contest, Row, Values, tunable
from bench.registry import NamedMetric, get_game, get_metric, get_rule
from bench.table import final_scores

BATCH = 8  # trials that TPE proposes at once
MARKS = 5  # evaluations of a tuning replica

Rounds = Generator[list[Chunk], pd.DataFrame, Values]


def tune(contest: Contest, trials: int, seeds: int) -> Rounds:
    """Yields the chunks of each round and is sent their records; returns the values to freeze."""
    rule, metric = get_rule(contest.optimizer), get_metric(get_game(contest.game).score)
    space = tunable(contest.optimizer)
    default = {path: value for path, (_, value) in hyperparameters(rule).items() if path in space}
    if trials == 0 or not space:
        return {}
    search = _Search(space, trials, metric)
    while batch := search.ask():
        points = [(tuple(sorted(trial.params.items())), trial.number) for trial in batch]
        rows = [Row(TUNING_SEED + k, values, number) for values, number in points for k in range(seeds)]
        records = yield contest.chunks(rows, "tune", MARKS)
        scores = final_scores(records, metric, ["trial", "seed"])
        medians = scores.groupby("trial").median()
        search.tell(batch, [float(medians[trial.number]) for trial in batch])
    return search.choice(default)


class _Search:
    """The trials of one rule on one game, proposed through Optuna; values told are to be minimised."""

    def __init__(self, space: dict[str, tuple[float, float, bool]], trials: int, metric: NamedMetric) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.space, self.left, self.worst = space, trials, metric.worst
        self.sign = -1.0 if metric.better == "higher" else 1.0
        self.first = trials // 2
        self.study = optuna.create_study(sampler=optuna.samplers.QMCSampler(seed=0, scramble=True))

    def ask(self) -> list[optuna.trial.Trial]:
        """The next batch of trials; none once all are done."""
        begun = bool(self.study.trials)
        count = min(self.left, (BATCH if len(self.space) > 1 else self.left) if begun else self.first)
        if len(self.space) == 1:
            for point in self._zoom(count) if begun else self._grid(count):
                self.study.enqueue_trial(point)
        elif begun:
            self.study.sampler = optuna.samplers.TPESampler(
                seed=len(self.study.trials), n_startup_trials=1, multivariate=True, constant_liar=True
            )
        self.left -= count
        distributions: dict[str, Any] = {
            path: FloatDistribution(low, high, log=log) for path, (low, high, log) in self.space.items()
        }
        return [self.study.ask(distributions) for _ in range(count)]

    def tell(self, batch: list[optuna.trial.Trial], values: list[float]) -> None:
        for trial, value in zip(batch, values, strict=True):
            self.study.tell(trial, self.sign * value)

    def _grid(self, count: int) -> list[dict[str, float]]:
        ((path, (low, high, _)),) = self.space.items()
        return [{path: float(point)} for point in np.geomspace(low, high, count)]

    def _zoom(self, count: int) -> list[dict[str, float]]:
        """Points even in logarithm between the best and its neighbours on the grid, the best itself left out."""
        ((path, (low, high, _)),) = self.space.items()
        best = self.study.best_trial.params[path]
        reach = np.log(high / low) / (self.first - 1)
        below = min(reach, np.log(best / low))
        above = min(reach, np.log(high / best))
        fractions = np.linspace(-below, above, count + 2 if min(below, above) < 1e-9 else count + 3)[1:-1]
        if min(below, above) >= 1e-9:
            fractions = np.delete(fractions, np.abs(fractions).argmin())
        return [{path: float(np.clip(best * np.exp(fraction), low, high))} for fraction in fractions]

    def choice(self, default: Values) -> Values:
        """The best trial; the declared default where every trial failed."""
        best = self.study.best_trial
        assert best.value is not None
        if self.sign * best.value == self.worst:
            return default
        return dict(best.params)
