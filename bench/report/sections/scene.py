"""What the sections of the report are made from: one game's records, tensors and table, and how its rules look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure
from torch import Tensor

from bench.contracts import Game
from bench.registry.description import GameDescription, MetricDescription
from bench.report.figures.films import Film
from bench.report.figures.panels import Axis, Look
from bench.report.figures.svg import inline, svg
from bench.studies.study import Study
from bench.studies.tuning.sensitivity import Trials

Tensors = list[tuple[dict[str, Any], dict[str, Tensor]]]


@dataclass(frozen=True)
class Drawing:
    """A figure with its name, that of its file, and its caption; a wide one spans the page.

    Where there is a film, a page shows that in the figure's place, with a slider.
    """

    name: str
    caption: str
    drawn: Figure | Callable[[], Figure]
    """The figure, or what draws it when it is asked for."""
    wide: bool = False
    film: Film | None = None

    @cached_property
    def figure(self) -> Figure:
        """The figure as it is printed."""
        return self.drawn() if callable(self.drawn) else self.drawn

    @cached_property
    def svg(self) -> str:
        """The figure as a file."""
        return svg(self.figure, self.caption)

    @property
    def element(self) -> Markup:
        """The figure as an element of a page."""
        return Markup(inline(self.svg, self.caption))


@dataclass(frozen=True)
class Scene:
    """One game of a study, all that its figures are drawn from.

    ``own`` are long records of the rules that are finished on it, ``tried`` what tuning tried of each rule, unfinished
    ones too. ``rows`` is its part of the table, indexed by optimizer; ``tensors`` holds (chunk, tensors) to look
    at; ``look`` says how each rule of the study is drawn.
    """

    label: str
    described: GameDescription
    game: Game | None
    """The game itself where it ships with the suite: what needs its code is drawn of those alone."""
    metric: MetricDescription
    axis: Axis
    own: pd.DataFrame
    tried: dict[str, Trials]
    rows: pd.DataFrame
    tensors: Tensors
    look: dict[str, Look]
    study: Study

    @property
    def order(self) -> list[str]:
        """The rules that are finished, in the order of the study."""
        return [str(rule) for rule in self.rows.index]

    def held(self, name: str) -> dict[str, dict[str, Tensor]]:
        """rule -> the tensors of the chunk with its first seed, where they hold ``name``."""
        mine = [(chunk, held) for chunk, held in self.tensors if chunk["label"] == self.label and name in held]
        mine.sort(key=lambda pair: pair[0]["rows"][0]["seed"], reverse=True)
        by_rule = {chunk["optimizer"]: held for chunk, held in mine}
        return {rule: by_rule[rule] for rule in self.order if rule in by_rule}
