"""Where a figure's panels stand: each with room for its labels, measured once from the labels' letters.

Matplotlib's constrained layout draws every label twice to measure it, which took half of a report's time. Lengths are
points.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.transforms import Affine2D

from bench.report.figures.letters import width_of

EDGE, GAP = 3.0, 5.0  # around all, between panels
LINE = 1.2  # of a line of text, in its letters' size
ROW, SAMPLE, AFTER = 12.0, 19.0, 14.0  # of a legend: a row's height, a line's length, what follows a name
SMALL = 8.0  # letters of a legend


class Room(NamedTuple):
    """What a panel needs beside it, and how far from it the labels of its axes stand."""

    left: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    top: float = 0.0
    below: float = 0.0
    beside: float = 0.0


Entry = tuple[str, dict[str, Any]]
"""A name, and how its line is drawn."""


def headed(width: float, height: float, entries: Sequence[Entry]) -> Figure:
    """A figure of so many inches below a legend, in as few rows as there is width for, filled column by column."""
    rows, columns = _columns([width_of(name, SMALL) for name, _ in entries], width * 72 - 2 * EDGE)
    head = rows * ROW + EDGE
    figure = Figure(figsize=(width, height + head / 72))
    figure.subplots_adjust(top=height / (height + head / 72))
    for k, (name, style) in enumerate(entries):
        x, y = EDGE + sum(columns[: k // rows]), height * 72 + head - EDGE - ROW * (k % rows + 0.5)
        place = Affine2D().translate(x, y).scale(1 / 72) + figure.dpi_scale_trans
        ends = [0, SAMPLE / 2, SAMPLE]
        figure.add_artist(Line2D(ends, [0, 0, 0], markevery=[1], transform=place, **style))
        words: dict[str, Any] = {"fontsize": SMALL, "va": "center_baseline", "gid": style.get("gid")}
        figure.text(SAMPLE + 5, 0, name, transform=place, **words)
    return figure


def _columns(widths: Sequence[float], most: float) -> tuple[int, list[float]]:
    """How many rows there are, and how wide each column is."""
    for rows in range(1, len(widths) + 1):
        found = [SAMPLE + 5 + max(widths[k : k + rows]) + AFTER for k in range(0, len(widths), rows)]
        if sum(found) - AFTER <= most or rows == len(widths):
            return rows, found
    return 0, []


def name_sides(figure: Figure, below: str, beside: str) -> None:
    """What the axes of all panels are, once for all."""
    wide, tall = figure.get_size_inches() * 72
    figure.supxlabel(below, fontsize="medium", y=EDGE / tall)
    figure.supylabel(beside, fontsize="medium", x=EDGE / wide)


def arrange(figure: Figure) -> None:
    """Put every panel where it has room; a figure of equal panels becomes as high as they make it."""
    panels = [axes for axes in figure.axes if axes.get_subplotspec() is not None]
    if not panels:
        return
    _place(figure, dict.fromkeys(panels, Room(40, 6, 30, 6)))  # near enough for the ticks to be chosen
    rooms = {axes: _room(axes) for axes in panels}
    _place(figure, rooms)
    for axes, room in rooms.items():
        if not axes.axison:
            continue
        wide, tall = (side * 72 for side in axes.get_position().size * figure.get_size_inches())
        if _side(axes) == "left":
            axes.yaxis.set_label_coords(-room.beside / wide, 0.5)
        else:
            axes.yaxis.set_label_coords(1 + room.beside / wide, 0.5)
        axes.xaxis.set_label_coords(0.5, -room.below / tall)


def _place(figure: Figure, rooms: dict[Axes, Room]) -> None:
    """Panels in their rows and columns; what is left goes to them by their ratios."""
    spans: dict[Axes, Any] = {axes: axes.get_subplotspec() for axes in rooms}
    grid = next(iter(spans.values())).get_gridspec()
    wide, tall = figure.get_size_inches() * 72
    head = (1 - figure.subplotpars.top) * tall
    aside = [LINE * 9.6 + 2 if text else 0.0 for text in (figure.get_supylabel(), figure.get_supxlabel())]
    across = [(s.colspan.start, s.colspan.stop - 1, rooms[a].left, rooms[a].right) for a, s in spans.items()]
    down = [(s.rowspan.start, s.rowspan.stop - 1, rooms[a].top, rooms[a].bottom) for a, s in spans.items()]
    square = any(axes.get_aspect() != "auto" for axes in rooms)
    x = _ends(grid.ncols, across, wide - aside[0] - 2 * EDGE, grid.get_width_ratios())
    if square:
        side = float(x[0][1] - x[0][0])
        tall = head + sum(_margins(grid.nrows, down)) + grid.nrows * side + aside[1] + 2 * EDGE
        figure.set_size_inches(wide / 72, tall / 72)
        figure.subplots_adjust(top=1 - head / tall)
    y = _ends(grid.nrows, down, tall - head - aside[1] - 2 * EDGE, grid.get_height_ratios())
    for axes, s in spans.items():
        left, right = x[s.colspan.start][0], x[s.colspan.stop - 1][1]
        top, bottom = y[s.rowspan.start][0], y[s.rowspan.stop - 1][1]
        corner = (EDGE + aside[0] + left) / wide, 1 - (EDGE + head + bottom) / tall
        axes.set_position((*corner, (right - left) / wide, (bottom - top) / tall))


def _margins(count: int, parts: Iterable[tuple[int, int, float, float]]) -> list[float]:
    """Before, between and after so many columns, [count + 1], of (first, last, before, after) of each panel."""
    before, after = np.zeros(count + 1), np.zeros(count + 1)
    for first, last, one, other in parts:
        before[first] = max(before[first], one)
        after[last + 1] = max(after[last + 1], other)
    total = before + after
    total[1:-1] += GAP
    return [float(margin) for margin in total]


def _ends(count: int, parts: list[tuple[int, int, float, float]], length: float, ratios: Sequence[float]) -> Any:
    """Where each of so many columns begins and ends, [count, 2]."""
    margins = np.array(_margins(count, parts))
    sizes = max(length - margins.sum(), 10.0 * count) * np.asarray(ratios, dtype=float) / sum(ratios)
    starts = np.cumsum(margins[:-1]) + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return np.stack([starts, starts + sizes], axis=1)


# --- what a panel needs ----------------------------------------------------------------------------------------------


def _room(axes: Axes) -> Room:
    """From its labels: those of ticks that are shown, of its axes, its title."""
    if not axes.axison:
        return Room()
    top = _tall(axes.title) + 3 if axes.get_title() else 2.0
    below, ends = _under(axes)
    beside, right = _beside(axes), _side(axes) == "right"
    label = axes.yaxis.label
    flat = label.get_rotation() == 0
    width = (_wide(label) if flat else _tall(label)) if axes.get_ylabel() else 0.0
    beyond = beside + (width + 3 if width else 0.0)
    bottom = below + (_tall(axes.xaxis.label) if axes.get_xlabel() else 0.0)
    sides = (ends[0], max(beyond, ends[1])) if right else (max(beyond, ends[0]), ends[1])
    return Room(*sides, bottom, top, below, beside + 3)


def _under(axes: Axes) -> tuple[float, tuple[float, float]]:
    """How far the labels of the x axis reach down, and how far its first and last one beyond its ends."""
    shown = _labels(axes.xaxis, "bottom")
    if not shown:
        return _tick(axes.xaxis, "bottom"), (0.0, 2.0)
    size = _size(axes.xaxis)
    wide = float(axes.get_window_extent().width)
    first, last = min(shown), max(shown)
    before = max(0.0, width_of(shown[first][0], size) / 2 - first * wide)
    after = max(0.0, width_of(shown[last][0], size) / 2 - (1 - last) * wide)
    return _tick(axes.xaxis, "bottom") + LINE * size + 1.5, (before, after)


def _beside(axes: Axes) -> float:
    """How far the labels of the y axis reach aside."""
    side = _side(axes)
    shown, size = _labels(axes.yaxis, side), _size(axes.yaxis)
    widest = max((width_of(line, size) for lines in shown.values() for line in lines), default=0.0)
    return _tick(axes.yaxis, side) + (widest + 2 if widest else 0.0)


def _side(axes: Axes) -> str:
    """Where the labels of the y axis stand: left or right."""
    return str(axes.yaxis.get_label_position())


def _labels(axis: Any, side: str) -> dict[float, list[str]]:
    """Where along the axis each label stands, 0 to 1, and its lines."""
    found: dict[float, list[str]] = {}
    if not axis.get_tick_params().get(f"label{side}", True):
        return found
    ends = axis.get_transform().transform(np.array(axis.get_view_interval(), dtype=float))
    for places, formatter in (
        (axis.get_majorticklocs(), axis.get_major_formatter()),
        (axis.get_minorticklocs(), axis.get_minor_formatter()),
    ):
        if not len(places):
            continue
        names = formatter.format_ticks(places)
        shares = (axis.get_transform().transform(np.asarray(places, dtype=float)) - ends[0]) / (ends[1] - ends[0])
        inside = (shares > -1e-6) & (shares < 1 + 1e-6)
        found |= {float(at): name.replace(r"\$", "$").split("\n")
                  for at, name, kept in zip(shares, names, inside, strict=True) if kept and name}  # fmt: skip
    return found


def _tick(axis: Any, side: str) -> float:
    """A tick's length with the gap that follows it."""
    given, kind = axis.get_tick_params(), f"{axis.axis_name}tick"
    if not given.get(side, True):
        return 0.0
    usual: Any = matplotlib.rcParams
    return sum(
        float(given.get(part, usual[f"{kind}.major.{name}"])) for part, name in (("length", "size"), ("pad",) * 2)
    )


def _size(axis: Any) -> float:
    """Of a tick label's letters."""
    usual: Any = matplotlib.rcParams
    given = axis.get_tick_params().get("labelsize", usual[f"{axis.axis_name}tick.labelsize"])
    return float(FontProperties(size=given).get_size_in_points())


def _tall(text: Any) -> float:
    """A text's lines."""
    lines: int = text.get_text().count("\n") + 1
    return LINE * float(text.get_fontsize()) * lines


def _wide(text: Any) -> float:
    return max(width_of(line, float(text.get_fontsize())) for line in text.get_text().split("\n"))
