"""The parts of a figure that are drawn rule by rule: the legend, lines with their bands, stairs, crosses of failures.

Lines are seaborn's; their bands are computed elsewhere. All artists of a rule have the rule's key as their gid, so that
a page can hide them.
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
from bench.report.figures.formats import Format, current
from bench.report.figures.panels import FAINT, MANY, MARK, Axis, Look, alpha, blank, height, lines, short

T = TypeVar("T")

SMALLEST = 1.5  # inches of a panel, of which there are as many beside each other as fit
THIN = 0.55  # of the width of a line, for a rule that is not drawn strongly
LANE = 0.13  # inches of a rule's lane in the strip of failures
LETTERS, ROW = 8.0, 12.0  # points: of a legend's letters, of its rows
SAMPLE, BESIDE = 26.0, 14.0  # points: of a legend's line with the gap after it, of the gap after a name
RULES = "rules"  # the label of a figure whose legend says how rules are drawn
APART = 0.045  # the range of shares over which coinciding stairs are spread

Entry = tuple[str, str, Any]
"""A name in the legend, the key of its rule, and its handle."""


def in_turn(by_rule: Mapping[str, T], look: Mapping[str, Look], *panels: Axes) -> Iterator[tuple[str, T]]:
    """Rules one by one; all artists added to the panels before the next one get the rule's key as their gid."""
    for rule, item in by_rule.items():
        earlier = {id(artist) for axes in panels for artist in axes.get_children()}
        yield rule, item
        for artist in (artist for axes in panels for artist in axes.get_children() if id(artist) not in earlier):
            artist.set_gid(look[rule].key if rule in look else None)


# --- the legend ------------------------------------------------------------------------------------------------------


def text_width(text: str, letters: float = 9.6) -> float:
    """The width of a text in points, in the present format; ``letters`` is their size on the page."""
    return _text_width(text, letters, current())


@cache
def _text_width(text: str, letters: float, form: Format) -> float:
    font = FontProperties(family=list(form.families), size=letters * form.letters)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def fitting(words: str, inches: float) -> Any:
    """The size of letters for words on some lines: small, and in a format smaller where they would not fit."""
    form = current()
    if form.width is None:
        return "small"
    widest = max(text_width(line, LETTERS) for line in words.split("\n"))
    return LETTERS * form.letters * min(1.0, 72 * inches / widest) if widest else "small"


def headed(width: float, height: float, entries: Sequence[Entry]) -> Figure:
    """A figure of this height in inches below a legend, which has as few rows as the width allows."""
    names, keys, handles = zip(*entries, strict=True)
    columns = next(count for count in range(len(names), 0, -1) if count == 1 or _fits(names, count, width * 72))
    rows = -(-len(names) // columns)
    spaced, size = ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.03), current().letters
    figure = Figure(figsize=(width, height + (rows * ROW * size + 6) / 72), layout=spaced)
    spacing = {"handlelength": 2.4, "handletextpad": 0.6, "columnspacing": 1.5, "labelspacing": 0.3}
    frame: dict[str, Any] = {"borderpad": 0.0, "borderaxespad": 0.4, "fontsize": LETTERS * size, "frameon": False}
    legend = figure.legend(handles, names, loc="outside upper left", ncols=columns, **spacing, **frame)
    for key, handle, text in zip(keys, legend.legend_handles, legend.get_texts(), strict=True):
        text.set_gid(key)
        if handle is not None:
            handle.set_gid(key)
    return figure


def _fits(names: Sequence[str], columns: int, most: float) -> bool:
    """Whether the names fit into this many columns, filled one after the other."""
    parts = np.array_split([text_width(name, LETTERS) for name in names], columns)
    return sum(SAMPLE + BESIDE + float(part.max()) for part in parts) - BESIDE <= most - 6


def with_legend(rules: Sequence[str], look: Mapping[str, Look], height: float, width: float | None = None) -> Figure:
    """A figure of this height in inches below the legend of the rules; those not drawn strongly have one entry."""
    strong = [(short(rule), look[rule].key, _line(look[rule])) for rule in rules if look[rule].strong]
    others = sum(not look[rule].strong for rule in rules)
    named = [(f"{others} other{'s' if others > 1 else ''}", "", Line2D([], [], color=FAINT, lw=0.8))] if others else []
    figure = headed(current().panel if width is None else width, height, [*strong, *named])
    figure.set_label(RULES)
    return figure


def legend_height(figure: Figure) -> float:
    """Points from the top of a drawn figure that its legend of rules takes; 0 where it has none."""
    if figure.get_label() != RULES:
        return 0.0
    top = float(figure.get_figheight() * 72)
    return top - float(figure.legends[0].get_window_extent().y0) / figure.dpi * 72


def _line(look: Look) -> Line2D:
    if not look.strong:
        return Line2D([], [], color=look.colour, ls=look.dash, lw=1.2 * THIN)
    return Line2D([], [], color=look.colour, ls=look.dash, marker=look.marker, ms=MARK, lw=1.2)


# --- panels ----------------------------------------------------------------------------------------------------------


class Panels(NamedTuple):
    """A figure with a panel for each rule: one panel for all of them, or a separate one for each if they are many."""

    figure: Figure
    of: dict[str, Axes]

    @property
    def all(self) -> list[Axes]:
        return list(dict.fromkeys(self.of.values()))

    @property
    def first(self) -> Axes:
        """The first panel, whose limits, scales and ticks all panels share."""
        return self.all[0]

    def name(self, xlabel: str, ylabel: str) -> None:
        """Label the axes of all panels."""
        if len(self.all) == 1:
            self.first.set(xlabel=xlabel, ylabel=ylabel)
            return
        for axes in self.all:
            axes.set(xlabel="", ylabel="")
        self.figure.supxlabel(xlabel, fontsize="medium")
        self.figure.supylabel(ylabel, fontsize="medium")


def one_panel(rules: Sequence[str], look: Mapping[str, Look], failures: Mapping[str, Array], axis: Axis) -> Panels:
    """A panel for all curves; ``failures`` holds rule -> where its replicas failed, and a cross is drawn for each."""
    figure, axes = _shared(rules, look, failures, axis)
    return Panels(figure, dict.fromkeys(rules, axes))


def panels(rules: Sequence[str], look: Mapping[str, Look], failures: Mapping[str, Array], axis: Axis) -> Panels:
    """The same for few rules, and where some are not drawn strongly; else a panel for each."""
    if len(rules) <= MANY or not all(look[rule].strong for rule in rules):
        return one_panel(rules, look, failures, axis)
    form = current()
    columns = min(5, max(2, int(form.full / SMALLEST)))
    rows = -(-len(rules) // columns)
    figure = Figure(figsize=(form.full, 1.75 * form.letters * rows + 0.4), layout="constrained")
    all_axes = list(figure.subplots(rows, columns, sharex=True, sharey=True).ravel())
    for spare in all_axes[len(rules) :]:
        spare.remove()
    for axes, above in zip(all_axes[columns:], all_axes, strict=False):
        above.tick_params(labelbottom=axes not in all_axes[: len(rules)])
    height = 0.96 if axis.better == "lower" else 0.04  # the worse border
    for axes, rule in zip(all_axes, rules, strict=False):
        axes.set_title(lines(rule, round(26 * form.full / columns / (2.2 * form.letters))), fontsize="small")
        axes.set_gid(look[rule].key)
        mark: dict[str, Any] = {"marker": "x", "ms": MARK, "mew": 1.1, "color": look[rule].colour, "alpha": 0.6}
        if failures[rule].size:
            heights = np.full(failures[rule].shape, height)
            axes.plot(failures[rule], heights, ls="", transform=axes.get_xaxis_transform(), **mark)
    return Panels(figure, dict(zip(rules, all_axes, strict=False)))


def _shared(
    rules: Sequence[str], look: Mapping[str, Look], failures: Mapping[str, Array], axis: Axis
) -> tuple[Figure, Axes]:
    """One panel with its legend; if replicas failed, a strip at the worse border with a lane for each rule."""
    lanes = {rule: failures[rule] for rule in rules if failures[rule].size}
    strong = [rule for rule in lanes if look[rule].strong]  # the others share the lane below them
    count = len(strong) + (len(strong) < len(lanes))
    strip_height = LANE * count + 0.06 if lanes else 0.0
    many = len(rules) > MANY
    panel_height = max(height(), 0.36 * current().share * sum(look[rule].strong for rule in rules))
    figure = with_legend(
        rules, look, panel_height * (1.2 if many else 1) + strip_height, current().full if many else None
    )
    if not lanes:
        return figure, figure.subplots()
    top = axis.better == "lower"
    heights = (strip_height, panel_height) if top else (panel_height, strip_height)
    pair = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    strip, axes = (pair[0], pair[1]) if top else (pair[1], pair[0])
    for rule, costs in in_turn(lanes, look, strip):
        lane = strong.index(rule) if rule in strong else len(strong)
        mark = {"marker": "x", "ms": 3.6, "mew": 1.1, "color": look[rule].colour, "alpha": 0.6}
        strip.plot(costs, np.full(costs.shape, lane), ls="", clip_on=False, **mark)
    strip.set(ylim=(count - 0.3, -0.7), yticks=[])
    strip.set_ylabel(axis.failed, rotation=0, ha="right", va="center", fontsize="small")
    blank(strip)
    axes.tick_params(labelbottom=True)
    return figure, axes


# --- lines -----------------------------------------------------------------------------------------------------------


def draw_lines(
    axes_by_rule: Mapping[str, Axes],
    lines_by_rule: Mapping[str, tuple[Array, Array]],
    look: Mapping[str, Look],
    **style: Any,
) -> None:
    """Draw each rule's line in its panel, with `draw_together`."""
    for axes in dict.fromkeys(axes_by_rule.values()):
        draw_together(
            axes, {rule: line for rule, line in lines_by_rule.items() if axes_by_rule[rule] is axes}, look, **style
        )


def draw_together(
    axes: Axes, lines_by_rule: Mapping[str, tuple[Array, Array]], look: Mapping[str, Look], every: int = 1, **style: Any
) -> None:
    """A line for each rule, of x [T] and y [T], with gaps where y is not finite and a mark at each ``every``-th point.

    Neighbouring rules have their marks at different points. No marks if ``every`` is 0.
    """
    parts = [_pieces(rule, x, y) for rule, (x, y) in lines_by_rule.items()]
    data = pd.concat([part for part in parts if len(part)], ignore_index=True) if any(map(len, parts)) else parts[0]
    rules, earlier = list(dict.fromkeys(data["rule"])), len(axes.lines)
    if not rules:
        return
    marks = {"markers": {rule: look[rule].marker for rule in rules}, "ms": MARK, "mew": 0} if every else {}
    seaborn.lineplot(
        data=data, x="x", y="y", units="piece", estimator=None, errorbar=None, sort=False, legend=False, ax=axes,
        hue="rule", hue_order=rules, palette={rule: look[rule].colour for rule in rules},
        style="rule", style_order=rules, dashes={rule: look[rule].dashes for rule in rules}, **marks, **style,
    )  # fmt: skip
    counts = data.groupby("rule", sort=False)["piece"].nunique()
    owners = [(index, rule) for index, rule in enumerate(rules) for _ in range(counts[rule])]
    for line, (index, rule) in zip(axes.lines[earlier:], owners, strict=True):
        line.set_gid(look[rule].key)
        if not look[rule].strong:
            thin = THIN * line.get_linewidth()
            line.set(gid=f"{look[rule].key}-faint", color=FAINT, linestyle="-", linewidth=thin, marker="", zorder=1.5)
        elif every > 1:
            line.set_markevery((index % every, every))


def _pieces(rule: str, x: Array, y: Array) -> pd.DataFrame:
    """The finite points of a line; those between two gaps have the same ``piece``."""
    finite = np.isfinite(y)
    return pd.DataFrame({"rule": rule, "x": x, "y": y, "piece": np.cumsum(~finite)})[finite]


def draw_band(axes: Axes, x: Array, low: Array, high: Array, look: Look, alpha: float, **style: Any) -> None:
    """Draw a rule's interval [T], behind its line; none for a rule that is not drawn strongly."""
    if not look.strong:
        return
    axes.fill_between(x, low, high, color=look.colour, alpha=alpha, lw=0, gid=look.key, **style)


def draw_stairs(axes: Axes, bands: Mapping[str, Band], grid: Array, look: Mapping[str, Look]) -> None:
    """A stair for each rule, of shares [G] with their bands; a corner only at changes.

    The stairs are drawn slightly apart, because many of them coincide.
    """
    stairs: dict[str, tuple[Array, Array]] = {}
    for index, (rule, band) in enumerate(bands.items()):
        rows = np.stack(band)
        changes = np.any(rows[:, 1:] != rows[:, :-1], axis=0)
        corners = np.flatnonzero(np.append(True, changes) | (np.arange(len(grid)) == len(grid) - 1))
        x, (value, low, high) = grid[corners], rows[:, corners]
        draw_band(axes, x, low, high, look[rule], alpha(0.12, 0.7, look, bands), step="post")
        stairs[rule] = x, value + APART * (index - (len(bands) - 1) / 2) / len(bands)
    draw_together(axes, stairs, look, every=0, drawstyle="steps-post", lw=1.5)
    for rule, (x, value) in in_turn(stairs, look, axes):
        end: dict[str, Any] = {"marker": look[rule].marker, "ms": MARK, "color": look[rule].colour}
        if not look[rule].strong:
            continue
        axes.plot(x[-1], value[-1], ls="", clip_on=False, **end)
