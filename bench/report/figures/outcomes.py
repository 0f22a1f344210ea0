"""The report's figure of the outcomes of replicas; arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.analysis.statistics import Interval
from bench.report.figures.formats import current
from bench.report.figures.panels import Look, lines, rows
from bench.report.figures.series import headed, in_turn
from bench.report.figures.svg import styled

COLOURS = {
    "ok": "#d6e4ec",
    "not learned": "#8d8fa8",
    "collapsed": "#f2cf7c",
    "diverged": "#b0413a",
    "interrupted": "#b0b0b0",
    "error": "#3d3d3d",
}
DARK = ("not learned", "diverged", "error")


@styled()
def outcomes(
    counts_by_rule: Mapping[str, Mapping[str, int]], came_through: Mapping[str, Interval], look: Mapping[str, Look]
) -> Figure:
    """A bar for each rule: its replicas by outcome, ``ok`` first; the line is the interval of the share of ``ok``."""
    kinds = [kind for kind in COLOURS if any(counts.get(kind, 0) for counts in counts_by_rule.values())]
    form = current()
    deepest = max(lines(rule, form.most(27)).count("\n") for rule in counts_by_rule)
    entries = [(kind, "", Patch(color=COLOURS[kind])) for kind in kinds]
    figure = headed(form.panel, 0.75 * form.letters + (0.26 + 0.1 * deepest) * max(len(counts_by_rule), 2), entries)
    axes = figure.subplots()
    for row, (rule, counts) in enumerate(in_turn(counts_by_rule, look, axes)):
        total, start = sum(counts.values()), 0.0
        for kind in [kind for kind in kinds if counts.get(kind, 0)]:
            width = counts[kind] / total
            axes.barh(row, width, left=start, height=0.72, color=COLOURS[kind], ec="white", lw=0.8)
            ink = "white" if kind in DARK else "#1c1c1c"
            centre = (start + width / 2, row - 0.04)
            axes.text(*centre, f"{counts[kind]}", color=ink, fontsize="small", ha="center", va="center")
            start += width
        interval = came_through[rule]
        axes.plot(interval[1:], [row + 0.25] * 2, color="black", lw=1.3, solid_capstyle="butt")
    axes.set(xlim=(0, 1), ylim=(len(counts_by_rule) - 0.4, -0.6), xlabel="share of replicas")
    rows(axes, list(counts_by_rule), look)
    axes.grid(visible=False, axis="y")
    return figure
