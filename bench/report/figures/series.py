"""What is drawn of one rule after the other: the legend, lines with their bands, stairs, crosses of what failed.

Lines are seaborn's; their bands come computed. All that is drawn of a rule is called by the rule's key, so that a page
may hide it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

from bench.analysis.statistics import Array, Band
from bench.report.figures.panels import FULL, HEIGHT, MANY, MARK, WIDTH, Axis, Look, blank, lines, short

T = TypeVar("T")

LANE = 0.13  # inches of a rule's lane in the strip of failures
LETTERS, ROW = 8.0, 12.0  # points: of a legend's letters, of its rows
SAMPLE, BESIDE = 26.0, 14.0  # points: of a legend's line with what follows it, of what follows a name
APART = 0.045  # of a share, over which stairs that coincide are spread to be seen side by side

Entry = tuple[str, str, Any]
"""A name, the key of what is called so, and its handle."""


def in_turn(found: Mapping[str, T], look: Mapping[str, Look], *panels: Axes) -> Iterator[tuple[str, T]]:
    """Rules one by one; what is drawn in the panels before the next one's turn is called by the rule's key."""
    for rule, what in found.items():
        before = {id(artist) for axes in panels for artist in axes.get_children()}
        yield rule, what
        for artist in (artist for axes in panels for artist in axes.get_children() if id(artist) not in before):
            artist.set_gid(look[rule].key if rule in look else None)


# --- the legend ------------------------------------------------------------------------------------------------------


@cache
def _wide(text: str) -> float:
    """How wide a name in a legend is, in points."""
    return float(text_to_path.get_text_width_height_descent(text, FontProperties(size=LETTERS), ismath=False)[0])


def headed(width: float, height: float, entries: Sequence[Entry]) -> Figure:
    """A figure of so many inches below a legend, which has as few rows as there is width for."""
    names, keys, handles = zip(*entries, strict=True)
    columns = next(count for count in range(len(names), 0, -1) if count == 1 or _fits(names, count, width * 72))
    rows = -(-len(names) // columns)
    spaced = ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.03)
    figure = Figure(figsize=(width, height + (rows * ROW + 6) / 72), layout=spaced)
    spacing = {"handlelength": 2.4, "handletextpad": 0.6, "columnspacing": 1.5, "labelspacing": 0.3}
    around: dict[str, Any] = {"borderpad": 0.0, "borderaxespad": 0.4, "fontsize": LETTERS, "frameon": False}
    legend = figure.legend(handles, names, loc="outside upper left", ncols=columns, **spacing, **around)
    for key, handle, text in zip(keys, legend.legend_handles, legend.get_texts(), strict=True):
        text.set_gid(key)
        if handle is not None:
            handle.set_gid(key)
    return figure


def _fits(names: Sequence[str], columns: int, most: float) -> bool:
    """Whether the names fit side by side in so many columns, filled one after the other."""
    parts = np.array_split([_wide(name) for name in names], columns)
    return sum(SAMPLE + BESIDE + float(part.max()) for part in parts) - BESIDE <= most - 6


def with_legend(rules: Sequence[str], look: Mapping[str, Look], height: float) -> Figure:
    """A figure of so many inches below the rules' legend."""
    return headed(WIDTH, height, [(short(rule), look[rule].key, _line(look[rule])) for rule in rules])


def _line(look: Look) -> Line2D:
    return Line2D([], [], color=look.colour, ls=look.dash, marker=look.marker, ms=MARK, lw=1.2)


# --- panels ----------------------------------------------------------------------------------------------------------


class Panels(NamedTuple):
    """A figure in which each rule has its panel: one that all share, or where they are many one of its own."""

    figure: Figure
    of: dict[str, Axes]

    @property
    def all(self) -> list[Axes]:
        return list(dict.fromkeys(self.of.values()))

    @property
    def first(self) -> Axes:
        """The limits, scales and ticks of all panels are those of the first."""
        return self.all[0]

    def name(self, below: str, beside: str) -> None:
        """What the axes of all panels are."""
        if len(self.all) == 1:
            self.first.set(xlabel=below, ylabel=beside)
            return
        for axes in self.all:
            axes.set(xlabel="", ylabel="")
        self.figure.supxlabel(below, fontsize="medium")
        self.figure.supylabel(beside, fontsize="medium")


def panels(rules: Sequence[str], look: Mapping[str, Look], lost: Mapping[str, Array], axis: Axis) -> Panels:
    """Panels for curves, of which some end early: ``lost`` says where replicas failed, a cross for each."""
    if len(rules) <= MANY:
        figure, axes = _shared(rules, look, lost, axis)
        return Panels(figure, dict.fromkeys(rules, axes))
    columns = 5
    rows = -(-len(rules) // columns)
    figure = Figure(figsize=(FULL, 1.75 * rows + 0.4), layout="constrained")
    every = list(figure.subplots(rows, columns, sharex=True, sharey=True).ravel())
    for spare in every[len(rules) :]:
        spare.remove()
    for axes, above in zip(every[columns:], every, strict=False):
        above.tick_params(labelbottom=axes not in every[: len(rules)])
    height = 0.96 if axis.better == "lower" else 0.04  # the worse border
    for axes, rule in zip(every, rules, strict=False):
        axes.set_title(lines(rule, 26), fontsize="small")
        axes.set_gid(look[rule].key)
        mark: dict[str, Any] = {"marker": "x", "ms": MARK, "mew": 1.1, "color": look[rule].colour, "alpha": 0.6}
        if lost[rule].size:
            places = np.full(lost[rule].shape, height)
            axes.plot(lost[rule], places, ls="", transform=axes.get_xaxis_transform(), **mark)
    return Panels(figure, dict(zip(rules, every, strict=False)))


def _shared(
    rules: Sequence[str], look: Mapping[str, Look], lost: Mapping[str, Array], axis: Axis
) -> tuple[Figure, Axes]:
    """One panel with its legend; where replicas failed, a strip at the worse border, a lane a rule."""
    lanes = {rule: lost[rule] for rule in rules if lost[rule].size}
    height = LANE * len(lanes) + 0.06 if lanes else 0.0
    tall = max(HEIGHT, 0.36 * len(rules))
    figure = with_legend(rules, look, tall + height)
    if not lanes:
        return figure, figure.subplots()
    top = axis.better == "lower"
    heights = (height, tall) if top else (tall, height)
    pair = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    strip, axes = (pair[0], pair[1]) if top else (pair[1], pair[0])
    for lane, (rule, costs) in enumerate(in_turn(lanes, look, strip)):
        mark = {"marker": "x", "ms": 3.6, "mew": 1.1, "color": look[rule].colour, "alpha": 0.6}
        strip.plot(costs, np.full(costs.shape, lane), ls="", clip_on=False, **mark)
    strip.set(ylim=(len(lanes) - 0.3, -0.7), yticks=[])
    strip.set_ylabel(axis.failed, rotation=0, ha="right", va="center", fontsize="small")
    blank(strip)
    axes.tick_params(labelbottom=True)
    return figure, axes


# --- lines -----------------------------------------------------------------------------------------------------------


def draw_lines(
    of: Mapping[str, Axes], found: Mapping[str, tuple[Array, Array]], look: Mapping[str, Look], **style: Any
) -> None:
    """Lines in each rule's panel, as `draw_together` draws them."""
    for axes in dict.fromkeys(of.values()):
        draw_together(axes, {rule: line for rule, line in found.items() if of[rule] is axes}, look, **style)


def draw_together(
    axes: Axes, found: Mapping[str, tuple[Array, Array]], look: Mapping[str, Look], every: int = 1, **style: Any
) -> None:
    """A line a rule, of x [T] and y [T]: broken where y is no finite number; a mark at each ``every``-th point.

    The marks of neighbouring rules stand at different points. Without marks where ``every`` is 0.
    """
    parts = [_pieces(rule, x, y) for rule, (x, y) in found.items()]
    data = pd.concat([part for part in parts if len(part)], ignore_index=True) if any(map(len, parts)) else parts[0]
    rules, before = list(dict.fromkeys(data["rule"])), len(axes.lines)
    if not rules:
        return
    marks = {"markers": {rule: look[rule].marker for rule in rules}, "ms": MARK, "mew": 0} if every else {}
    seaborn.lineplot(
        data=data, x="x", y="y", units="piece", estimator=None, errorbar=None, sort=False, legend=False, ax=axes,
        hue="rule", hue_order=rules, palette={rule: look[rule].colour for rule in rules},
        style="rule", style_order=rules, dashes={rule: look[rule].dashes for rule in rules}, **marks, **style,
    )  # fmt: skip
    counts = data.groupby("rule", sort=False)["piece"].nunique()
    owners = [(place, rule) for place, rule in enumerate(rules) for _ in range(counts[rule])]
    for line, (place, rule) in zip(axes.lines[before:], owners, strict=True):
        line.set_gid(look[rule].key)
        if every > 1:
            line.set_markevery((place % every, every))


def _pieces(rule: str, x: Array, y: Array) -> pd.DataFrame:
    """The points of a line, those between two gaps by one number."""
    known = np.isfinite(y)
    return pd.DataFrame({"rule": rule, "x": x, "y": y, "piece": np.cumsum(~known)})[known]


def draw_band(axes: Axes, x: Array, low: Array, high: Array, look: Look, alpha: float, **how: Any) -> None:
    """A rule's interval [T], behind its line."""
    axes.fill_between(x, low, high, color=look.colour, alpha=alpha, lw=0, gid=look.key, **how)


def draw_stairs(axes: Axes, found: Mapping[str, Band], grid: Array, look: Mapping[str, Look]) -> None:
    """A stair a rule, of shares [G] with their bands: a corner only where something changes.

    Stairs stand a little apart, for many of them coincide.
    """
    stairs: dict[str, tuple[Array, Array]] = {}
    for place, (rule, band) in enumerate(found.items()):
        rows = np.stack(band)
        changes = np.any(rows[:, 1:] != rows[:, :-1], axis=0)
        kept = np.flatnonzero(np.append(True, changes) | (np.arange(len(grid)) == len(grid) - 1))
        at, (value, low, high) = grid[kept], rows[:, kept]
        draw_band(axes, at, low, high, look[rule], min(0.12, 0.7 / len(found)), step="post")
        stairs[rule] = at, value + APART * (place - (len(found) - 1) / 2) / len(found)
    draw_together(axes, stairs, look, every=0, drawstyle="steps-post", lw=1.5)
    for rule, (at, value) in in_turn(stairs, look, axes):
        end: dict[str, Any] = {"marker": look[rule].marker, "ms": MARK, "color": look[rule].colour}
        axes.plot(at[-1], value[-1], ls="", clip_on=False, **end)
