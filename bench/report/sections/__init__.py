"""A game's section of the report: from its records and tensors to figures and numbers.

`MODULES` lists the modules that draw a game, each with ``exhibits(scene)``, in the order of the page. A `Scene` is
their only input: the game's records, its tensors, its rows of the table. This package may import `figures`, `studies`,
`analysis` and the packages below them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from bench.analysis.scores import scores as final_scores
from bench.analysis.statistics import Interval, bootstrap_rules, interquartile_mean
from bench.analysis.table import ranked
from bench.contracts import Attainable, Game
from bench.metrics.evaluation import KnownGenerator, NotDefined
from bench.numerics.runtime import one_thread
from bench.registry.description import GameDescription, MetricDescription, shipped_game, shipped_metric
from bench.report.figures.panels import Axis, Look, leading
from bench.report.sections import dynamics, outcomes, plane, samples, scores, spectrum, targets, tuning
from bench.report.sections.scene import Drawing, Scene, Tensors
from bench.studies.study import Study
from bench.studies.tuning.sensitivity import Tried

MODULES = (scores, targets, outcomes, tuning, plane, samples, spectrum, dynamics)


@dataclass(frozen=True)
class Section:
    """The report on one game; ``others`` holds rule -> its mean with its interval, for each of ``metrics``."""

    label: str
    about: str
    metric: MetricDescription
    drawings: list[Drawing]
    metrics: list[MetricDescription]
    others: dict[str, list[Interval]]
    ceilings: list[float]
    """The values of a perfect generator in ``metrics``; NaN where there is none."""
    order: list[str]
    """The finished rules, best first."""
    tuned: list[dict[str, Any]]
    """The rows of `bench.studies.tuning.sensitivity.tuning`."""

    @property
    def attainable(self) -> bool:
        """Whether a perfect generator has a value in any metric."""
        return not all(map(math.isnan, self.ceilings))


class Sections:
    """Makes the sections of a report.

    Args:
        finished_records: long records of the rules that are finished on a game.
        tried: the trials of tuning, also of unfinished rules.
        tuning_table: the table of `bench.studies.tuning.sensitivity.tuning`.
        tensors: (chunk, tensors) to draw.
        score_table: the table of `bench.analysis.table`.
        look: how each rule is drawn.
        study: the study.
    """

    def __init__(
        self,
        finished_records: pd.DataFrame,
        tried: Tried,
        tuning_table: pd.DataFrame,
        tensors: Tensors,
        score_table: pd.DataFrame,
        look: dict[str, Look],
        study: Study,
    ) -> None:
        self.finished_records, self.tensors, self.score_table, self.look = finished_records, tensors, score_table, look
        self.study, self.tried, self.tuning_table = study, tried, tuning_table

    def of(self, label: str) -> Section:
        """The section of the game spelled ``label``."""
        description, metric = self.study.game(label), self.study.primary(label)
        records = self.finished_records[self.finished_records["game"] == label]
        tried = {rule: trials for (name, rule), trials in self.tried.items() if name == label}
        rows = ranked(self.score_table[self.score_table["game"] == label]).set_index("optimizer")
        look = leading(self.look, list(rows.index))
        failed = "failed" if rows["errors"].any() else "diverged"
        metrics, others = _other_metrics(records, [str(rule) for rule in rows.index], metric, self.study)
        attainable = ceilings(shipped_game(label), metrics)
        axis = Axis(metric.name, metric.better, metric.unit, failed, references(records, description, metric))
        scene = Scene(
            label, description, shipped_game(label), metric, axis, records, tried, rows,
            self.tensors, look, self.look, self.study,
        )  # fmt: skip
        drawings = [drawing for module in MODULES for drawing in module.exhibits(scene)]
        about, tuning_rows = description.doc, self.tuning_table[self.tuning_table["game"] == label].to_dict("records")
        return Section(label, about, metric, drawings, metrics, others, attainable, scene.order, tuning_rows)


def references(records: pd.DataFrame, game: GameDescription, metric: MetricDescription) -> dict[str, float]:
    """Scores to read others by: of a perfect generator, of half, and the median of the untrained starts."""
    report = records[(records["phase"] == "report") & (records["metric"] == metric.name) & (records["cost"] == 0)]
    starts = report["value"].to_numpy(float)
    known = dict(game.references)
    if known and len(starts):
        known["start"] = float(np.median(starts))
    return {name: value for name, value in known.items() if math.isfinite(value)}


@one_thread()
def ceilings(game: Game | None, metrics: list[MetricDescription]) -> list[float]:
    """The values of a perfect generator in these metrics: interquartile means over ten seeds; NaN for none."""
    if not isinstance(game, Attainable) or game.reads_files:
        return [math.nan] * len(metrics)
    evaluator = KnownGenerator(game, range(10))
    no_parameters = torch.full((10, sum(game.sizes)), math.nan, dtype=game.dtype)

    def value_of(description: MetricDescription) -> float:
        if (metric := shipped_metric(description.name)) is None:
            return math.nan
        try:
            value = float(interquartile_mean(metric(game, no_parameters, evaluator).numpy()))
            return value if math.isfinite(value) else math.nan
        except (NotDefined, ValueError):  # the metric needs the networks, or their parameters
            return math.nan

    return [value_of(metric) for metric in metrics]


def _other_metrics(
    game_records: pd.DataFrame, order: list[str], primary: MetricDescription, study: Study
) -> tuple[list[MetricDescription], dict[str, list[Interval]]]:
    """All metrics except the primary one, and each rule's interquartile means at the last cost with their intervals."""
    report = game_records[game_records["phase"] == "report"]
    metrics = [study.metric(name) for name in sorted(set(report["metric"].unique()) - {primary.name})]
    seeds = sorted(report["seed"].unique())
    bands = [
        bootstrap_rules(final_scores(game_records, metric, order=order, seeds=seeds).to_numpy()) for metric in metrics
    ]
    means = {rule: [Interval(*(float(ends[i]) for ends in band)) for band in bands] for i, rule in enumerate(order)}
    return metrics, means
