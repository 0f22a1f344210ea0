"""The report's figures of the cost to a target score; arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from bench.analysis.statistics import Array, Band
from bench.report.figures.panels import Look, height
from bench.report.figures.series import draw_stairs, with_legend
from bench.report.figures.svg import styled


@styled()
def profiles(bands: Mapping[str, Band], grid: Array, look: Mapping[str, Look], label: str, share: str) -> Figure:
    """A stair for each rule: the share of targets that it has met at each point of the grid [G]."""
    figure = with_legend(list(bands), look, height())
    axes = figure.subplots()
    draw_stairs(axes, bands, grid, look)
    axes.set(ylim=(-0.04, 1.04), xlabel=label, ylabel=share)
    axes.set_xlim(0, float(grid[-1]) or 1.0)
    axes.set_yticks(np.linspace(0, 1, 6))
    return figure
