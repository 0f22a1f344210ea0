"""The critical-difference diagram: mean ranks over games on a line, rules not told apart joined by bars.

Demsar 2006, JMLR 7:1, figure 1. Ranks in, a figure out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.panels import Look, lines
from bench.report.figures.svg import styled

LINE = 5.2  # inches: of the line of ranks; names stand beside it
ROW, BAR, TOP = 0.24, 0.13, 0.62  # inches: of a name, of a level of bars, of what stands above the line
INK = "#303030"


@styled()
def critical_difference(
    ranks: Mapping[str, float], difference: float, groups: Sequence[tuple[int, int]], look: Mapping[str, Look]
) -> Figure:
    """Mean ranks, rising, 1 on the left; ``groups`` are [first, last] places of those that a bar joins."""
    names, at, most = list(ranks), list(ranks.values()), len(ranks)
    levels = _levels([(at[first], at[last]) for first, last in groups])
    below, rows = 0.12 + BAR * (1 + max(levels, default=-1)), -(-most // 2)
    tall = TOP + below + ROW * rows + 0.1
    figure = Figure(figsize=(LINE, tall))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(1 - 0.02 * most, most + 0.02 * most), ylim=(TOP - tall, TOP))
    axes.axis("off")
    _scale(axes, most, difference)
    for (first, last), level in zip(groups, levels, strict=True):
        nudge = 0.006 * most
        ends = [at[first] - nudge, at[last] + nudge]
        axes.plot(ends, [-0.12 - BAR * level] * 2, color=INK, lw=3.2, solid_capstyle="round")
    for place, (name, rank) in enumerate(zip(names, at, strict=True)):
        left = place < rows
        depth = -below - ROW * (0.5 + (place if left else most - 1 - place))
        _name(axes, name, rank, depth, 1 if left else most, look[name])
    return figure


def _levels(spans: Sequence[tuple[float, float]]) -> list[int]:
    """A level for every span, such that those on one level do not touch."""
    ends: list[float] = []
    found = []
    for low, high in spans:
        level = next((k for k, end in enumerate(ends) if end < low - 0.1), len(ends))
        ends[level : level + 1] = [high]
        found.append(level)
    return found


def _scale(axes: Axes, most: int, difference: float) -> None:
    """The line with its ranks, and above it the critical difference."""
    axes.plot([1, most], [0, 0], color=INK, lw=1)
    step = 1 if most <= 15 else 2 if most <= 30 else 5
    for tick in range(1, most + 1):
        named = (tick - 1) % step == 0
        axes.plot([tick] * 2, [0, 0.07 if named else 0.04], color=INK, lw=1)
        if named:
            axes.text(tick, 0.1, str(tick), ha="center", va="bottom", fontsize="small")
    axes.plot([1, 1 + difference], [0.42] * 2, color=INK, lw=1.4, marker="|", ms=6, mew=1.4)
    words = f"critical difference {difference:.3g}"
    axes.text(1 + difference + 0.012 * most, 0.42, words, ha="left", va="center", fontsize="small")


def _name(axes: Axes, name: str, rank: float, depth: float, side: float, look: Look) -> None:
    """A rule's line from its rank down and out to its name and the rank in figures."""
    axes.plot([rank, rank, side], [0, depth, depth], color=look.colour, ls=look.dash, lw=1.1, gid=look.key)
    point: Any = {"marker": look.marker, "ms": 5.5, "mec": "white", "mew": 0.6, "gid": look.key}
    axes.plot(rank, 0, color=look.colour, zorder=4, clip_on=False, **point)
    left = side == 1
    words = f"{lines(name, 99)}  {rank:.3g}" if left else f"{rank:.3g}  {lines(name, 99)}"
    aside: Any = {"xytext": (-4 if left else 4, 0), "textcoords": "offset points", "gid": look.key}
    axes.annotate(words, (side, depth), ha="right" if left else "left", va="center", **aside)
