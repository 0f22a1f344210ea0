"""The report's figures of tuning: what was tried, how it came out, what more trials would buy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from bench.analysis.statistics import Array
from bench.report.figures.panels import HEIGHT, MARK, WIDTH, Axis, Look, Range, in_turn, lines, panel, tick
from bench.report.figures.svg import styled
from bench.studies.tuning.sensitivity import Effort, Trials

NUDGE, ROOM = 0.11, 0.7  # octaves between the rules' points at one k, and those that all of them may take


@styled()
def step_sizes(found: Mapping[str, Trials], look: Mapping[str, Look], axis: Axis) -> Figure:
    """Score against step size while tuning: medians joined, a faint bar over the seeds, the chosen one ringed."""
    lost = {
        rule: np.repeat(t.steps[~t.pruned, 0], np.isnan(t.values[~t.pruned]).sum(axis=1)) for rule, t in found.items()
    }
    figure, axes = panel(list(found), look, lost, axis)
    within = Range.of(*(part for trials in found.values() for part in (trials.values, trials.last)))
    for rule, trials in in_turn(found, look, axes):
        colour, dash, marker, _ = look[rule]
        pruned: dict[str, Any] = {"ls": "", "marker": marker, "ms": MARK, "mfc": "none", "alpha": 0.5, "mew": 0.8}
        axes.plot(trials.steps[:, 0], within.inside(trials.last), color=colour, **pruned)
        order = np.argsort(trials.steps[:, 0], kind="stable")
        medians = np.where(np.isfinite(trials.medians) & ~trials.pruned, trials.medians, np.nan)
        steps = trials.steps[order, 0]
        values, medians = within.inside(trials.values[order]), within.inside(medians[order])
        axes.plot(*_bars(steps, values), color=colour, lw=1.6, alpha=0.35, solid_capstyle="butt")
        axes.plot(steps, medians, color=colour, ls=dash, marker=marker, ms=MARK, lw=1.3)
        if trials.chosen:
            ringed = np.isclose(steps, trials.chosen[0], rtol=1e-9)
            axes.plot(steps[ringed], medians[ringed], ls="", marker="o", ms=10, mfc="none", mew=1.3, color=colour)
    within.set(axes, "y")
    axes.set(xscale="log", xlabel="step size", ylabel=axis.label)
    tick(axes.xaxis, *axes.get_xlim())
    return figure


def _bars(steps: Array, values: Array) -> tuple[Array, Array]:
    """From each step size's best seed to its worst, one line with gaps: steps [S], values [S, seeds] -> x, y [3 S]."""
    known = ~np.isnan(values).all(axis=1)
    some = values[known]
    ends = [np.nanmin(some, axis=1), np.nanmax(some, axis=1), np.full(len(some), np.nan)]
    return np.repeat(steps[known], 3), np.stack(ends, axis=1).ravel()


@styled()
def step_pairs(found: Mapping[str, Trials], look: Mapping[str, Look], axis: Axis) -> Figure:
    """Two step sizes: each trial a point coloured by its median score, failed ones crosses, the chosen one ringed."""
    figure = Figure(figsize=(WIDTH, HEIGHT + 0.3 if len(found) == 1 else 2.6 * len(found)))
    within = Range.of(*(part for trials in found.values() for part in (trials.medians, trials.last)))
    norm = (LogNorm if within.log else Normalize)(within.low, within.high)
    grid = figure.add_gridspec(len(found), 2, width_ratios=(1, 0.045))
    column = [figure.add_subplot(grid[row, 0]) for row in range(len(found))]
    for axes, (rule, trials) in zip(column, found.items(), strict=True):
        x, y = trials.steps.T
        fine = np.isfinite(trials.medians) & ~trials.pruned
        failed = ~fine & ~trials.pruned
        axes.plot(x[failed], y[failed], ls="", marker="x", ms=6, color="#707070")
        rings = colormaps["viridis"](norm(within.inside(trials.last[trials.pruned])))
        axes.scatter(x[trials.pruned], y[trials.pruned], s=30, lw=1.2, fc="none", ec=rings)
        colours: dict[str, Any] = {"c": trials.medians[fine], "norm": norm, "cmap": "viridis"}
        dots = axes.scatter(x[fine], y[fine], s=44, lw=0.5, ec="white", **colours)
        if trials.chosen:
            axes.plot(*trials.chosen, marker="o", ms=12, mfc="none", mew=1.5, color="black")
        axes.set(xscale="log", yscale="log", xlabel=trials.names[0], ylabel=trials.names[1], title=lines(rule, 40))
        axes.margins(0.09)
        tick(axes.xaxis, *axes.get_xlim())
        tick(axes.yaxis, *axes.get_ylim())
        axes.set_gid(look[rule].key)
    bar = figure.colorbar(dots, cax=figure.add_subplot(grid[:, 1]), label=axis.label)
    if within.log:
        tick(bar.ax.yaxis, within.low, within.high)
    return figure


@styled()
def expected_best(found: Mapping[str, Effort], look: Mapping[str, Look], axis: Axis) -> Figure:
    """The best score against the number of trials, a rule's curve with its band; apart, the best of all as found."""
    figure, axes = panel(list(found), look, dict.fromkeys(found, np.empty(0)), axis)
    good = 2 if axis.better == "higher" else 1  # a band's end at the worse side may be far off: it is cut
    within = Range.of(*(part for e in found.values() for part in (e.curve.value, e.curve[good], e.found)))
    most = max(len(effort.curve.value) for effort in found.values())
    whole, apart = max(effort.trials for effort in found.values()), min(NUDGE, ROOM / len(found))
    for place, (rule, effort) in enumerate(in_turn(found, look, axes)):
        colour, dash, marker, _ = look[rule]
        known = np.isfinite(effort.curve.value)
        k = 1 + np.flatnonzero(known)
        value, low, high = (within.inside(part[known]) for part in effort.curve)
        axes.fill_between(k, low, high, color=colour, alpha=min(0.12, 1 / len(found)), lw=0)
        axes.plot(k, value, color=colour, ls=dash, marker=marker, ms=3.6, lw=1.5)
        if np.isfinite(effort.found.value):
            aside = whole * 2 ** (apart * (place - (len(found) - 1) / 2))
            axes.plot([aside] * 2, within.inside(effort.found[1:]), color=colour, lw=1.8, solid_capstyle="butt")
            axes.plot(aside, effort.found.value, marker=marker, ms=5.5, color=colour, mec="white", mew=0.7)
    within.set(axes, "y")
    powers = [2**power for power in range(most.bit_length())]
    axes.set_xscale("log", base=2)
    axes.set_xticks([*powers, whole], [*map(str, powers), f"all {whole}"])
    axes.xaxis.minorticks_off()
    axes.axvline(np.sqrt(most * whole), color="#808080", lw=0.8)
    axes.set(xlabel="number of trials k", ylabel=axis.label)
    return figure
