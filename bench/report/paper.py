"""Figures for a paper or a notebook: some kinds of them, of some rules and games, in a format of their own."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from bench.errors import UserError
from bench.report.figures.svg import png
from bench.report.gallery import ALL, Gallery
from bench.report.page import gallery_of
from bench.report.sections.scene import Drawing
from bench.report.selection import Selection

SCREEN = 110  # dots an inch in a notebook


def figures_of(view: Selection, kinds: Sequence[str] = (), overall: bool | None = None) -> Gallery:
    """The drawings of these rules and games, of some kinds or all; UserError where there is none.

    Args:
        view: the rules and games.
        kinds: names of `KINDS`; none: all.
        overall: the drawings over all games alone, or those of single games alone; None for both.
    """
    whole = gallery_of(view)
    if overall is not None:
        whole = {name: drawing for name, drawing in whole.items() if name.startswith(f"{ALL}-") == overall}
    gallery = {name: drawing for name, drawing in whole.items() if not kinds or drawing.name in kinds}
    if missing := [kind for kind in kinds if kind not in {drawing.name for drawing in gallery.values()}]:
        there = ", ".join(dict.fromkeys(drawing.name for drawing in whole.values()))
        raise UserError(f"--only has {missing[0]!r}, which these rules and games do not have; they have {there}")
    return gallery


def shown(drawing: Drawing) -> Figure:
    """A drawing's figure, which a notebook shows whatever its settings."""
    figure, content = drawing.figure, png(drawing.figure, drawing.caption, dots=SCREEN)
    figure._repr_png_ = lambda: content  # type: ignore[attr-defined]
    return figure
