"""The report's pictures of what a rule does: trajectories in the plane, samples; arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.figures.panels import Array, Look, lines
from bench.figures.svg import styled

FULL = 11.0  # inches of a figure that spans the page
ACROSS = 6  # images along a side of a sheet
PIECES = 8  # of a path that grows stronger


class Field(NamedTuple):
    """A vector field on a square grid: points [G, 2], directions [G, 2]."""

    points: Array
    directions: Array


def _grid(count: int, height: float, most: int = 5, largest: float = 2.5) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels, as many as asked for, their width such that they fill the page."""
    columns = min(count, most)
    rows = -(-count // columns)
    side = min(largest, FULL / columns)
    figure = Figure(figsize=(side * columns, (side + height) * rows))
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel())
    for spare in panels[count:]:
        spare.remove()
    return figure, panels[:count]


@styled()
def trajectories(
    paths: Mapping[str, Array], look: Mapping[str, Look], solution: Array | None, field: Field | None
) -> Figure:
    """One panel a rule: paths [T, S, 2] from their starts (rings), early faint, late strong; the solution a cross."""
    centre, reach = square(paths, solution)
    figure, panels = _grid(len(paths), height=0.2)
    for axes, (rule, path) in zip(panels, paths.items(), strict=True):
        if field is not None:
            axes.plot(*_arrows(field).T, color="#a3a39c", lw=0.8, zorder=1)
        for seed in np.moveaxis(path, 1, 0):
            _growing(axes, seed, look[rule].colour)
        axes.plot(*path[0].T, ls="", marker="o", ms=5, mfc="white", mec=look[rule].colour, mew=1.2, zorder=4)
        if solution is not None:
            axes.plot(*solution, marker="+", ms=9, mew=1.8, color="black", zorder=5)
        axes.set_title(lines(rule, 26), fontsize="small")
        axes.set(xlim=centre[0] + [-reach, reach], ylim=centre[1] + [-reach, reach], aspect="equal")
        axes.grid(False)
        axes.spines[:].set_visible(True)
    figure.supxlabel("generator, or x", fontsize="medium")
    figure.supylabel("discriminator, or y", fontsize="medium")
    return figure


def square(paths: Mapping[str, Array], solution: Array | None) -> tuple[Array, float]:
    """Centre [2] and half the side of the square to draw: what was reached, at most 1.7 times as far as the starts."""
    centre = np.mean([path[0].mean(axis=0) for path in paths.values()], axis=0) if solution is None else solution
    far = max(float(np.abs(path[0] - centre).max()) for path in paths.values()) or 1.0
    reached = max(float(np.abs(np.nan_to_num(path) - centre).max()) for path in paths.values())
    return np.asarray(centre), 1.05 * min(reached or 1.0, 1.7 * far)


def _growing(axes: Axes, path: Array, colour: str) -> None:
    """One path [T, 2], drawn in pieces of growing strength."""
    ends = list(accumulate(len(piece) for piece in np.array_split(path, PIECES)))
    for i, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        axes.plot(*path[start : end + 1].T, color=colour, lw=1.1, alpha=0.4 + 0.6 * i / (PIECES - 1), zorder=2)


def _arrows(field: Field) -> Array:
    """All arrows as one line with gaps: [6 G, 2]; an arrow's length goes with the root of the field's."""
    length = np.linalg.norm(field.directions, axis=1, keepdims=True)
    spacing = np.ptp(field.points[:, 0]) / (np.sqrt(len(field.points)) - 1)
    step = 0.8 * spacing * field.directions / np.sqrt(np.where(length > 0, length * length.max(), 1))
    side = step[:, ::-1] * [-1, 1]
    tip, gap = field.points + step / 2, np.full_like(step, np.nan)
    line = [field.points - step / 2, tip, tip - 0.35 * step + 0.2 * side, tip, tip - 0.35 * step - 0.2 * side, gap]
    return np.stack(line, axis=1).reshape(-1, 2)


@styled()
def clouds(frames: Mapping[str, tuple[Array, Array]], modes: Array | None, look: Mapping[str, Look]) -> Figure:
    """Samples in the plane: one row a rule, costs [K] and points [K, N, 2] from start to end over the modes [M, 2]."""
    columns = max(len(cost) for cost, _ in frames.values())
    reference = modes if modes is not None else np.concatenate([points[-1] for _, points in frames.values()])
    reference = reference[np.isfinite(reference).all(axis=1)] if np.isfinite(reference).any() else np.zeros((1, 2))
    middle = (reference.min(axis=0) + reference.max(axis=0)) / 2
    side = 0.68 * float(np.ptp(reference, axis=0).max()) or 1.0
    figure = Figure(figsize=(1.5 * columns + 0.5, 1.62 * len(frames)))
    grid = figure.subplots(len(frames), columns, sharex=True, sharey=True, squeeze=False)
    for row, (rule, (cost, points)) in zip(grid, frames.items(), strict=True):
        for axes, at, cloud in zip(row, cost, points, strict=False):
            if modes is not None:
                axes.plot(*modes.T, ls="", marker="o", ms=7, mfc="none", mec="#8a8a85", mew=0.7)
            seen = cloud[np.isfinite(cloud).all(axis=1)]
            axes.scatter(*seen.T, s=2.6, lw=0, color=look[rule].colour, rasterized=True)
            outside = 1 - float((np.abs(cloud - middle) <= side).all(axis=1).mean())
            words = f"cost {at:g}" + (f", {outside:.0%} outside" if outside >= 0.005 else "")
            axes.set_title(words, fontsize="x-small", pad=2)
            axes.set(xlim=middle[0] + [-side, side], ylim=middle[1] + [-side, side], aspect="equal")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.patch.set(edgecolor="#c9c9c4", linewidth=0.8)
        row[0].set_ylabel(lines(rule, 18), fontsize="small")
    return figure


@styled()
def images(real: Array | None, found: Mapping[str, tuple[Array, Array]]) -> Figure:
    """Sheets of images [N, height, width] in [-1, 1], ink black on white; [..., 3] in colour.

    A row a rule: costs [K] and images [K, N, ...]; above them real ones.
    """
    columns = max(len(cost) for cost, _ in found.values())
    rows = len(found) + (real is not None)
    figure = Figure(figsize=(2.1 * columns + 0.5, 2.2 * rows))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    if real is not None:
        _show(grid[0, 0], real)
        grid[0, 0].set_ylabel("real", fontsize="small")
        for spare in grid[0, 1:]:
            spare.remove()
    for row, (rule, (costs, moments)) in zip(grid[rows - len(found) :], found.items(), strict=True):
        row[0].set_ylabel(lines(rule, 20), fontsize="small")
        for axes, cost, pictures in zip(row, costs, moments, strict=False):
            _show(axes, pictures)
            axes.set_title(f"cost {cost:g}", fontsize="x-small", pad=2)
    return figure


def _show(axes: Axes, pictures: Array) -> None:
    sheet = _sheet(pictures)
    axes.imshow((sheet + 1) / 2 if sheet.ndim == 3 else -sheet, cmap="gray", vmin=-1, vmax=1, interpolation="none")


def _sheet(pictures: Array) -> Array:
    """Images [N, height, width, ...] side by side with a light line between: [ACROSS * (height + 1) - 1, ...]."""
    _, height, width, *planes = pictures.shape
    line = 0.8 if planes else -0.8
    sheet = np.full((ACROSS * (height + 1) - 1, ACROSS * (width + 1) - 1, *planes), line)
    for k, picture in enumerate(np.nan_to_num(pictures[: ACROSS * ACROSS]).clip(-1, 1)):
        top, left = k // ACROSS * (height + 1), k % ACROSS * (width + 1)
        sheet[top : top + height, left : left + width] = picture
    return sheet
