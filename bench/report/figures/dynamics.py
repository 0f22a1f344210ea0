"""The report's figures of the dynamics of training: survival curves and path-angles; arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from bench.analysis.statistics import Array, Band
from bench.report.figures.formats import current
from bench.report.figures.panels import COST, Look, alpha, height
from bench.report.figures.series import draw_band, draw_stairs, draw_together, with_legend
from bench.report.figures.svg import styled


@styled()
def survivals(bands_by_event: Mapping[str, Mapping[str, Band]], grid: Array, look: Mapping[str, Look]) -> Figure:
    """A panel for each event (``diverged``, ``collapsed``), a stair for each rule: the share of replicas without it."""
    rules = list(next(iter(bands_by_event.values())))
    figure = with_legend(rules, look, (height() - 0.7 * current().share) * len(bands_by_event) + 0.3)
    column = figure.subplots(len(bands_by_event), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (event, bands) in zip(column, bands_by_event.items(), strict=True):
        draw_stairs(axes, bands, grid, look)
        axes.set(ylim=(-0.05, 1.05), xlabel="", ylabel=f"share not {event}")
    column[-1].set(xlabel=COST)
    column[-1].set_xlim(0, float(grid[-1]) or 1.0)
    return figure


@styled()
def path_angles(points: Array, bands: Mapping[str, Band], look: Mapping[str, Look]) -> Figure:
    """cos(F(w_a), end - start) [P] at w_a = start + a (end - start), a in points [P]: the middle and band of each rule.

    Berard et al. 2020, arXiv:1906.04848: a change of sign at a = 1 is attraction, a bump there rotation.
    """
    figure = with_legend(list(bands), look, height())
    axes = figure.subplots()
    axes.axvline(1, color="#808080", lw=0.8)
    axes.axhline(0, color="#808080", lw=0.8)
    for rule, band in bands.items():
        draw_band(axes, points, band.low, band.high, look[rule], alpha(0.14, 1.4, look, bands))
    draw_together(axes, {rule: (points, band.value) for rule, band in bands.items()}, look, every=3, lw=1.5)
    low = min(float(np.min(band.low)) for band in bands.values())
    high = max(float(np.max(band.high)) for band in bands.values())
    margin = 0.06 * (high - low) or 0.1
    axes.set(xlim=(points[0], points[-1]), ylim=(low - margin, high + margin))
    between = "\n" if current().share < 1 else " "
    axes.set(xlabel=f"place between the start (0){between}and the end (1) of training")
    axes.set(ylabel="cosine of field and path")
    return figure
