"""The report's figures of tuning: what was tried, how it came out, what more trials would buy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import seaborn
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from bench.analysis.statistics import Array
from bench.report.figures.panels import HEIGHT, MARK, WIDTH, Axis, Look, Range, lines, tick
from bench.report.figures.series import draw_band, draw_lines, in_turn, panels
from bench.report.figures.svg import styled
from bench.studies.tuning.sensitivity import Effort, Trials

NUDGE, ROOM = 0.11, 0.7  # octaves between the rules' points at one k, and those that all of them may take


@styled()
def step_sizes(found: Mapping[str, Trials], look: Mapping[str, Look], axis: Axis) -> Figure:
    """Score against step size while tuning: medians joined, a faint bar over the seeds, the chosen one ringed."""
    lost = {
        rule: np.repeat(t.steps[~t.pruned, 0], np.isnan(t.values[~t.pruned]).sum(axis=1)) for rule, t in found.items()
    }
    places = panels(list(found), look, lost, axis)
    within = Range.of(*(part for trials in found.values() for part in (trials.values, trials.last)))
    joined: dict[str, tuple[Array, Array]] = {}
    for rule, trials in in_turn(found, look, *places.all):
        axes = places.of[rule]
        ink: dict[str, Any] = {"color": look[rule].colour, "marker": look[rule].marker, "mfc": "none", "ls": ""}
        axes.plot(trials.steps[:, 0], within.inside(trials.last), ms=MARK, alpha=0.5, mew=0.8, **ink)
        order = np.argsort(trials.steps[:, 0], kind="stable")
        steps, values = trials.steps[order, 0], within.inside(trials.values[order])
        medians = np.where(np.isfinite(trials.medians) & ~trials.pruned, trials.medians, np.nan)[order]
        joined[rule] = steps, within.inside(medians)
        axes.plot(*_bars(steps, values), color=look[rule].colour, lw=1.6, alpha=0.35, solid_capstyle="butt")
        if trials.chosen:
            ringed = np.isclose(steps, trials.chosen[0], rtol=1e-9)
            axes.plot(steps[ringed], joined[rule][1][ringed], ms=10, mew=1.3, **(ink | {"marker": "o"}))
    draw_lines(places.of, joined, look, lw=1.3)
    within.set(places.first, "y")
    places.first.set_xscale("log")
    places.name("step size", axis.label)
    tick(places.first.xaxis, *places.first.get_xlim())
    return places.figure


def _bars(steps: Array, values: Array) -> tuple[Array, Array]:
    """From each step size's best seed to its worst, one line with gaps: steps [S], values [S, seeds] -> x, y [3 S]."""
    known = ~np.isnan(values).all(axis=1)
    some = values[known]
    ends = [np.nanmin(some, axis=1), np.nanmax(some, axis=1), np.full(len(some), np.nan)]
    return np.repeat(steps[known], 3), np.stack(ends, axis=1).ravel()


@styled()
def step_pairs(found: Mapping[str, Trials], look: Mapping[str, Look], axis: Axis) -> Figure:
    """Two step sizes: each trial a point coloured by its median score, failed ones crosses, the chosen one ringed."""
    figure = Figure(figsize=(WIDTH, HEIGHT + 0.3 if len(found) == 1 else 2.6 * len(found)), layout="constrained")
    within = Range.of(*(part for trials in found.values() for part in (trials.medians, trials.last)))
    norm = (LogNorm if within.log else Normalize)(within.low, within.high)
    colours = ScalarMappable(norm, "viridis")
    column = list(figure.subplots(len(found), 1, squeeze=False)[:, 0])
    for axes, (rule, trials) in zip(column, found.items(), strict=True):
        x, y = trials.steps.T
        fine = np.isfinite(trials.medians) & ~trials.pruned
        failed = ~fine & ~trials.pruned
        axes.plot(x[failed], y[failed], ls="", marker="x", ms=6, color="#707070")
        rings = colours.to_rgba(within.inside(trials.last[trials.pruned]))
        axes.scatter(x[trials.pruned], y[trials.pruned], s=30, lw=1.2, fc="none", ec=rings)
        dots: dict[str, Any] = {"hue_norm": norm, "palette": "viridis", "s": 44, "linewidth": 0.5, "legend": False}
        seaborn.scatterplot(x=x[fine], y=y[fine], hue=trials.medians[fine], ax=axes, **dots)
        if trials.chosen:
            axes.plot(*trials.chosen, marker="o", ms=12, mfc="none", mew=1.5, color="black")
        axes.set(xscale="log", yscale="log", xlabel=trials.names[0], ylabel=trials.names[1], title=lines(rule, 40))
        axes.margins(0.09)
        tick(axes.xaxis, *axes.get_xlim())
        tick(axes.yaxis, *axes.get_ylim())
        axes.set_gid(look[rule].key)
    bar = figure.colorbar(colours, ax=column, label=axis.label, fraction=0.05, pad=0.02)
    if within.log:
        tick(bar.ax.yaxis, within.low, within.high)
    return figure


@styled()
def expected_best(found: Mapping[str, Effort], look: Mapping[str, Look], axis: Axis) -> Figure:
    """The best score against the number of trials, a rule's curve with its band; apart, the best of all as found."""
    places = panels(list(found), look, dict.fromkeys(found, np.empty(0)), axis)
    good = 2 if axis.better == "higher" else 1  # a band's end at the worse side may be far off: it is cut
    within = Range.of(*(part for e in found.values() for part in (e.curve.value, e.curve[good], e.found)))
    most = max(len(effort.curve.value) for effort in found.values())
    whole = max(effort.trials for effort in found.values())
    apart = min(NUDGE, ROOM / len(found)) if len(places.all) == 1 else 0.0
    curves: dict[str, tuple[Array, Array]] = {}
    for place, (rule, effort) in enumerate(in_turn(found, look, *places.all)):
        axes, (colour, _, marker, _) = places.of[rule], look[rule]
        k, known = np.arange(1.0, 1 + len(effort.curve.value)), np.isfinite(effort.curve.value)
        value, low, high = (within.inside(part[known]) for part in effort.curve)
        curves[rule] = k[known], value
        draw_band(axes, k[known], low, high, look[rule], min(0.12, len(places.all) / len(found)))
        if np.isfinite(effort.found.value):
            aside = whole * 2 ** (apart * (place - (len(found) - 1) / 2))
            axes.plot([aside] * 2, within.inside(effort.found[1:]), color=colour, lw=1.8, solid_capstyle="butt")
            axes.plot(aside, effort.found.value, marker=marker, ms=5.5, color=colour, mec="white", mew=0.7)
    draw_lines(places.of, curves, look, lw=1.5)
    within.set(places.first, "y")
    powers = [2**power for power in range(most.bit_length())]
    places.first.set_xscale("log", base=2)
    places.first.set_xticks([*powers, whole], [*map(str, powers), f"all {whole}"])
    for axes in places.all:
        axes.xaxis.minorticks_off()
        axes.axvline(np.sqrt(most * whole), color="#808080", lw=0.8)
    places.name("number of trials k", axis.label)
    return places.figure
