"""Mean ranks over games: a row for each rule with its interval, and the critical-difference diagram.

In the diagram ranks are on a line, and bars join rules without a significant difference (Demsar 2006, JMLR 7:1, figure
1). Ranks in, a figure out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.analysis.statistics import Interval
from bench.report.figures.formats import current
from bench.report.figures.panels import Look, lines, rows, short
from bench.report.figures.series import in_turn, text_width
from bench.report.figures.svg import styled

LINE = 5.2  # inches of the line of ranks; names are beside it
ROW, BAR, TOP = 0.24, 0.13, 0.72  # inches of a name, of a level of bars, and above the line
INK = "#303030"
NAMES, LEAST = 0.48, 12  # of a format's width that the names may take, and letters that each keeps
SIZE = 8.0  # points of their letters in a format


@styled()
def mean_ranks(ranks: Mapping[str, Interval], look: Mapping[str, Look]) -> Figure:
    """A row for each rule, in the order that is given: its mean rank with the interval."""
    form = current()
    deepest = max(lines(rule, form.most(27)).count("\n") for rule in ranks)
    tall = 0.7 * form.letters + (0.22 + 0.08 * deepest) * max(len(ranks), 2)
    figure = Figure(figsize=(form.panel, tall), layout="constrained")
    axes = figure.subplots()
    for row, (rule, rank) in enumerate(in_turn(ranks, look, axes)):
        axes.plot([rank.low, rank.high], [row] * 2, color=look[rule].colour, lw=2.2, solid_capstyle="butt")
        axes.plot(rank.value, row, color=look[rule].colour, marker=look[rule].marker, ms=5.5, mec="white", mew=0.6)
    axes.set(xlim=(0.7, len(ranks) + 0.3), ylim=(len(ranks) - 0.4, -0.6), xlabel="mean rank, 1 is best")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    rows(axes, list(ranks), look)
    return figure


@styled()
def critical_difference(
    ranks: Mapping[str, float], difference: float, groups: Sequence[tuple[int, int]], look: Mapping[str, Look]
) -> Figure:
    """Mean ranks in rising order, 1 on the left; ``groups`` hold the first and last index of the ranks under a bar."""
    names, positions, count = list(ranks), list(ranks.values()), len(ranks)
    levels = _levels([(positions[first], positions[last]) for first, last in groups])
    form = current()
    below = 0.12 + BAR * (1 + max(levels, default=-1))
    rows = -(-count // 2) if form.width is None else count  # beside a short line there is room on one side alone
    height = TOP + below + ROW * rows + 0.1
    width = LINE if form.width is None else form.width
    left = 0.0 if form.width is None else _room(names) / width  # the names are within a format's width too
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((left, 0, 1 - left - (0.0 if form.width is None else 0.1 / width), 1))
    axes.set(xlim=(1 - 0.02 * count, count + 0.02 * count), ylim=(TOP - height, TOP))
    axes.axis("off")
    _scale(axes, count, difference)
    for (first, last), level in zip(groups, levels, strict=True):
        nudge = 0.006 * count
        ends = [positions[first] - nudge, positions[last] + nudge]
        axes.plot(ends, [-0.12 - BAR * level] * 2, color=INK, lw=3.2, solid_capstyle="round")
    for index, (name, rank) in enumerate(zip(names, positions, strict=True)):
        on_left = index < rows
        depth = -below - ROW * (0.5 + (index if on_left else count - 1 - index))
        _name(axes, name, rank, depth, 1 if on_left else count, look[name])
    return figure


def _room(names: Sequence[str]) -> float:
    """Inches that the names take, with their numbers."""
    return max(text_width(f"{_words(name)}  00.0", SIZE) for name in names) / 72 + 0.12


def _words(name: str) -> str:
    """A rule's name on one line, shortened where a format is narrow."""
    width = current().width
    if width is None:
        return lines(name, 99)
    shortened = (short(name, letters) for letters in range(44, LEAST - 1, -1))
    return next((one for one in shortened if text_width(f"{one}  00.0", SIZE) < NAMES * width * 72), short(name, LEAST))


def _levels(spans: Sequence[tuple[float, float]]) -> list[int]:
    """A level for each span, such that spans on the same level do not touch."""
    ends: list[float] = []
    levels = []
    for low, high in spans:
        level = next((k for k, end in enumerate(ends) if end < low - 0.1), len(ends))
        ends[level : level + 1] = [high]
        levels.append(level)
    return levels


def _scale(axes: Axes, count: int, difference: float) -> None:
    """The line with its ranks, and above it the critical difference."""
    axes.plot([1, count], [0, 0], color=INK, lw=1)
    step = next(step for step in (1, 2, 5, 10, 20, 50) if count <= 15 * step * current().share or step == 50)
    for tick in range(1, count + 1):
        named = (tick - 1) % step == 0
        axes.plot([tick] * 2, [0, 0.07 if named else 0.04], color=INK, lw=1)
        if named:
            axes.text(tick, 0.1, str(tick), ha="center", va="bottom", fontsize="small")
    axes.plot([1, 1 + difference], [0.42] * 2, color=INK, lw=1.4, marker="|", ms=6, mew=1.4)
    words = f"critical difference {difference:.3g}"
    if current().width is None:
        axes.text(1 + difference + 0.012 * count, 0.42, words, ha="left", va="center", fontsize="small")
    else:
        axes.text(1, 0.5, words, ha="left", va="bottom", fontsize="small")


def _name(axes: Axes, name: str, rank: float, depth: float, side: float, look: Look) -> None:
    """A rule's line from its rank down and across to its name and the number."""
    axes.plot([rank, rank, side], [0, depth, depth], color=look.colour, ls=look.dash, lw=1.1, gid=look.key)
    point: Any = {"marker": look.marker, "ms": 5.5, "mec": "white", "mew": 0.6, "gid": look.key}
    axes.plot(rank, 0, color=look.colour, zorder=4, clip_on=False, **point)
    on_left = side == 1
    words = f"{_words(name)}  {rank:.3g}" if on_left else f"{rank:.3g}  {_words(name)}"
    offset: Any = {"xytext": (-4 if on_left else 4, 0), "textcoords": "offset points", "gid": look.key}
    offset |= {} if current().width is None else {"fontsize": SIZE * current().letters}
    axes.annotate(words, (side, depth), ha="right" if on_left else "left", va="center", **offset)
