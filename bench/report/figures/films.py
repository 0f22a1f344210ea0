"""Samples through training as strips of moments: what the report's slider moves through; arrays in, pictures out.

A rule has one strip, a PNG of few colours with a frame a moment. A page that may not run a script shows it whole, and
so does one that is printed. As many moments, pixels and images are shown as fit into so many bytes a rule.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.analysis.statistics import Array
from bench.report.figures.panels import Look

Reels = Mapping[str, tuple[Array, Array]]
"""rule -> the costs [K] of its moments, what it gave at them [K, N, ...]."""

ROOM = 4500  # bytes of a rule's strip
POINTS = ((9, 176), (9, 144), (7, 144), (7, 120), (5, 120))  # moments and pixels along a side, rich to poor
IMAGES = ((6, 9), (6, 7), (5, 7), (5, 6), (4, 6), (4, 5), (3, 5), (3, 4), (2, 4), (2, 3))  # along a side, moments
ASKED = 4  # rules whose strips are tried
DOT = 1.35  # pixels of a point's radius
STRENGTHS = (0, 90, 175, 255)  # how opaque the colours of a point's edge are
GREYS, COLOURS = 8, 24


class Panel(NamedTuple):
    """A rule's strip as a data URI, how many moments it has, and the share outside of the frame at each, in percent."""

    name: str
    colour: str
    strip: str
    moments: int
    outside: tuple[int, ...] = ()
    note: str = ""
    """What became of the replica, where it failed."""
    key: str = ""
    """What a page calls it, to hide it."""


class Film(NamedTuple):
    """Panels that show the same moments: their costs, a frame's side in pixels, what is drawn behind each frame."""

    costs: tuple[float, ...]
    side: int
    panels: list[Panel]
    marks: list[tuple[float, float]]
    """Centres of circles in a frame, in pixels."""
    sharp: bool
    """Whether pixels are to be seen as such."""

    @property
    def columns(self) -> int:
        """How many panels stand side by side on a wide page."""
        return -(-len(self.panels) // -(-len(self.panels) // 6))


class Window(NamedTuple):
    """The square of the plane that is drawn."""

    middle: Array
    reach: float

    @classmethod
    def around(cls, points: Array) -> Window:
        """Points [M, 2] with a margin; those that are no numbers do not count."""
        sound = points[np.isfinite(points).all(axis=1)]
        sound = sound if len(sound) else np.zeros((1, 2))
        return cls((sound.min(axis=0) + sound.max(axis=0)) / 2, 0.68 * float(np.ptp(sound, axis=0).max()) or 1.0)

    @classmethod
    def of(cls, reels: Reels, modes: Array | None) -> Window:
        """Around the modes [M, 2], where there are any, else around where all samples end."""
        return cls.around(np.concatenate([given[-1] for _, given in reels.values()]) if modes is None else modes)

    def places(self, points: Array, side: int) -> Array:
        """Where points [..., 2] stand in a frame of so many pixels; y runs down."""
        return np.asarray((0.5 + (points - self.middle) * [1, -1] / (2 * self.reach)) * side)

    def outside(self, points: Array) -> float:
        """The share of points [N, 2] that is not inside, or no number."""
        return 1 - float((np.abs(points - self.middle) <= self.reach).all(axis=1).mean())


def moments(reels: Reels, most: int) -> tuple[Array, dict[str, NDArray[np.intp]]]:
    """Costs [K] of at most so many moments, from first to last, and which of its own each rule shows at them.

    A rule that stopped early goes on showing its last one.
    """
    longest = max((costs for costs, _ in reels.values()), key=lambda costs: (float(costs[-1]), len(costs)))
    costs = longest[np.unique(np.linspace(0, len(longest) - 1, most).round().astype(int))]
    return costs, {rule: np.abs(own[None, :] - costs[:, None]).argmin(axis=1) for rule, (own, _) in reels.items()}


def points(reels: Reels, modes: Array | None, look: Mapping[str, Look], notes: Mapping[str, str]) -> Film:
    """Points of the plane [K, N, 2], over the modes [M, 2] where there are any; ``notes`` say what became of a rule."""
    window = Window.of(reels, modes)

    def shown(reels: Reels, most: int, side: int) -> Film:
        costs, at = moments(reels, most)
        panels = []
        for rule, (_, given) in reels.items():
            frames = [_stamped(window.places(given[k], side), side) for k in at[rule]]
            outside = tuple(round(100 * window.outside(given[k])) for k in at[rule])
            strip = _uri(_tinted(np.concatenate(frames, axis=1), look[rule].colour), STRENGTHS)
            panels.append(
                Panel(rule, look[rule].colour, strip, len(frames), outside, notes.get(rule, ""), look[rule].key)
            )
        marks = [] if modes is None else [(float(x), float(y)) for x, y in window.places(modes, side)]
        return Film(tuple(map(float, costs)), side, panels, marks, sharp=False)

    return _fitting(shown, reels, POINTS)


def sheets(real: Array | None, reels: Reels, look: Mapping[str, Look], notes: Mapping[str, str]) -> Film:
    """Images in [-1, 1], [K, N, height, width], or [..., 3] in colour, beside real ones [N, height, width, ...]."""

    def shown(reels: Reels, across: int, most: int) -> Film:
        costs, at = moments(reels, most)
        panels = [] if real is None else [Panel("real", "#80808060", _uri(_few(sheet(real, across))), 1)]
        side = 1
        for rule, (_, given) in reels.items():
            frames = [sheet(given[k], across) for k in at[rule]]
            side, strip = len(frames[0]), _uri(_few(np.concatenate(frames, axis=1)))
            panels.append(
                Panel(rule, look[rule].colour, strip, len(frames), note=notes.get(rule, ""), key=look[rule].key)
            )
        return Film(tuple(map(float, costs)), side, panels, [], sharp=True)

    return _fitting(shown, reels, IMAGES)


def sheet(pictures: Array, across: int, line: float | None = None, margin: int = 1) -> Array:
    """Images [N, height, width, ...] in rows of so many, a pixel between: [side, side, ...]; 1 is ink.

    Grey ones are shown as ink on paper; in colour they are as they are. The line between, and around as many pixels as
    the margin has, is white where nothing else is said.
    """
    _, height, width, *planes = pictures.shape
    white = 1.0 if planes else -1.0
    size = [across * (length + 1) - 1 + 2 * margin for length in (height, width)]
    page = np.full((*size, *planes), white if line is None else line)
    for k, picture in enumerate(np.nan_to_num(pictures[: across * across]).clip(-1, 1)):
        top, left = k // across * (height + 1) + margin, k % across * (width + 1) + margin
        page[top : top + height, left : left + width] = picture
    return page


def _fitting(shown: Callable[[Reels, int, int], Film], reels: Reels, settings: Iterable[tuple[int, int]]) -> Film:
    """The richest film whose strips fit into so many bytes a panel, else the poorest; a few rules are asked for all."""
    some = {rule: reels[rule] for rule in list(reels)[:: -(-len(reels) // ASKED)]}
    chosen = (0, 0)
    for chosen in settings:
        panels = shown(some, *chosen).panels
        if sum(len(panel.strip) for panel in panels) * 3 / 4 <= ROOM * len(panels):
            break
    return shown(reels, *chosen)


def _stamped(places: Array, side: int) -> NDArray[np.uint8]:
    """A disc at each place [N, 2], of strength 0 to 3, [side, side]: drawn three times as fine, then averaged."""
    fine = 3
    seen = places[np.isfinite(places).all(axis=1)]
    at = np.floor(seen[((seen > -2) & (seen < side + 2)).all(axis=1)] * fine).astype(int)
    reach = int(np.ceil(DOT * fine))
    canvas = np.zeros((side * fine + 2 * (reach + 2 * fine) + 1,) * 2, dtype=bool)
    for dy, dx in np.argwhere(np.ones((2 * reach + 1,) * 2)) - reach:
        if (dy + 0.5) ** 2 + (dx + 0.5) ** 2 <= (DOT * fine) ** 2:
            canvas[at[:, 1] + dy + reach + 2 * fine, at[:, 0] + dx + reach + 2 * fine] = True
    start = reach + 2 * fine
    inner = canvas[start : start + side * fine, start : start + side * fine]
    cover = inner.reshape(side, fine, side, fine).mean(axis=(1, 3))
    strengths: NDArray[np.uint8] = np.round(cover * (len(STRENGTHS) - 1)).astype(np.uint8)
    return strengths


def _tinted(strengths: NDArray[np.uint8], colour: str) -> Image.Image:
    """Strengths as a picture in shades of one colour."""
    picture = Image.frombytes("P", strengths.shape[::-1], strengths.tobytes())
    picture.putpalette([int(colour[i : i + 2], 16) for i in (1, 3, 5)] * len(STRENGTHS))
    return picture


def _few(page: Array) -> Image.Image:
    """A sheet [height, width] in a few greys, ink black on white, or [height, width, 3] in a few colours."""
    if page.ndim == 3:
        whole = Image.fromarray(np.round((page + 1) * 127.5).astype(np.uint8))
        return whole.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    levels = np.round((1 - page) / 2 * (GREYS - 1)).astype(np.uint8)
    picture = Image.frombytes("P", levels.shape[::-1], levels.tobytes())
    picture.putpalette([shade for k in range(GREYS) for shade in [round(255 * k / (GREYS - 1))] * 3])
    return picture


def _uri(picture: Image.Image, opacities: tuple[int, ...] = ()) -> str:
    sink = io.BytesIO()
    clear = {"transparency": bytes(opacities)} if opacities else {}
    picture.save(sink, format="png", optimize=True, **clear)
    return f"data:image/png;base64,{base64.b64encode(sink.getvalue()).decode()}"
