"""The report's figures of scores: through training, and at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.statistics import Array
from bench.report.figures.panels import CEILING, COST, HEIGHT, MARK, WIDTH, Axis, Look, Range, blank, lines, rows
from bench.report.figures.series import draw_band, draw_lines, in_turn, panels
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
    places = panels(list(found), look, {rule: curve.lost for rule, curve in found.items()}, axis)
    within = Range.of([axis.ceiling], *(part for curve in found.values() for part in curve[1:4]))
    for axes in places.all:
        axes.axhline(axis.ceiling, **CEILING)
    middles: dict[str, tuple[Array, Array]] = {}
    for rule, curve in in_turn(found, look, *places.all):
        known, axes = np.isfinite(curve.middle), places.of[rule]
        cost, middle, low, high = curve.cost[known], *(within.inside(part[known]) for part in curve[1:4])
        middles[rule] = cost, middle
        draw_band(axes, cost, low, high, look[rule], min(0.16, 1.4 * len(places.all) / len(found)))
        if not known[-1]:
            cross: dict[str, Any] = {"marker": "x", "ms": 8, "mew": 2, "color": look[rule].colour}
            axes.plot(cost[-1:], middle[-1:], clip_on=False, zorder=5, **cross)
    draw_lines(places.of, middles, look, every=4, lw=1.5)
    within.set(places.first, "y")
    places.name(label, axis.label)
    places.first.set_xlim(0, max(float(curve.cost.max()) for curve in found.values()) or 1.0)
    return places.figure


@styled()
def final_scores(
    found: Mapping[str, Scores], look: Mapping[str, Look], axis: Axis, span: Range | None = None
) -> Figure:
    """One point a seed, the middle with its interval over them, failed seeds as crosses at the worse border."""
    deepest = max(lines(rule, 27).count("\n") for rule in found)
    tall = max(HEIGHT + 0.25, 0.75 + (0.3 + 0.08 * deepest) * len(found))
    figure = Figure(figsize=(WIDTH, tall), layout="constrained")
    failed = [int(np.isnan(scores.values).sum()) for scores in found.values()]
    axes, strip = _beside(figure, axis) if any(failed) else (figure.subplots(), None)
    within = span or Range.of([axis.ceiling], *([*scores.values, *scores[1:]] for scores in found.values()))
    within.set(axes, "x")
    axes.axvline(axis.ceiling, **CEILING)
    _swarms(axes, found, look, within)
    for place, (rule, scores) in enumerate(in_turn(found, look, *[part for part in (axes, strip) if part is not None])):
        if np.isfinite([scores.low, scores.high]).any():
            ends = within.inside([scores.low, scores.high])
            axes.plot(ends, [place] * 2, color="#1c1c1a", lw=1.6, solid_capstyle="butt", zorder=4)
        if np.isfinite(scores.middle):
            middle: dict[str, Any] = {"marker": "D", "ms": 4.6, "mec": "white", "mew": 0.8, "color": "#1c1c1a"}
            axes.plot(within.inside(scores.middle), place, zorder=5, clip_on=False, **middle)
        if strip is not None and failed[place]:
            _crosses(strip, place, failed[place], len(scores.values), look[rule])
    axes.set(xlabel=axis.label, ylabel="", ylim=(len(found) - 0.4, -0.6))
    first = strip if strip is not None and axis.better == "higher" else axes
    rows(first, list(found), look)
    return figure


def _swarms(axes: Axes, found: Mapping[str, Scores], look: Mapping[str, Look], within: Range) -> None:
    """A row a rule of a point a seed, side by side where they would hide each other."""
    parts = [pd.DataFrame({"rule": rule, "value": within.inside(scores.values)}) for rule, scores in found.items()]
    data = pd.concat(parts).dropna()
    if data.empty:
        return
    dots: dict[str, Any] = {"size": MARK, "alpha": 0.6, "linewidth": 0, "clip_on": False, "warn_thresh": 1.0}
    colours: dict[str, Any] = {"hue": "rule", "palette": {rule: look[rule].colour for rule in found}, "legend": False}
    seaborn.swarmplot(data=data, x="value", y="rule", order=list(found), ax=axes, **colours, **dots)
    for points, rule in zip(axes.collections, found, strict=True):
        points.set_gid(look[rule].key)


def _crosses(strip: Axes, place: int, failed: int, seeds: int, look: Look) -> None:
    """A cross for each seed that failed, and above them how many of how many they are."""
    across = np.linspace(0.08, 0.92, failed) if failed > 1 else [0.5]
    strip.plot(across, np.full(failed, place + 0.2), ls="", marker="x", ms=MARK, color=look.colour)
    strip.text(0.5, place - 0.17, f"{failed} of {seeds}", ha="center", va="center", fontsize="small")


def _beside(figure: Figure, axis: Axis) -> tuple[Axes, Axes]:
    """The axes of the scores, and a strip for failures at the worse side."""
    right = axis.better == "lower"
    pair = figure.subplots(1, 2, sharey=True, width_ratios=(1, 0.26) if right else (0.26, 1))
    axes, strip = (pair[0], pair[1]) if right else (pair[1], pair[0])
    blank(strip)
    strip.set(xlim=(0, 1), xlabel=axis.failed)
    return axes, strip
