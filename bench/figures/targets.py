"""The report's figures of what a rule spends until its score is good enough; arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from bench.figures.dynamics import stair
from bench.figures.panels import HEIGHT, WIDTH, Array, Look, legend
from bench.figures.svg import styled
from bench.statistics import Band


@styled()
def profiles(found: Mapping[str, Band], grid: Array, look: Mapping[str, Look], label: str, share: str) -> Figure:
    """A stair a rule: the share of what there was to meet that it had met by each place of the grid [G]."""
    figure = Figure()
    figure.set_size_inches(WIDTH, HEIGHT + 0.17 * legend(figure, list(found), look))
    axes = figure.subplots()
    for place, (rule, band) in enumerate(found.items()):
        stair(axes, grid, band, look[rule], place, len(found))
    axes.set(ylim=(-0.04, 1.04), xlabel=label, ylabel=share)
    axes.set_xlim(0, float(grid[-1]) or 1.0)
    axes.set_yticks(np.linspace(0, 1, 6))
    return figure
