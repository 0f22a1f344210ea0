"""The report's figures of scores: during training, and at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.statistics import Array
from bench.report.figures.formats import current
from bench.report.figures.panels import (
    COST,
    MARK,
    Axis,
    Look,
    Range,
    alpha,
    blank,
    draw_references,
    height,
    lines,
    rows,
)
from bench.report.figures.series import draw_band, draw_lines, in_turn, one_panel
from bench.report.figures.svg import styled


class Curve(NamedTuple):
    """A rule's curve: costs [T], middle and band [T] (infinite if too many failed), the costs of its failures [k]."""

    cost: Array
    middle: Array
    low: Array
    high: Array
    failures: Array


class Scores(NamedTuple):
    """A rule's final scores [seeds] in the order of the seeds, NaN for a failure; their middle and interval."""

    values: Array
    middle: float
    low: float
    high: float


def range_of_curves(curves_by_rule: Mapping[str, Curve], axis: Axis) -> Range:
    """The limits of the scores of curves: their start and what they are read by set the scale."""
    bands = [part for curve in curves_by_rule.values() for part in curve[1:4]]
    starts = [curve.middle[0] for curve in curves_by_rule.values() if curve.middle.size]
    return Range.of(*bands, keep=[*axis.reach(*bands).values(), *starts])


def range_of_scores(scores_by_rule: Mapping[str, Scores], axis: Axis) -> Range:
    """The limits of final scores: what they are read by sets the scale, a far seed does not."""
    given = [[*scores.values, *scores[1:]] for scores in scores_by_rule.values()]
    return Range.of(*given, keep=list(axis.reach(*given).values()))


@styled()
def curves(curves_by_rule: Mapping[str, Curve], look: Mapping[str, Look], axis: Axis, label: str = COST) -> Figure:
    """The score against cost, or another quantity in its place: the middle of each rule with its band.

    A cross marks the last finite point of a middle that becomes infinite, a triangle where one leaves the axis.
    """
    failures = {rule: curve.failures for rule, curve in curves_by_rule.items()}
    layout = one_panel(list(curves_by_rule), look, failures, axis)
    limits = range_of_curves(curves_by_rule, axis)
    references = axis.reach(*(part for curve in curves_by_rule.values() for part in curve[1:4]))
    middles: dict[str, tuple[Array, Array]] = {}
    for rule, curve in in_turn(curves_by_rule, look, *layout.all):
        finite, axes = np.isfinite(curve.middle), layout.of[rule]
        cost, middle, low, high = curve.cost[finite], *(limits.inside(part[finite]) for part in curve[1:4])
        middles[rule] = cost, middle
        draw_band(axes, cost, low, high, look[rule], alpha(0.16, 1.4, look, curves_by_rule))
        if not finite[-1] and look[rule].strong:
            cross: dict[str, Any] = {"marker": "x", "ms": 8, "mew": 2, "color": look[rule].colour}
            axes.plot(cost[-1:], middle[-1:], clip_on=False, zorder=5, **cross)
        if look[rule].strong:
            limits.mark_leaving(axes, cost, curve.middle[finite], ms=5, color=look[rule].colour, mew=0, zorder=5)
    draw_lines(layout.of, middles, look, every=4, lw=1.5)
    limits.set(layout.first, "y")
    draw_references(layout.first, references, "y")
    layout.name(label, axis.label)
    layout.first.set_xlim(0, max(float(curve.cost.max()) for curve in curves_by_rule.values()) or 1.0)
    return layout.figure


@styled()
def final_scores(
    scores_by_rule: Mapping[str, Scores], look: Mapping[str, Look], axis: Axis, span: Range | None = None
) -> Figure:
    """A point for each seed, their middle with its interval, failed seeds as crosses at the worse border.

    A seed or a middle beyond the axis is a triangle at its border.
    """
    form = current()
    deepest = max(lines(rule, form.most(27)).count("\n") for rule in scores_by_rule)
    row_height = (0.3 + 0.08 * deepest) * (1.0 if form.width is None else 0.8)
    figure = Figure(
        figsize=(form.panel, max(height() + 0.25 * form.share, 0.75 * form.letters + row_height * len(scores_by_rule))),
        layout="constrained",
    )
    failed = [int(np.isnan(scores.values).sum()) for scores in scores_by_rule.values()]
    axes, strip = _with_strip(figure, axis) if any(failed) else (figure.subplots(), None)
    given = [[*scores.values, *scores[1:]] for scores in scores_by_rule.values()]
    references = axis.reach(*given)
    limits = span or range_of_scores(scores_by_rule, axis)
    limits.set(axes, "x")
    draw_references(axes, references, "x")
    _swarms(axes, scores_by_rule, look, limits)
    for row, (rule, scores) in enumerate(
        in_turn(scores_by_rule, look, *[part for part in (axes, strip) if part is not None])
    ):
        if np.isfinite([scores.low, scores.high]).any():
            ends = limits.inside([scores.low, scores.high])
            axes.plot(ends, [row] * 2, color="#1c1c1a", lw=1.6, solid_capstyle="butt", zorder=4)
        if np.isfinite(scores.middle):
            middle: dict[str, Any] = {"ms": 4.6, "mec": "white", "mew": 0.8, "color": "#1c1c1a", "zorder": 5}
            if limits.cuts(scores.middle):
                limits.mark(axes, "x", [row], [scores.middle], **(middle | {"ms": 7.0}))
            else:
                axes.plot(scores.middle, row, marker="D", clip_on=False, **middle)
        far = scores.values[limits.beyond(scores.values) != 0]
        spread = row + np.linspace(-0.3, 0.3, len(far)) if len(far) > 1 else np.array([float(row)])[: len(far)]
        limits.mark(axes, "x", spread, far, ms=MARK + 1, color=look[rule].colour, mew=0, alpha=0.8)
        if strip is not None and failed[row]:
            _crosses(strip, row, failed[row], len(scores.values), look[rule])
    axes.set(xlabel=axis.label, ylabel="", ylim=(len(scores_by_rule) - 0.4, -0.6))
    labelled = strip if strip is not None and axis.better == "higher" else axes
    rows(labelled, list(scores_by_rule), look)
    return figure


def _swarms(axes: Axes, scores_by_rule: Mapping[str, Scores], look: Mapping[str, Look], limits: Range) -> None:
    """A row for each rule, a point for each seed; points that would overlap are drawn side by side."""
    parts = [
        pd.DataFrame({"rule": rule, "value": scores.values[limits.beyond(scores.values) == 0]})
        for rule, scores in scores_by_rule.items()
    ]
    data = pd.concat(parts).dropna()
    if data.empty:
        return
    dots: dict[str, Any] = {"size": MARK, "alpha": 0.6, "linewidth": 0, "clip_on": False, "warn_thresh": 1.0}
    colours: dict[str, Any] = {
        "hue": "rule",
        "palette": {rule: look[rule].colour for rule in scores_by_rule},
        "legend": False,
    }
    seaborn.swarmplot(data=data, x="value", y="rule", order=list(scores_by_rule), ax=axes, **colours, **dots)
    for points, rule in zip(axes.collections, scores_by_rule, strict=True):
        points.set_gid(look[rule].key)


def _crosses(strip: Axes, row: int, failed: int, seeds: int, look: Look) -> None:
    """A cross for each failed seed, and above them their number."""
    across = np.linspace(0.08, 0.92, failed) if failed > 1 else [0.5]
    strip.plot(across, np.full(failed, row + 0.2), ls="", marker="x", ms=MARK, color=look.colour)
    strip.text(0.5, row - 0.17, f"{failed} of {seeds}", ha="center", va="center", fontsize="small")


def _with_strip(figure: Figure, axis: Axis) -> tuple[Axes, Axes]:
    """The axes of the scores, and a strip for failures at the worse border."""
    right = axis.better == "lower"
    pair = figure.subplots(1, 2, sharey=True, width_ratios=(1, 0.26) if right else (0.26, 1))
    axes, strip = (pair[0], pair[1]) if right else (pair[1], pair[0])
    blank(strip)
    strip.set(xlim=(0, 1), xlabel=axis.failed)
    return axes, strip
