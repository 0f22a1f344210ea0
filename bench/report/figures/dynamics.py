"""The report's figures of how training went: who survived it, and the way it took; arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.statistics import Array, Band
from bench.report.figures.panels import COST, HEIGHT, MARK, Look, in_turn, with_legend
from bench.report.figures.svg import styled

APART = 0.045  # of a share, over which stairs that coincide are spread to be seen side by side


@styled()
def survivals(found: Mapping[str, Mapping[str, Band]], grid: Array, look: Mapping[str, Look]) -> Figure:
    """A panel an event (``diverged``, ``collapsed``), a stair a rule: the share [G] of replicas it has not met yet."""
    rules = list(next(iter(found.values())))
    figure = with_legend(rules, look, (HEIGHT - 0.7) * len(found) + 0.3)
    column = figure.subplots(len(found), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (event, bands) in zip(column, found.items(), strict=True):
        for place, (rule, band) in enumerate(in_turn(bands, look, axes)):
            stair(axes, grid, band, look[rule], place, len(bands))
        axes.set(ylim=(-0.05, 1.05), ylabel=f"share not {event}")
    column[-1].set(xlabel=COST)
    column[-1].set_xlim(0, float(grid[-1]) or 1.0)
    return figure


def stair(axes: Axes, grid: Array, band: Band, look: Look, place: int, rules: int) -> None:
    """Shares [G] with their band, a corner only where something changes; those of ``rules`` stand a little apart."""
    rows = np.stack(band)
    changes = np.any(rows[:, 1:] != rows[:, :-1], axis=0)
    kept = np.flatnonzero(np.append(True, changes) | (np.arange(len(grid)) == len(grid) - 1))
    at, (value, low, high) = grid[kept], rows[:, kept]
    axes.fill_between(at, low, high, step="post", color=look.colour, alpha=min(0.12, 0.7 / rules), lw=0)
    nudged = value + APART * (place - (rules - 1) / 2) / rules
    axes.plot(at, nudged, drawstyle="steps-post", color=look.colour, ls=look.dash, lw=1.5)
    axes.plot(at[-1], nudged[-1], ls="", marker=look.marker, ms=MARK, color=look.colour, clip_on=False)


@styled()
def path_angles(points: Array, found: Mapping[str, Band], look: Mapping[str, Look]) -> Figure:
    """cos(F(w_a), end - start) [P] at w_a = start + a (end - start), a in points [P]: each rule's middle with its band.

    Berard et al. 2020, arXiv:1906.04848: a change of sign at a = 1 is attraction, a bump there rotation.
    """
    figure = with_legend(list(found), look, HEIGHT)
    axes = figure.subplots()
    axes.axvline(1, color="#808080", lw=0.8)
    axes.axhline(0, color="#808080", lw=0.8)
    for place, (rule, band) in enumerate(in_turn(found, look, axes)):
        colour, dash, marker, _ = look[rule]
        axes.fill_between(points, band.low, band.high, color=colour, alpha=0.14, lw=0)
        axes.plot(points, band.value, color=colour, ls=dash, marker=marker, ms=3.6, markevery=(place % 3, 3), lw=1.5)
    low = min(float(np.min(band.low)) for band in found.values())
    high = max(float(np.max(band.high)) for band in found.values())
    margin = 0.06 * (high - low) or 0.1
    axes.set(xlim=(points[0], points[-1]), ylim=(low - margin, high + margin))
    axes.set(xlabel="place between the start (0) and the end (1) of training", ylabel="cosine of field and path")
    return figure
