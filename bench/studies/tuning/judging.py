"""What a trial is judged by: where its replicas stand on the tuning seeds, and what follows for the trial.

A replica's place, best first: it learned, by its score and then by the game's tie-break; it did not learn; it failed. A
trial *learns* if at least half of its tuning seeds learned. All scores here are lower the better and inf for a failure.

A trial's score is the interquartile mean over its seeds. Of three seeds that is their mean, so that one failure is the
trial's; of eight, two may fail. It chooses better than the median and the mean of ranks do: see
`results/reference/tuning.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.statistics import Array, interquartile_mean
from bench.registry.description import GameDescription, MetricDescription
from bench.studies.tuning.search import Point, Trial, rounded

Place = tuple[bool, float, float]
"""What trials are ordered by, best first: (whether it does not learn, its score, its tie-break)."""


class Described(Protocol):
    """A study, as far as its games and metrics are described."""

    def game(self, label: str) -> GameDescription:
        """The description of a game."""
        ...

    def metric(self, name: str) -> MetricDescription:
        """The description of a metric."""
        ...


@dataclass(frozen=True)
class Judge:
    """A game's score, its tie-break (None for none), and the score from which on a replica has learned (None: any)."""

    score: MetricDescription
    tie_break: MetricDescription | None = None
    learned: float | None = None

    @classmethod
    def of(cls, study: Described, game: str) -> Judge:
        """The judge of a study's game."""
        described = study.game(game)
        tie_break = study.metric(described.tie_break) if described.tie_break else None
        return cls(study.metric(described.score), tie_break, described.learned)

    def judge(self, trial_records: pd.DataFrame) -> Judged:
        """How the seeds of one trial did, from its records of a phase.

        A trial that was given up early has the scores at which it then stood.
        """
        own = trial_records[trial_records["metric"] == self.score.name].sort_values(["seed", "cost"], kind="stable")
        seeds, first, column = np.unique(own["seed"].to_numpy(), return_index=True, return_inverse=True)
        costs, row = np.unique(own["cost"].to_numpy(float), return_inverse=True)
        outcomes, ended = own["outcome"].astype(str).to_numpy()[first], own["ended"].to_numpy(float)[first]
        curve = np.full((len(costs), len(seeds)), np.nan)
        curve[row, column] = self.score.sign * own["value"].to_numpy(float)
        pruned = outcomes == "interrupted"
        failed = ~np.isin(outcomes, ["ok", "interrupted"])
        curve[(failed & (costs[:, None] >= ended)) | (np.isnan(curve) & ~pruned)] = math.inf
        stood = [line[~np.isnan(line)][-1] if (~np.isnan(line)).any() else math.inf for line in curve.T]
        scores = np.where(failed, math.inf, stood)  # one may fail after the last evaluation
        return Judged(self, seeds, outcomes, scores, self._tie_breaks(trial_records, seeds), costs, curve, ended)

    def _tie_breaks(self, trial_records: pd.DataFrame, seeds: NDArray[np.int64]) -> Array:
        """The tie-break of each seed, [S]; inf for a failure, 0 for all where it was not recorded."""
        ties = np.zeros(len(seeds))
        if self.tie_break is None:
            return ties
        own = trial_records[trial_records["metric"] == self.tie_break.name]
        if not len(own):
            return ties
        seed, cost, value = (own[name].to_numpy() for name in ("seed", "cost", "value"))
        came_through = own["outcome"].astype(str).to_numpy() == "ok"
        ties[:] = math.inf
        for row in np.argsort(cost, kind="stable"):  # the last one stays
            usable = came_through[row] and not math.isnan(value[row])
            ties[np.searchsorted(seeds, seed[row])] = self.tie_break.sign * value[row] if usable else math.inf
        return ties


@dataclass(frozen=True)
class Judged:
    """How the seeds of a trial did.

    ``seeds`` [S] are sorted; ``outcomes`` [S]; ``scores`` and ``ties`` [S] are lower the better, inf for a failure.
    ``curve`` [evaluations, S] are the scores at ``costs`` [evaluations], NaN after a trial was given up. ``ended`` [S]
    is the cost at which each seed ended.
    """

    by: Judge
    seeds: NDArray[np.int64]
    outcomes: NDArray[np.str_]
    scores: Array
    ties: Array
    costs: Array
    curve: Array
    ended: Array

    @property
    def stopped(self) -> bool:
        """Whether it was given up early."""
        return bool((self.outcomes == "interrupted").any())

    @cached_property
    def learned(self) -> NDArray[np.bool_] | None:
        """Which seeds learned, [S]; None where the game does not say what that is. A trial given up did not end."""
        if self.by.learned is None:
            return None
        reached = self.by.score.reaches(self.by.score.sign * self.scores, self.by.learned)
        return np.asarray(reached & (self.outcomes == "ok"))

    @property
    def learns(self) -> bool | None:
        """Whether at least half of the seeds learned; None where the game does not say what that is."""
        return learns(self.learned)

    def trial(self, point: Point) -> Trial:
        """It as the search sees it."""
        value, tie = float(interquartile_mean(self.scores)), float(interquartile_mean(self.ties))
        return Trial(point, value, self.stopped, self.learns, tie)

    def marks(self, count: int) -> Array:
        """The scores after the start, [count, S]; inf for evaluations that no seed came to."""
        later = self.curve[self.costs > 0]
        return np.concatenate([later, np.full((max(count - len(later), 0), len(self.seeds)), math.inf)])[:count]


def learns(learned: NDArray[np.bool_] | None) -> bool | None:
    """Whether at least half of some seeds [S] learned; None where nothing is said of it."""
    return None if learned is None else bool(2 * learned.sum() >= len(learned))


def place(parts: list[Judged]) -> Place:
    """A trial's place by all its seeds, of one phase or more.

    Scores that are equal to within rounding are ordered by the tie-break.
    """
    scores, ties = (np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "ties"))
    return not learns_on_all(parts), rounded(float(interquartile_mean(scores))), float(interquartile_mean(ties))


def learns_on_all(parts: list[Judged]) -> bool:
    """Whether a trial learns by all its seeds; where the game does not say what that is, whether it did not fail."""
    known = [part.learned for part in parts if part.learned is not None]
    if known:
        return bool(learns(np.concatenate(known)))
    return math.isfinite(float(interquartile_mean(np.concatenate([part.scores for part in parts]))))
