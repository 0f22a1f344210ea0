"""The report's figures of what a rule spends until its score is good enough; arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from bench.analysis.statistics import Array, Band
from bench.report.figures.panels import HEIGHT, Look
from bench.report.figures.series import draw_stairs, with_legend
from bench.report.figures.svg import styled


@styled()
def profiles(found: Mapping[str, Band], grid: Array, look: Mapping[str, Look], label: str, share: str) -> Figure:
    """A stair a rule: the share of what there was to meet that it had met by each place of the grid [G]."""
    figure = with_legend(list(found), look, HEIGHT)
    axes = figure.subplots()
    draw_stairs(axes, found, grid, look)
    axes.set(ylim=(-0.04, 1.04), xlabel=label, ylabel=share)
    axes.set_xlim(0, float(grid[-1]) or 1.0)
    axes.set_yticks(np.linspace(0, 1, 6))
    return figure
