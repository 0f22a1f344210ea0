"""Paths of an SVG from whole points: relative, with no sign more than must be."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.path import Path
from numpy.typing import NDArray

UNIT = 10  # of a drawing, in a point
LENGTHS = {Path.CURVE3: 2, Path.CURVE4: 3}
STRAIGHT = (Path.MOVETO, Path.LINETO, Path.CLOSEPOLY)

Whole = NDArray[np.int64]


def pair(x: int | float, y: int | float) -> str:
    """Two numbers with no more between them than must be."""
    return f"{x:g}{y:g}" if y < 0 else f"{x:g} {y:g}"


def step(dx: int, dy: int) -> str:
    """A line to where it goes from here."""
    if not dy:
        return f"h{dx}" if dx else ""
    return f"l{pair(dx, dy)}" if dx else f"v{dy}"


def walk(points: list[list[int]]) -> str:
    """A path through whole points, each relative to the one before, none left out."""
    steps = "".join(f" {pair(c - a, d - b)}" for (a, b), (c, d) in pairwise(points)).replace(" -", "-")
    return f"M{pair(*points[0])}" + (f"l{steps.lstrip()}" if steps else "")


def line(codes: NDArray[np.uint8], at: Whole) -> str:
    """A path with its gaps and curves, each point relative to the one before; a step that rounds to none is none."""
    steps: list[str] = []
    where, start, done = at.tolist(), "", 0
    x = y = 0
    for i, kind in enumerate(codes.tolist()):
        if kind == Path.STOP:
            break
        if kind == Path.CLOSEPOLY:
            steps.append("z")
        elif kind == Path.MOVETO:
            (x, y), start = where[i], f"M{pair(*where[i])}"
        elif kind == Path.LINETO or i - done == LENGTHS[kind]:
            ends = where[done + 1 : i + 1] if kind != Path.LINETO else [where[i]]
            piece = step(where[i][0] - x, where[i][1] - y) if len(ends) == 1 else _bend(ends, x, y)
            if piece:
                steps += [start, piece] if start else [piece]
                start = ""
            x, y = where[i]
        if kind in (Path.MOVETO, Path.LINETO) or i - done == LENGTHS.get(kind, 0):
            done = i
    return _joined(steps)


def _bend(ends: list[list[int]], x: int, y: int) -> str:
    """A curve from here by these points."""
    return "qc"[len(ends) - 2] + " ".join(pair(a - x, b - y) for a, b in ends).replace(" -", "-")


def _joined(steps: list[str]) -> str:
    """A path's steps as one text; a command that is the one before need not be said."""
    written, last = [], ""
    for step in steps:
        if step[0] == last == "l":
            step = step[1:] if step[1] == "-" else f" {step[1:]}"
        else:
            last = step[0]
        written.append(step)
    return "".join(written)


def shape_of(path: Any) -> str:
    """A mark about the origin: what element it is, with its form."""
    radius = float(np.abs(path.vertices).max()) * UNIT
    if path.codes is not None and len(path.codes) == 26:
        return f'circle r="{radius:.3g}"'
    at = np.rint(path.vertices * [UNIT, -UNIT]).astype(np.int64)
    codes = path.codes if path.codes is not None else np.array([Path.MOVETO] + [Path.LINETO] * (len(at) - 1), np.uint8)
    return f'path d="{line(codes, at)}"'
