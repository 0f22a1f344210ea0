"""The input of the sections of the report: one game's records, tensors and table, and how its rules are drawn."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure
from torch import Tensor

from bench.analysis.learning import Learning, learning
from bench.analysis.scores import study_budget
from bench.contracts import Game
from bench.registry.description import GameDescription, MetricDescription
from bench.report.figures.films import Film
from bench.report.figures.panels import Axis, Look
from bench.report.figures.series import legend_height
from bench.report.figures.svg import inline, svg
from bench.studies.study import Study
from bench.studies.tuning.sensitivity import Trials

Tensors = list[tuple[dict[str, Any], dict[str, Tensor]]]


@dataclass(frozen=True)
class Drawing:
    """A figure with its name, which its file has too, and its caption; a wide one spans the page.

    If there is a film, a page shows it instead of the figure, with a slider.
    """

    name: str
    caption: str
    source: Figure | Callable[[], Figure]
    """The figure, or a function that draws it on first use."""
    wide: bool = False
    folded: bool = False
    """Whether a page shows it only when asked."""
    film: Film | None = None

    @property
    def heading(self) -> str:
        """What the figure shows, in a few words: the caption's beginning."""
        return re.split(r"[:;,.] | \(|\.$", self.caption, maxsplit=1)[0]

    @cached_property
    def figure(self) -> Figure:
        """The matplotlib figure."""
        return self.source() if callable(self.source) else self.source

    @cached_property
    def svg(self) -> str:
        """The text of the figure's SVG file."""
        return svg(self.figure, self.caption)

    @property
    def element(self) -> Markup:
        """The figure as an element of a page."""
        text = self.svg  # drawn first: only then it is known how much of it the legend takes
        return Markup(inline(text, self.caption, legend_height(self.figure)))


@dataclass(frozen=True)
class Scene:
    """One game of a study, the input of its figures.

    ``records`` are the long records of the rules that are finished on it; ``tried`` holds the trials of tuning for each
    rule, also for unfinished ones. ``rows`` is its part of the table, indexed by optimizer; ``tensors`` holds
    (chunk, tensors) to draw; ``look`` says how each rule of the study is drawn.
    """

    label: str
    description: GameDescription
    game: Game | None
    """The game itself if it ships with the suite; figures that need a game's code are drawn only for these."""
    metric: MetricDescription
    axis: Axis
    records: pd.DataFrame
    tried: dict[str, Trials]
    rows: pd.DataFrame
    tensors: Tensors
    look: dict[str, Look]
    each_look: dict[str, Look]
    """The same where each rule has its own panel, so that none need stand back."""
    study: Study

    @property
    def order(self) -> list[str]:
        """The finished rules, the best first."""
        return [str(rule) for rule in self.rows.index]

    @cached_property
    def learnt(self) -> dict[str, Learning]:
        """rule -> what its report replicas learned and lost."""
        return learning(self.records, self.description, self.metric, study_budget(self.records))

    def tensors_with(self, name: str) -> dict[str, dict[str, Tensor]]:
        """rule -> the tensors of the chunk with its first seed, for chunks with a tensor ``name``."""
        stored = [
            (chunk, tensors) for chunk, tensors in self.tensors if chunk["label"] == self.label and name in tensors
        ]
        stored.sort(key=lambda pair: pair[0]["rows"][0]["seed"], reverse=True)
        by_rule = {chunk["optimizer"]: tensors for chunk, tensors in stored}
        return {rule: by_rule[rule] for rule in self.order if rule in by_rule}
