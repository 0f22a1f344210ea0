"""The trainings of a run, each with its measurements, for export to other tools."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from bench.analysis.scores import last_evaluations
from bench.errors import UserError
from bench.registry.description import MetricDescription
from bench.studies.study import Study

if TYPE_CHECKING:
    from bench.storage.run_folder import RunFolder

PHASES = ("report", "untuned")


class Point(NamedTuple):
    """One evaluation: gradient evaluations and seconds of training so far, metric -> value."""

    cost: float
    seconds: float
    values: dict[str, float]


@dataclass(frozen=True)
class Training:
    """One replica of the report, or one trained with the declared defaults for comparison."""

    game: str
    optimizer: str
    phase: str
    seed: int
    hyperparameters: dict[str, Any]
    """The frozen values; others are those of the spelling."""
    outcome: str
    ended: float
    """The cost at which it ended."""
    metric: MetricDescription
    """The game's score."""
    score: float
    """The last value; the metric's worst for a failure."""
    points: list[Point]

    @property
    def name(self) -> str:
        """A name for people."""
        suffix = " (untuned)" if self.phase == "untuned" else ""
        return f"{self.game} / {self.optimizer}{suffix} / seed {self.seed}"

    @property
    def failed(self) -> bool:
        return self.outcome != "ok"

    def described(self) -> dict[str, str | int | float]:
        """The names, seed and hyperparameters that identify it, in one flat mapping."""
        description: dict[str, str | int | float] = {"game": self.game, "optimizer": self.optimizer}
        description |= {"phase": self.phase, "seed": self.seed}
        return description | {k: v if isinstance(v, (int, float)) else str(v) for k, v in self.hyperparameters.items()}

    @property
    def points_and_end(self) -> list[Point]:
        """Its points, then one more with its summary, at the cost at which it ended."""
        return [*self.points, Point(self.ended, self.points[-1].seconds, self.summary())]

    def summary(self) -> dict[str, float]:
        """Its outcome: the score, the cost, whether it failed."""
        return {"final/score": self.score, "final/cost": self.ended, "final/failed": float(self.failed)}


def reported(run: RunFolder) -> list[Training]:
    """The trainings of a run's report; UserError if there is none yet."""
    report_trainings = list(trainings(run.records, run.study))
    if not report_trainings:
        raise UserError(f"{str(run.path)!r} has no training of a report to export yet")
    return report_trainings


def trainings(records: pd.DataFrame, study: Study) -> Iterator[Training]:
    """The recorded trainings, in the study's order, then by seed."""
    training_records = records[records["phase"].isin(PHASES)].astype({"phase": str, "metric": str, "outcome": str})
    groups = dict(iter(training_records.groupby(["game", "optimizer", "phase"], observed=True)))
    for game in study.games:
        metric = study.primary(game)
        for optimizer in study.optimizers:
            for phase in PHASES:
                if (game, optimizer, phase) in groups:
                    yield from _trainings(groups[game, optimizer, phase], metric)


def _trainings(rule_records: pd.DataFrame, metric: MetricDescription) -> Iterator[Training]:
    last = last_evaluations(rule_records, metric, ["seed"])["value"].fillna(metric.worst)
    for seed, rows in rule_records.groupby("seed"):
        first = rows.iloc[0]
        yield Training(
            game=str(first["game"]),
            optimizer=str(first["optimizer"]),
            phase=first["phase"],
            seed=int(str(seed)),
            hyperparameters=json.loads(str(first["hyperparameters"])),
            outcome=first["outcome"],
            ended=float(first["ended"]),
            metric=metric,
            score=float(last.get(seed, math.nan)),
            points=list(_points(rows)),
        )


def _points(rows: pd.DataFrame) -> Iterator[Point]:
    ordered = rows.sort_values(["cost", "metric"], kind="stable")
    for cost, evaluation in ordered.groupby("cost"):
        values = dict(zip(evaluation["metric"], evaluation["value"].astype(float), strict=True))
        yield Point(float(str(cost)), float(evaluation["seconds"].iloc[0]), values)
