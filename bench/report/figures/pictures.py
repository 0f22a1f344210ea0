"""The report's pictures of a rule's training: trajectories in the plane, samples; arrays in, a figure out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from bench.analysis.statistics import Array
from bench.report.figures.films import Window
from bench.report.figures.formats import current
from bench.report.figures.panels import Look, lines
from bench.report.figures.series import fitting
from bench.report.figures.sheets import ACROSS, across_groups, sheet, text_of
from bench.report.figures.svg import styled

LINES = 10  # of text in a panel
SPACING, LETTER = 1.4, 0.602  # of lines, and the width of a letter of equal ones, in sizes of a letter
LEAST_LETTER = 5.5  # points of a letter of text
SMALLEST = 0.97  # inches of a panel
PIECES = 5  # of a path, each drawn stronger than the last
TOLERANCE = 0.006  # as a share of half the side of a panel: less than half the width of a line


class Field(NamedTuple):
    """A vector field on a square grid: points [G, 2], directions [G, 2]."""

    points: Array
    directions: Array


def grid(count: int, height: float, most: int = 5, largest: float = 2.5) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` equal panels, as wide as the page allows."""
    form = current()
    columns = min(count, most, max(2, int(form.full / SMALLEST)))
    rows = -(-count // columns)
    exact = form.width is not None
    side = min(largest, (form.full - 0.3 if exact else form.full) / columns)
    size = (form.full if exact else side * columns + 0.3, (side + height) * rows + 0.3)
    figure = Figure(figsize=size, layout="compressed")
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel())
    for spare in panels[count:]:
        spare.remove()
    for lowest in panels[max(0, count - columns) : count]:
        lowest.tick_params(labelbottom=True)
    return figure, panels[:count]


def name_panel(axes: Axes, rule: str) -> None:
    """Write a rule's name above its panel of a `grid`, within the panel's width."""
    form, columns = current(), axes.get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
    inches = (form.full - 0.7) / columns  # beside the numbers and the name of the axis
    words = lines(rule, 26 if form.width is None else min(26, max(18, round(16 * inches / form.letters))))
    axes.set_title(words, fontsize=fitting(words, 0.95 * inches))


def _name_row(axes: Axes, rule: str, width: int, inches: float) -> None:
    """Write a rule's name beside its row, within the row's height."""
    words = lines(rule, width)
    axes.set_ylabel(words, fontsize=fitting(words, inches))


def _side(usual: float, columns: int) -> float:
    """Inches of a panel, of so many beside each other: the usual ones on a page, else what a format's width leaves."""
    width = current().width
    return usual if width is None else (width - 0.5) / columns


@styled()
def trajectories(
    paths: Mapping[str, Array],
    look: Mapping[str, Look],
    solution: Array | None,
    field: Field | None,
    names: tuple[str, str] = ("x", "y"),
) -> Figure:
    """A panel for each rule: paths [T, S, 2], faint at the start and strong at the end; the solution is a +.

    They go from rings to dots, or to crosses at the border if they leave the picture.
    """
    centre, reach = square(paths, solution)
    figure, panels = grid(len(paths), height=0.2)
    for axes, (rule, path) in zip(panels, paths.items(), strict=True):
        if field is not None:
            draw_field(axes, field)
        if solution is not None:
            axes.plot(*solution, marker="+", ms=8, mew=1.4, color="black", zorder=2)
        colour = look[rule].colour
        clipped = [within(seed, centre, reach) for seed in np.moveaxis(path, 1, 0)]
        _growing(axes, [simplified(inside, TOLERANCE * reach) for inside, _ in clipped], colour)
        for marker, size, leaving in (("o", 4, False), ("x", 5, True)):
            if ends := [inside[-1] for inside, leaves in clipped if leaves == leaving and len(inside)]:
                axes.plot(*np.transpose(ends), ls="", marker=marker, ms=size, mew=1.4, color=colour, zorder=5)
        axes.plot(*path[0].T, ls="", marker="o", ms=5.5, mfc="white", mec=colour, mew=1.4, zorder=4)
        name_panel(axes, rule)
        axes.set(xlim=centre[0] + [-reach, reach], ylim=centre[1] + [-reach, reach], aspect="equal")
        axes.grid(False)
        axes.spines[:].set(visible=True, color="#8a8a85")
        axes.tick_params(color="#8a8a85")
        axes.locator_params(nbins=5 if current().width is None else 3)
        axes.set_gid(look[rule].key)
    figure.supxlabel(names[0], fontsize="medium")
    figure.supylabel(names[1], fontsize="medium")
    return figure


def square(paths: Mapping[str, Array], solution: Array | None) -> tuple[Array, float]:
    """Centre [2] and half the side of a square around all paths, at most 1.7 times as far out as the starts."""
    starts = [np.nan_to_num(path[0]) for path in paths.values()]
    centre = np.mean([start.mean(axis=0) for start in starts], axis=0) if solution is None else solution
    far = max(float(np.abs(start - centre).max()) for start in starts) or 1.0
    reached = max(float(np.abs(np.nan_to_num(path) - centre).max()) for path in paths.values())
    return np.asarray(centre), 1.05 * min(reached or 1.0, 1.7 * far)


def within(path: Array, centre: Array, reach: float) -> tuple[Array, bool]:
    """A path [T, 2] until it is not finite or leaves the square for good, and whether it does either.

    A path that leaves ends on the border.
    """
    finite = np.isfinite(path).all(axis=1)
    path = path[: len(path) if finite.all() else int(finite.argmin())]
    off = np.abs(path - centre).max(axis=1) > reach if len(path) else np.zeros(0, dtype=bool)
    if not len(path) or not off[-1]:
        return path, not finite.all()
    if off.all():
        return path[:0], True
    last = int(np.flatnonzero(~off)[-1])
    inside, outside = path[last], path[last + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = (reach - (inside - centre) * np.sign(outside - inside)) / np.abs(outside - inside)
    border = inside + (outside - inside) * float(np.nanmin(np.where(steps >= 0, steps, np.inf)))
    return np.concatenate([path[: last + 1], border[None]]), True


def simplified(path: Array, tolerance: float) -> Array:
    """A path [T, 2] without the points that are within the tolerance of the line through the others.

    Ramer 1972, Douglas and Peucker 1973.
    """
    keep = np.zeros(len(path), dtype=bool)
    keep[[0, -1] if len(path) else []] = True
    parts = [(0, len(path) - 1)]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        along, points = path[last] - path[first], path[first + 1 : last] - path[first]
        squared_length = float(along @ along)
        share = np.clip(points @ along / squared_length, 0, 1) if squared_length > 0 else np.zeros(len(points))
        far = np.linalg.norm(points - share[:, None] * along, axis=1)
        worst = int(far.argmax())
        if far[worst] > tolerance:
            keep[first + 1 + worst] = True
            parts += [(first, first + 1 + worst), (first + 1 + worst, last)]
    return path[keep]


def _growing(axes: Axes, paths: list[Array], colour: str) -> None:
    """Draw paths [T, 2] in pieces of growing strength; the pieces of a path have the same length."""
    pieces: list[list[Array]] = [[] for _ in range(PIECES)]
    for path in paths:
        if len(path) < 2:
            continue
        travelled = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
        ends = np.searchsorted(travelled, travelled[-1] * np.arange(1, PIECES + 1) / PIECES * (1 - 1e-12))
        for piece, start, end in zip(pieces, [0, *ends], ends, strict=False):
            piece += [path[start : end + 1], np.full((1, 2), np.nan)]  # a gap between one path and the next
    for i, piece in enumerate(pieces):
        if piece:
            strength = 0.45 + 0.55 * i / (PIECES - 1)
            axes.plot(*np.concatenate(piece).T, color=colour, lw=1.2, alpha=strength, zorder=3)


def draw_field(axes: Axes, field: Field) -> None:
    """Draw the field as arrows in the background."""
    axes.plot(*_arrows(field).T, color="#a9a9a3", lw=0.8, zorder=1)


def _arrows(field: Field) -> Array:
    """All arrows as one line with gaps: [6 G, 2]; the length of an arrow grows with the root of the field's norm."""
    length = np.linalg.norm(field.directions, axis=1, keepdims=True)
    spacing = np.ptp(field.points[:, 0]) / (np.sqrt(len(field.points)) - 1)
    step = 0.8 * spacing * field.directions / np.sqrt(np.where(length > 0, length * length.max(), 1))
    side = step[:, ::-1] * [-1, 1]
    tip, gap = field.points + step / 2, np.full_like(step, np.nan)
    line = [field.points - step / 2, tip, tip - 0.35 * step + 0.2 * side, tip, tip - 0.35 * step - 0.2 * side, gap]
    return np.stack(line, axis=1).reshape(-1, 2)


@styled()
def clouds(frames: Mapping[str, tuple[Array, Array]], modes: Array | None, look: Mapping[str, Look]) -> Figure:
    """Samples in the plane, a row for each rule: points [K, N, 2] at costs [K], over the modes [M, 2] if any."""
    columns = max(len(costs) for costs, _ in frames.values())
    window = Window.of(frames, modes)
    middle, side = window
    side_of_one = _side(1.5, columns)
    titles = 0.12 if current().width is None else 0.25
    figure = Figure(figsize=(side_of_one * columns + 0.5, (side_of_one + titles) * len(frames)), layout="compressed")
    grid = figure.subplots(len(frames), columns, sharex=True, sharey=True, squeeze=False)
    for row, (rule, (costs, samples)) in zip(grid, frames.items(), strict=True):
        for axes, cost, points in zip(row, costs, samples, strict=False):
            if modes is not None:
                axes.plot(*modes.T, ls="", marker="o", ms=7, mfc="none", mec="#8a8a85", mew=0.7)
            finite = points[np.isfinite(points).all(axis=1)]
            axes.scatter(*finite.T, s=2.6, lw=0, color=look[rule].colour, rasterized=True)
            outside = window.outside(points)
            between = ", " if current().width is None else "\n"
            words = f"cost {cost:g}" + (f"{between}{outside:.0%} outside" if outside >= 0.005 else "")
            axes.set_title(words, fontsize="small", pad=2)
            axes.set(xlim=middle[0] + [-side, side], ylim=middle[1] + [-side, side], aspect="equal")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.patch.set(edgecolor="#c9c9c4", linewidth=0.8)
        _name_row(row[0], rule, 18, side_of_one + 0.5 * titles)
        for axes in row:
            axes.set_gid(look[rule].key)
    return figure


@styled()
def images(real: Array | None, samples_by_rule: Mapping[str, tuple[Array, Array]], group: int = 1) -> Figure:
    """Sheets of images [N, height, width] in [-1, 1], ink black on white; [..., 3] in colour.

    A row for each rule: images [K, N, ...] at costs [K]; real ones above them. ``group`` images belong together.
    """
    return _rows_of(lambda axes, pictures: _show(axes, pictures, group), real, samples_by_rule)


@styled()
def texts(real: Array | None, samples_by_rule: Mapping[str, tuple[Array, Array]], alphabet: str) -> Figure:
    """Lines of text, as `images` draws images: letters [K, N, length] at costs [K] as places in the alphabet.

    In a narrow figure there are fewer moments, so that letters stay legible.
    """
    length = max(letters.shape[-1] for _, letters in samples_by_rule.values())
    columns = max(len(costs) for costs, _ in samples_by_rule.values())
    size, tall = FontProperties(size="small").get_size_in_points(), None
    if current().width is not None:
        columns = min(columns, max(1, int(72 * (current().full - 0.5) / (LETTER * LEAST_LETTER * (length + 1)))))
        samples_by_rule = {rule: _last(*reel, columns) for rule, reel in samples_by_rule.items()}
        size = min(size, 72 * _side(0, columns) / (LETTER * (length + 1)))
        tall = SPACING * size * LINES / 72

    def write(axes: Axes, letters: Array) -> None:
        written = "\n".join(text_of(letters[:LINES], alphabet))
        axes.text(0.5, 0.5, written, ha="center", va="center", family="monospace", fontsize=size, linespacing=SPACING)

    return _rows_of(write, real, samples_by_rule, tall)


def _last(costs: Array, samples: Array, most: int) -> tuple[Array, Array]:
    """At most so many moments, the last one among them."""
    kept = np.unique(np.linspace(len(costs) - 1, 0, most).round().astype(int))
    return costs[kept], samples[kept]


def _rows_of(
    show: Callable[[Axes, Array], None],
    real: Array | None,
    samples_by_rule: Mapping[str, tuple[Array, Array]],
    tall: float | None = None,
) -> Figure:
    """A row for each rule with a panel for each moment, square or ``tall`` inches; a panel of real samples above."""
    columns = max(len(cost) for cost, _ in samples_by_rule.values())
    rows = len(samples_by_rule) + (real is not None)
    side_of_one = _side(2.1, columns)
    height = side_of_one + 0.1 if tall is None else tall + 0.25
    figure = Figure(figsize=(side_of_one * columns + 0.5, height * rows), layout="compressed")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    if real is not None:
        show(grid[0, 0], real)
        grid[0, 0].set_ylabel("real", fontsize="small")
        for spare in grid[0, 1:]:
            spare.remove()
    for row, (rule, (costs, moments)) in zip(grid[rows - len(samples_by_rule) :], samples_by_rule.items(), strict=True):
        _name_row(row[0], rule, 20, side_of_one)
        for axes, cost, pictures in zip(row, costs, moments, strict=False):
            show(axes, pictures)
            axes.set_title(f"cost {cost:g}", fontsize="small", pad=2)
    return figure


def _show(axes: Axes, pictures: Array, group: int) -> None:
    light = 0.8 if pictures.ndim == 4 else -0.8
    across = across_groups(group) if group > 1 else min(ACROSS, math.isqrt(len(pictures)))
    page = sheet(pictures, across, group, line=light, margin=0)
    axes.imshow((page + 1) / 2 if page.ndim == 3 else -page, cmap="gray", vmin=-1, vmax=1, interpolation="none")
