"""Moving figures: rule beside rule, with the cost above; arrays in, frames out.

The static parts of a figure are drawn once. Each frame restores them and draws the moving parts on top, which takes a
tenth of the time. If a replica failed, the panel of its rule says how.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.analysis.statistics import Array
from bench.report.figures.films import Reels, Window, moments
from bench.report.figures.panels import Look, lines
from bench.report.figures.pictures import LINES, Field, draw_field, square
from bench.report.figures.sheets import ACROSS, across_groups, page, sheet
from bench.report.figures.svg import styled

DPI = 100
SIDE, FEWER = 2.1, 1.5  # inches of a panel, and of one among many
ABOVE, LINE = 0.08, 0.15  # inches above a panel, and for a line of its title
MANY = 8  # with more rules panels are smaller
FRAMES = 72  # of a smooth motion
ALARM = "#9a4a00"


class Motion(ABC):
    """A figure with a panel for each name, and the moving artists in each."""

    pace = 60
    """Milliseconds of a frame."""
    coloured = False
    """Whether it has colours besides those of the rules."""

    def __init__(self, names: Sequence[str], look: Mapping[str, Look], notes: Mapping[str, str]) -> None:
        self.names, self.look, self.notes = list(names), look, notes

    @abstractmethod
    def still(self, axes: Axes, name: str) -> list[Artist]:
        """Draw the static parts of a panel; returns its moving artists, which have no data yet."""

    @abstractmethod
    def moved(self) -> Iterator[tuple[float, dict[str, Any]]]:
        """For each frame the cost, and name -> the state for `put`."""

    @abstractmethod
    def put(self, artists: list[Artist], state: Any) -> None:
        """Set the moving artists of a panel to a state."""

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Frames uint8[height, width, 3]."""
        with styled():
            figure, panels = self._figure()
            clock = figure.text(0.5, 1 - 0.06 / figure.get_figheight(), "", ha="center", va="top", weight="bold")
            moving = {name: self.still(axes, name) for name, axes in zip(self.names, panels, strict=True)}
            for artist in [clock, *(artist for artists in moving.values() for artist in artists)]:
                artist.set_animated(True)
            canvas: Any = FigureCanvasAgg(figure)
            canvas.draw()
            background = canvas.copy_from_bbox(figure.bbox)
            for cost, states in self.moved():
                canvas.restore_region(background)
                clock.set_text(f"cost {cost:,.0f}")
                figure.draw_artist(clock)
                for name, axes in zip(self.names, panels, strict=True):
                    self.put(moving[name], states[name])
                    for artist in moving[name]:
                        axes.draw_artist(artist)
                yield np.asarray(canvas.buffer_rgba())[..., :3].copy()

    @property
    def palette(self) -> list[tuple[int, ...]]:
        """All colours of the frames: greys, and shades of each rule's colour on white."""
        greys = [(255 - 15 * k,) * 3 for k in range(18)]
        colours = dict.fromkeys([*(self.look[name].colour for name in self.names if name in self.look), ALARM])
        rgb_colours = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours]
        return greys + [
            tuple(round(255 - share / 6 * (255 - channel)) for channel in channels)
            for channels in rgb_colours
            for share in range(1, 7)
        ]

    def _figure(self) -> tuple[Figure, list[Axes]]:
        """Equal panels with their titles, at fixed positions, so that nothing moves between frames."""
        count = len(self.names)
        side = SIDE if count <= MANY else FEWER
        titles = [lines(name, 22 if count <= MANY else 18) for name in self.names]
        above = ABOVE + LINE * max(title.count("\n") + 1 for title in titles)
        columns = -(-count // -(-count // (4 if count <= MANY else 6)))
        rows, gap, top = -(-count // columns), 0.12, 0.24
        width, height = columns * (side + gap) + gap, rows * (side + above + gap) + top
        figure = Figure(figsize=(max(width, 2.8), height), dpi=DPI, facecolor="white")
        panels = []
        margin = (figure.get_figwidth() - width) / 2
        for k, name in enumerate(self.names):
            x = margin + gap + k % columns * (side + gap)
            y = height - top - (k // columns + 1) * (side + above + gap) + gap
            axes = figure.add_axes((x / figure.get_figwidth(), y / height, side / figure.get_figwidth(), side / height))
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            axes.spines[:].set(visible=True, color="#c9c9c4")
            colour = self.look[name].colour if name in self.look else "#606060"
            title: dict[str, Any] = {"fontsize": "small", "color": colour, "weight": "bold", "pad": 3.0}
            axes.set_title(titles[k], **title)
            if name in self.notes:
                words: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": "x-small", "color": ALARM}
                box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
                axes.text(0.5, 0.02, self.notes[name], transform=axes.transAxes, bbox=box, **words)
            panels.append(axes)
        return figure, panels


class Clouds(Motion):
    """Samples in the plane over the modes [M, 2]; each moves on a straight line between stored moments."""

    def __init__(
        self, reels: Reels, look: Mapping[str, Look], notes: Mapping[str, str], modes: Array | None = None
    ) -> None:
        super().__init__(list(reels), look, notes)
        self.reels, self.modes = reels, modes
        self.window = Window.of(reels, modes)

    def still(self, axes: Axes, name: str) -> list[Artist]:
        middle, reach = self.window
        axes.set(xlim=middle[0] + [-reach, reach], ylim=middle[1] + [-reach, reach])
        if self.modes is not None:
            axes.plot(*self.modes.T, ls="", marker="o", ms=9, mfc="none", mec="#8a8a85", mew=0.8, zorder=1)
        return list(axes.plot([], [], ls="", marker="o", ms=2.1, mew=0, color=self.look[name].colour, alpha=0.85))

    def moved(self) -> Iterator[tuple[float, dict[str, Any]]]:
        costs, indices = moments(self.reels, most=1000)
        between = max(1, round(FRAMES / max(1, len(costs) - 1)))  # frames from one stored moment to the next
        for step in range((len(costs) - 1) * between + 1):
            k, share = step // between, step % between / between
            following = min(k + 1, len(costs) - 1)
            positions = {
                rule: (1 - share) * samples[indices[rule][k]] + share * samples[indices[rule][following]]
                if share
                else samples[indices[rule][k]]
                for rule, (_, samples) in self.reels.items()
            }
            yield float((1 - share) * costs[k] + share * costs[following]), positions

    def put(self, artists: list[Artist], state: Any) -> None:
        artists[0].set(data=np.where(np.isfinite(state), state, np.nan).T)


class Paths(Motion):
    """Paths [T, S, 2] at costs [T] that grow over the field."""

    pace = 55

    def __init__(
        self, paths: Mapping[str, Array], costs: Mapping[str, Array], look: Mapping[str, Look],
        notes: Mapping[str, str], solution: Array | None, field: Field | None,
    ) -> None:  # fmt: skip
        super().__init__(list(paths), look, notes)
        self.paths, self.costs, self.solution, self.field = paths, costs, solution, field
        self.centre, self.reach = square(paths, solution)

    def still(self, axes: Axes, name: str) -> list[Artist]:
        colour, starts = self.look[name].colour, self.paths[name].shape[1]
        axes.set(xlim=self.centre[0] + [-self.reach, self.reach], ylim=self.centre[1] + [-self.reach, self.reach])
        if self.field is not None:
            draw_field(axes, self.field)
        if self.solution is not None:
            axes.plot(*self.solution, marker="+", ms=9, mew=1.5, color="black", zorder=2)
        path_lines = [axes.plot([], [], color=colour, lw=1.2, alpha=0.75)[0] for _ in range(starts)]
        rings = axes.plot(*self.paths[name][0].T, ls="", marker="o", ms=5.5, mfc="white", mec=colour, mew=1.4)
        return [*path_lines, *rings, *axes.plot([], [], ls="", marker="o", ms=6, color=colour, mew=0)]

    def moved(self) -> Iterator[tuple[float, dict[str, Any]]]:
        last = max(float(costs[-1]) for costs in self.costs.values())
        for k in range(FRAMES + 1):
            cost = last * (k / FRAMES) ** 2
            yield (
                cost,
                {
                    rule: path[: np.searchsorted(self.costs[rule], cost + 1e-9, side="right")]
                    for rule, path in self.paths.items()
                },
            )

    def put(self, artists: list[Artist], state: Any) -> None:
        finite = np.where(np.isfinite(state), state, np.nan)
        for k, line in enumerate(artists[:-2]):
            line.set(data=finite[:, k].T)
        artists[-1].set(data=finite[-1].T)


class Sheets(Motion):
    """Sheets of images [K, N, height, width] in [-1, 1], or [..., 3]; the real ones beside them do not change.

    ``group`` images in turn belong together.
    """

    pace = 220

    def __init__(
        self,
        reels: Reels,
        look: Mapping[str, Look],
        notes: Mapping[str, str],
        real: Array | None = None,
        group: int = 1,
    ) -> None:
        self.group = group
        self.reels = {} if real is None else {"real": (np.zeros(1), real[None])}
        self.reels |= reels
        super().__init__(list(self.reels), look, notes)
        self.coloured = any(samples.ndim == 5 for _, samples in reels.values())

    def still(self, axes: Axes, name: str) -> list[Artist]:
        axes.set_facecolor("white")
        first = self._picture(self.reels[name][1][0])
        return [axes.imshow(first, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")]

    def _picture(self, pictures: Array) -> Array:
        page = sheet(pictures, ACROSS if self.group == 1 else across_groups(self.group), self.group)
        return np.asarray((page + 1) / 2 if page.ndim == 3 else (1 - page) / 2)

    def moved(self) -> Iterator[tuple[float, dict[str, Any]]]:
        costs, indices = moments(self.reels, most=1000)
        for k, cost in enumerate(costs):
            yield float(cost), {name: samples[indices[name][k]] for name, (_, samples) in self.reels.items()}

    def put(self, artists: list[Artist], state: Any) -> None:
        artists[0].set(data=self._picture(state))


class Texts(Sheets):
    """Lines of text [K, N, length], letters as places in the alphabet; each moment is shown as it was stored."""

    def __init__(
        self, reels: Reels, look: Mapping[str, Look], notes: Mapping[str, str], real: Array | None, alphabet: str
    ) -> None:
        self.alphabet = alphabet
        super().__init__(reels, look, notes, real)

    def _picture(self, pictures: Array) -> Array:
        return np.asarray((1 - page(pictures, LINES, self.alphabet)) / 2)
