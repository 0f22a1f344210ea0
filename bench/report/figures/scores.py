"""The report's figures of scores: through training, and at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.statistics import Array
from bench.report.figures.panels import (
    CEILING,
    COST,
    HEIGHT,
    WIDTH,
    Axis,
    Look,
    Range,
    blank,
    in_turn,
    panel,
    rows,
)
from bench.report.figures.svg import styled


class Curve(NamedTuple):
    """A rule's way through training: costs [T], middle and band [T] (infinite where too many failed), failures [k]."""

    cost: Array
    middle: Array
    low: Array
    high: Array
    lost: Array


class Scores(NamedTuple):
    """A rule's final scores [seeds], NaN for a failure, in the order of the seeds; their middle and interval."""

    values: Array
    middle: float
    low: float
    high: float


@styled()
def curves(found: Mapping[str, Curve], look: Mapping[str, Look], axis: Axis, label: str = COST) -> Figure:
    """The score against cost, or what the curves have for it: each rule's middle with its band.

    A cross stands where a rule's middle stops being finite.
    """
    figure, axes = panel(list(found), look, {rule: curve.lost for rule, curve in found.items()}, axis)
    within = Range.of([axis.ceiling], *(part for curve in found.values() for part in curve[1:4]))
    axes.axhline(axis.ceiling, **CEILING)
    for i, (rule, curve) in enumerate(in_turn(found, look, axes)):
        known = np.isfinite(curve.middle)
        cost, middle, low, high = curve.cost[known], *(within.inside(part[known]) for part in curve[1:4])
        colour, dash, marker, _ = look[rule]
        axes.fill_between(cost, low, high, color=colour, alpha=min(0.16, 1.4 / len(found)), lw=0)
        axes.plot(cost, middle, color=colour, ls=dash, marker=marker, ms=3.6, markevery=(i % 4, 4), lw=1.5)
        if not known[-1]:
            axes.plot(cost[-1:], middle[-1:], marker="x", ms=8, mew=2, color=colour, clip_on=False, zorder=5)
    within.set(axes, "y")
    axes.set(xlabel=label, ylabel=axis.label)
    axes.set_xlim(0, max(float(curve.cost.max()) for curve in found.values()) or 1.0)
    return figure


@styled()
def final_scores(
    found: Mapping[str, Scores], look: Mapping[str, Look], axis: Axis, span: Range | None = None
) -> Figure:
    """One point a seed, the middle with its interval above, failed seeds as crosses at the worse border."""
    figure = Figure(figsize=(WIDTH, max(HEIGHT + 0.25, 0.75 + 0.44 * len(found))))
    failed = [int(np.isnan(scores.values).sum()) for scores in found.values()]
    axes, strip = _beside(figure, axis) if any(failed) else (figure.subplots(), None)
    within = span or Range.of([axis.ceiling], *([*scores.values, *scores[1:]] for scores in found.values()))
    axes.axvline(axis.ceiling, **CEILING)
    for place, (rule, scores) in enumerate(in_turn(found, look, *[part for part in (axes, strip) if part is not None])):
        colour, _, marker, _ = look[rule]
        spread = place + np.linspace(-0.02, 0.32, len(scores.values))
        axes.plot(
            within.inside(scores.values),
            spread,
            ls="",
            clip_on=False,
            marker=marker,
            ms=3.6,
            color=colour,
            alpha=0.55,
            mew=0,
        )
        if np.isfinite([scores.low, scores.high]).any():
            ends = within.inside([scores.low, scores.high])
            axes.plot(ends, [place - 0.2] * 2, color=colour, lw=2.4, solid_capstyle="butt")
        if np.isfinite(scores.middle):
            axes.plot(within.inside(scores.middle), place - 0.2, marker="|", ms=9, mew=2.4, color=colour)
        if strip is not None and failed[place]:
            across = np.linspace(0.08, 0.92, failed[place]) if failed[place] > 1 else [0.5]
            strip.plot(across, np.full(failed[place], place + 0.15), ls="", marker="x", ms=3.6, color=colour)
            words = f"{failed[place]} of {len(scores.values)}"
            strip.text(0.5, place - 0.2, words, ha="center", va="center", fontsize="small")
    within.set(axes, "x")
    axes.set(xlabel=axis.label, ylim=(len(found) - 0.4, -0.6))
    first = strip if strip is not None and axis.better == "higher" else axes
    rows(first, list(found), look)
    return figure


def _beside(figure: Figure, axis: Axis) -> tuple[Axes, Axes]:
    """The axes of the scores, and a strip for failures at the worse side."""
    right = axis.better == "lower"
    pair = figure.subplots(1, 2, sharey=True, width_ratios=(1, 0.26) if right else (0.26, 1))
    axes, strip = (pair[0], pair[1]) if right else (pair[1], pair[0])
    blank(strip)
    strip.set(xlim=(0, 1), xlabel=axis.failed)
    return axes, strip
