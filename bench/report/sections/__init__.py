"""A game's section of the report: from its records and tensors to figures and numbers.

What is drawn of a game is a list of modules, each with ``exhibits(scene)``, in the order in which they are read. A
`Scene` is all that they may draw from: the game's records, its tensors, its rows of the table. This package may import
`figures`, `studies`, `analysis` and what is below them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from bench.analysis.scores import scores as final_scores
from bench.analysis.statistics import Interval, bootstrap_rules, interquartile_mean
from bench.contracts import Attainable, Game
from bench.metrics.evaluation import NotDefined, PerfectGenerator
from bench.numerics.runtime import one_thread
from bench.registry.description import MetricDescription, shipped_game, shipped_metric
from bench.report.figures.panels import Axis, Look
from bench.report.sections import dynamics, outcomes, plane, samples, scores, spectrum, targets, tuning
from bench.report.sections.scene import Drawing, Scene, Tensors
from bench.studies.study import Study
from bench.studies.tuning.sensitivity import Tried

ROOMS = (scores, targets, outcomes, tuning, plane, samples, spectrum, dynamics)


@dataclass(frozen=True)
class Section:
    """What the report says of one game; ``others`` holds rule -> its mean in each of ``metrics`` with its interval."""

    label: str
    about: str
    metric: MetricDescription
    drawings: list[Drawing]
    metrics: list[MetricDescription]
    others: dict[str, list[Interval]]
    ceilings: list[float]
    """What a perfect generator would have in ``metrics``; NaN where that cannot be said."""
    tuned: list[dict[str, Any]]
    """The rows of `bench.studies.tuning.sensitivity.tuning`."""

    @property
    def attainable(self) -> bool:
        """Whether there is something to say of a perfect generator."""
        return not all(map(math.isnan, self.ceilings))


class Sections:
    """Makes sections.

    Args:
        whole: long records of the rules that are finished on a game.
        tried: what tuning tried, of unfinished rules too.
        tuned: the table of `bench.studies.tuning.sensitivity.tuning`.
        tensors: (chunk, tensors) to look at.
        found: the table of `bench.analysis.table`.
        look: how each rule is drawn.
        study: what was asked for.
    """

    def __init__(
        self,
        whole: pd.DataFrame,
        tried: Tried,
        tuned: pd.DataFrame,
        tensors: Tensors,
        found: pd.DataFrame,
        look: dict[str, Look],
        study: Study,
    ) -> None:
        self.whole, self.tensors, self.found, self.look = whole, tensors, found, look
        self.study, self.tried, self.tuned = study, tried, tuned

    def of(self, label: str) -> Section:
        """The section of the game spelled ``label``."""
        game, metric = self.study.game(label), self.study.primary(label)
        own = self.whole[self.whole["game"] == label]
        tried = {rule: trials for (game_of, rule), trials in self.tried.items() if game_of == label}
        rows = self.found[self.found["game"] == label].set_index("optimizer")
        failed = "failed" if rows["errors"].any() else "diverged"
        metrics, others = _others(own, [str(rule) for rule in rows.index], metric, self.study)
        ceiling, *attainable = ceilings(shipped_game(label), [metric, *metrics])
        axis = Axis(metric.name, metric.better, metric.unit, failed, ceiling)
        scene = Scene(
            label, game, shipped_game(label), metric, axis, own, tried, rows, self.tensors, self.look, self.study
        )
        drawings = [drawing for room in ROOMS for drawing in room.exhibits(scene)]
        about, tuned = game.doc, self.tuned[self.tuned["game"] == label].to_dict("records")
        return Section(label, about, metric, drawings, metrics, others, attainable, tuned)


@one_thread()
def ceilings(game: Game | None, metrics: list[MetricDescription]) -> list[float]:
    """What a perfect generator would have in these metrics: interquartile means over ten seeds, NaN for no answer."""
    if not isinstance(game, Attainable):
        return [math.nan] * len(metrics)
    evaluator = PerfectGenerator(game, range(10))
    nowhere = torch.full((10, sum(game.sizes)), math.nan, dtype=game.dtype)

    def of(described: MetricDescription) -> float:
        if (metric := shipped_metric(described.name)) is None:
            return math.nan
        try:
            value = float(interquartile_mean(metric(game, nowhere, evaluator).numpy()))
            return value if math.isfinite(value) else math.nan
        except (NotDefined, ValueError):  # it looks at the networks, or at where they are, which is nowhere
            return math.nan

    return [of(metric) for metric in metrics]


def _others(
    own: pd.DataFrame, order: list[str], primary: MetricDescription, study: Study
) -> tuple[list[MetricDescription], dict[str, list[Interval]]]:
    """Every metric but the primary one, and each rule's interquartile means at the last cost, with their intervals."""
    report = own[own["phase"] == "report"]
    metrics = [study.metric(name) for name in sorted(set(report["metric"].unique()) - {primary.name})]
    seeds = sorted(report["seed"].unique())
    bands = [bootstrap_rules(final_scores(own, metric, order=order, seeds=seeds).to_numpy()) for metric in metrics]
    found = {rule: [Interval(*(float(part[i]) for part in band)) for band in bands] for i, rule in enumerate(order)}
    return metrics, found
