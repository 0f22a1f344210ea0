"""A run's trainings one by one, each with what was measured on its way: what other tools are given."""

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
    """One evaluation: gradient evaluations and seconds spent on training so far, metric -> value."""

    cost: float
    seconds: float
    values: dict[str, float]


@dataclass(frozen=True)
class Training:
    """One replica of a report, or of what was trained with the declared defaults beside it."""

    game: str
    optimizer: str
    phase: str
    seed: int
    hyperparameters: dict[str, Any]
    """What was frozen; what is not in it has the value of the spelling."""
    outcome: str
    ended: float
    """The cost at which it ended."""
    metric: MetricDescription
    """What the game is judged by."""
    score: float
    """Its last value; the metric's worst for a failure."""
    points: list[Point]

    @property
    def name(self) -> str:
        """As people read it."""
        beside = " (untuned)" if self.phase == "untuned" else ""
        return f"{self.game} / {self.optimizer}{beside} / seed {self.seed}"

    @property
    def failed(self) -> bool:
        return self.outcome != "ok"

    def described(self) -> dict[str, str | int | float]:
        """What sets it apart from others, flat: names, seed, hyperparameters."""
        said: dict[str, str | int | float] = {"game": self.game, "optimizer": self.optimizer}
        said |= {"phase": self.phase, "seed": self.seed}
        return said | {k: v if isinstance(v, (int, float)) else str(v) for k, v in self.hyperparameters.items()}

    @property
    def told(self) -> list[Point]:
        """Its points, and at its end how it ended."""
        return [*self.points, Point(self.ended, self.points[-1].seconds, self.summary())]

    def summary(self) -> dict[str, float]:
        """How it ended: the score, the cost, whether it failed."""
        return {"final/score": self.score, "final/cost": self.ended, "final/failed": float(self.failed)}


def reported(run: RunFolder) -> list[Training]:
    """The trainings of a run's report; UserError where there is none yet."""
    found = list(trainings(run.records, run.study))
    if not found:
        raise UserError(f"{str(run.path)!r} has no training of a report to export yet")
    return found


def trainings(records: pd.DataFrame, study: Study) -> Iterator[Training]:
    """The trainings that are there, in the study's order, then by seed."""
    own = records[records["phase"].isin(PHASES)].astype({"phase": str, "metric": str, "outcome": str})
    groups = dict(iter(own.groupby(["game", "optimizer", "phase"], observed=True)))
    for game in study.games:
        metric = study.primary(game)
        for optimizer in study.optimizers:
            for phase in PHASES:
                if (game, optimizer, phase) in groups:
                    yield from _trainings(groups[game, optimizer, phase], metric)


def _trainings(own: pd.DataFrame, metric: MetricDescription) -> Iterator[Training]:
    last = last_evaluations(own, metric, ["seed"])["value"].fillna(metric.worst)
    for seed, rows in own.groupby("seed"):
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
    for cost, part in ordered.groupby("cost"):
        values = dict(zip(part["metric"], part["value"].astype(float), strict=True))
        yield Point(float(str(cost)), float(part["seconds"].iloc[0]), values)
