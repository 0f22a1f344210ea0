"""The report's figures of tuning: the trials, their scores, the gain of more trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import seaborn
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from bench.analysis.statistics import Array
from bench.report.figures.formats import current
from bench.report.figures.panels import MARK, Axis, Look, Range, alpha, height, lines, tick
from bench.report.figures.series import draw_band, draw_lines, in_turn, panels
from bench.report.figures.svg import styled
from bench.studies.tuning.sensitivity import Effort, Trials

NUDGE, ROOM = 0.11, 0.7  # octaves between the points of two rules, and at most between the first and the last


def range_of_trials(trials_by_rule: Mapping[str, Trials]) -> Range:
    """The limits of the scores of trials."""
    return Range.of(*(part for trials in trials_by_rule.values() for part in (trials.values, trials.last)))


def range_of_efforts(effort_by_rule: Mapping[str, Effort], axis: Axis) -> Range:
    """The limits of the expected best; the worse end of a band may be far away, and is cut off."""
    better_end = 2 if axis.better == "higher" else 1
    return Range.of(*(part for e in effort_by_rule.values() for part in (e.curve.value, e.curve[better_end], e.found)))


@styled()
def step_sizes(trials_by_rule: Mapping[str, Trials], look: Mapping[str, Look], axis: Axis) -> Figure:
    """Score against step size: means joined by lines, faint bars over the seeds, a ring around the chosen one."""
    failures = {
        rule: np.repeat(t.steps[~t.pruned, 0], np.isnan(t.values[~t.pruned]).sum(axis=1))
        for rule, t in trials_by_rule.items()
    }
    layout = panels(list(trials_by_rule), look, failures, axis)
    limits = range_of_trials(trials_by_rule)
    lines_by_rule: dict[str, tuple[Array, Array]] = {}
    for rule, trials in in_turn(trials_by_rule, look, *layout.all):
        axes = layout.of[rule]
        ink: dict[str, Any] = {"color": look[rule].colour, "marker": look[rule].marker, "mfc": "none", "ls": ""}
        if look[rule].strong:
            axes.plot(trials.steps[:, 0], limits.inside(trials.last), ms=MARK, alpha=0.5, mew=0.8, **ink)
        order = np.argsort(trials.steps[:, 0], kind="stable")
        steps, values = trials.steps[order, 0], limits.inside(trials.values[order])
        means = np.where(np.isfinite(trials.means) & ~trials.pruned, trials.means, np.nan)[order]
        lines_by_rule[rule] = steps, limits.inside(means)
        if not look[rule].strong:
            continue
        limits.mark(axes, "y", steps, means, ms=5, mew=0, color=look[rule].colour)
        axes.plot(*_bars(steps, values), color=look[rule].colour, lw=1.6, alpha=0.35, solid_capstyle="butt")
        if trials.chosen:
            ringed = np.isclose(steps, trials.chosen[0], rtol=1e-9)
            axes.plot(steps[ringed], lines_by_rule[rule][1][ringed], ms=10, mew=1.3, **(ink | {"marker": "o"}))
    draw_lines(layout.of, lines_by_rule, look, lw=1.3)
    limits.set(layout.first, "y")
    layout.first.set_xscale("log")
    layout.name("step size", axis.label)
    tick(layout.first.xaxis, *layout.first.get_xlim())
    return layout.figure


def _bars(steps: Array, values: Array) -> tuple[Array, Array]:
    """Bars from the lowest to the highest seed of each step size, as one line with gaps.

    Steps [S], values [S, seeds] -> x, y, each with 3 points for every step size that has a value.
    """
    measured = ~np.isnan(values).all(axis=1)
    scores = values[measured]
    ends = [np.nanmin(scores, axis=1), np.nanmax(scores, axis=1), np.full(len(scores), np.nan)]
    return np.repeat(steps[measured], 3), np.stack(ends, axis=1).ravel()


@styled()
def step_pairs(trials_by_rule: Mapping[str, Trials], look: Mapping[str, Look], axis: Axis) -> Figure:
    """Two step sizes: a point for each trial, coloured by its mean score; failures are crosses, the choice ringed."""
    form, count = current(), len(trials_by_rule)
    tall = height() + 0.3 if count == 1 else 2.6 * form.letters * count
    figure = Figure(figsize=(form.panel, tall), layout="constrained")
    shown = [part for trials in trials_by_rule.values() for part in (trials.means, trials.last)]
    limits = Range.of(*shown)
    norm = (LogNorm if limits.log else Normalize)(limits.low, limits.high)
    colours = ScalarMappable(norm, "viridis")
    column = list(figure.subplots(len(trials_by_rule), 1, squeeze=False)[:, 0])
    for axes, (rule, trials) in zip(column, trials_by_rule.items(), strict=True):
        x, y = trials.steps.T
        fine = np.isfinite(trials.means) & ~trials.pruned
        failed = ~fine & ~trials.pruned
        axes.plot(x[failed], y[failed], ls="", marker="x", ms=6, color="#707070")
        rings = colours.to_rgba(limits.inside(trials.last[trials.pruned]))
        axes.scatter(x[trials.pruned], y[trials.pruned], s=30, lw=1.2, fc="none", ec=rings)
        dots: dict[str, Any] = {"hue_norm": norm, "palette": "viridis", "s": 44, "linewidth": 0.5, "legend": False}
        seaborn.scatterplot(x=x[fine], y=y[fine], hue=trials.means[fine], ax=axes, **dots)
        if trials.chosen:
            axes.plot(*trials.chosen, marker="o", ms=12, mfc="none", mew=1.5, color="black")
        axes.set(xscale="log", yscale="log", xlabel=trials.names[0], ylabel=trials.names[1], title=lines(rule, 40))
        axes.margins(0.09)
        tick(axes.xaxis, *axes.get_xlim())
        tick(axes.yaxis, *axes.get_ylim())
        axes.set_gid(look[rule].key)
    sides = np.concatenate([limits.beyond(part).ravel() for part in shown])
    extend = ["neither", "min", "max", "both"][(sides < 0).any() + 2 * (sides > 0).any()]
    bar = figure.colorbar(colours, ax=column, label=axis.label, fraction=0.05, pad=0.02, extend=extend)
    if limits.log:
        tick(bar.ax.yaxis, limits.low, limits.high)
    return figure


@styled()
def expected_best(effort_by_rule: Mapping[str, Effort], look: Mapping[str, Look], axis: Axis) -> Figure:
    """The expected best score against the number of trials, with bands; to the right, the best of all trials."""
    layout = panels(list(effort_by_rule), look, dict.fromkeys(effort_by_rule, np.empty(0)), axis)
    limits = range_of_efforts(effort_by_rule, axis)
    most = max(len(effort.curve.value) for effort in effort_by_rule.values())
    all_trials = max(effort.trials for effort in effort_by_rule.values())
    apart = min(NUDGE, ROOM / len(effort_by_rule)) if len(layout.all) == 1 else 0.0
    curves: dict[str, tuple[Array, Array]] = {}
    for index, (rule, effort) in enumerate(in_turn(effort_by_rule, look, *layout.all)):
        axes, colour, marker = layout.of[rule], look[rule].colour, look[rule].marker
        k, finite = np.arange(1.0, 1 + len(effort.curve.value)), np.isfinite(effort.curve.value)
        value, low, high = (limits.inside(part[finite]) for part in effort.curve)
        curves[rule] = k[finite], value
        draw_band(axes, k[finite], low, high, look[rule], alpha(0.12, len(layout.all), look, effort_by_rule))
        if np.isfinite(effort.found.value) and look[rule].strong:
            x = all_trials * 2 ** (apart * (index - (len(effort_by_rule) - 1) / 2))
            axes.plot([x] * 2, limits.inside(effort.found[1:]), color=colour, lw=1.8, solid_capstyle="butt")
            limits.mark(axes, "y", [x], effort.found[:1], ms=5.5, color=colour, mec="white", mew=0.7)
            if not limits.cuts(effort.found.value):
                axes.plot(x, effort.found.value, marker=marker, ms=5.5, color=colour, mec="white", mew=0.7)
        if look[rule].strong:
            limits.mark_leaving(axes, k[finite], effort.curve.value[finite], ms=5, mew=0, color=colour)
    draw_lines(layout.of, curves, look, lw=1.5)
    limits.set(layout.first, "y")
    powers = [2**power for power in range(most.bit_length())]
    layout.first.set_xscale("log", base=2)
    layout.first.set_xticks([*powers, all_trials], [*map(str, powers), f"all {all_trials}"])
    for axes in layout.all:
        axes.xaxis.minorticks_off()
        axes.axvline(np.sqrt(most * all_trials), color="#808080", lw=0.8)
    layout.name("number of trials k", axis.label)
    return layout.figure
