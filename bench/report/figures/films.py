"""Samples during training as strips of moments for the report's slider; arrays in, pictures out.

A rule has one strip, a PNG of few colours or lines of text, with a frame for each moment. A page without scripts, or
on paper, shows the whole strip. The numbers of moments, pixels and images are the largest that fit into `ROOM` bytes
for each rule.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from html import escape
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.analysis.statistics import Array
from bench.report.figures.panels import Look
from bench.report.figures.sheets import across_groups, sheet, text_of

Reels = Mapping[str, tuple[Array, Array]]
"""rule -> the costs [K] of its moments, its samples at them [K, N, ...]."""

ROOM = 4500  # bytes of a rule's strip
POINTS = ((9, 176), (9, 144), (7, 144), (7, 120), (5, 120))  # moments and pixels along a side, from rich to poor
IMAGES = ((6, 9), (6, 7), (5, 7), (5, 6), (4, 6), (4, 5), (3, 5), (3, 4), (2, 4), (2, 3))  # along a side, moments
SIZE, LETTER, LINE = 10.0, 6.02, 14.0  # pixels of a letter, its width, and lines apart
GROUPED = (9, 7, 5, 4, 3, 2)  # moments of images that belong together
TEXTS = ((8, 6), (8, 5), (8, 4), (6, 4), (6, 3))  # lines of a page, moments
ASKED = 4  # rules whose strips are tried
DOT = 1.35  # the radius of a point, in pixels
STRENGTHS = (0, 90, 175, 255)  # the opacities of a point's edge
GREYS, COLOURS = 8, 24


class Panel(NamedTuple):
    """A rule's strip as a data URI, its number of moments, and the share outside of the frame at each, in percent."""

    name: str
    colour: str
    strip: str
    moments: int
    outside: tuple[int, ...] = ()
    note: str = ""
    """How the replica failed, if it did."""
    key: str = ""
    """Its class on a page, for hiding it."""


class Film(NamedTuple):
    """Panels with the same moments: their costs, the side of a frame in pixels, the marks behind each frame."""

    costs: tuple[float, ...]
    side: int
    panels: list[Panel]
    marks: list[tuple[float, float]]
    """Centres of circles in a frame, in pixels."""
    sharp: bool
    """Whether pixels are scaled without smoothing."""

    @property
    def columns(self) -> int:
        """The number of panels side by side on a wide page."""
        return -(-len(self.panels) // -(-len(self.panels) // 6))


class Window(NamedTuple):
    """The visible square of the plane: its centre, and half of its side."""

    middle: Array
    reach: float

    @classmethod
    def around(cls, points: Array) -> Window:
        """A window around points [M, 2] with a margin; points that are not finite are ignored."""
        finite = points[np.isfinite(points).all(axis=1)]
        finite = finite if len(finite) else np.zeros((1, 2))
        return cls((finite.min(axis=0) + finite.max(axis=0)) / 2, 0.68 * float(np.ptp(finite, axis=0).max()) or 1.0)

    @classmethod
    def of(cls, reels: Reels, modes: Array | None) -> Window:
        """A window around the modes [M, 2], if there are any, else around all final samples."""
        return cls.around(np.concatenate([samples[-1] for _, samples in reels.values()]) if modes is None else modes)

    def pixels(self, points: Array, side: int) -> Array:
        """Points [..., 2] in the pixels of a frame of this side; y points down."""
        return np.asarray((0.5 + (points - self.middle) * [1, -1] / (2 * self.reach)) * side)

    def outside(self, points: Array) -> float:
        """The share of points [N, 2] that are outside or not finite."""
        return 1 - float((np.abs(points - self.middle) <= self.reach).all(axis=1).mean())


def moments(reels: Reels, most: int) -> tuple[Array, dict[str, NDArray[np.intp]]]:
    """Costs [K] of at most ``most`` moments, from first to last, and rule -> the indices [K] of its nearest moments.

    A rule that stopped early keeps its last moment.
    """
    longest = max((costs for costs, _ in reels.values()), key=lambda costs: (float(costs[-1]), len(costs)))
    costs = longest[np.unique(np.linspace(0, len(longest) - 1, most).round().astype(int))]
    return costs, {
        rule: np.abs(rule_costs[None, :] - costs[:, None]).argmin(axis=1) for rule, (rule_costs, _) in reels.items()
    }


def points(reels: Reels, modes: Array | None, look: Mapping[str, Look], notes: Mapping[str, str]) -> Film:
    """A film of points of the plane [K, N, 2], over the modes [M, 2] if any; ``notes`` hold rule -> how it failed."""
    window = Window.of(reels, modes)

    def build(reels: Reels, most: int, side: int) -> Film:
        costs, indices = moments(reels, most)
        panels = []
        for rule, (_, samples) in reels.items():
            frames = [_stamped(window.pixels(samples[k], side), side) for k in indices[rule]]
            outside = tuple(round(100 * window.outside(samples[k])) for k in indices[rule])
            strip = _uri(_tinted(np.concatenate(frames, axis=1), look[rule].colour), STRENGTHS)
            panels.append(
                Panel(rule, look[rule].colour, strip, len(frames), outside, notes.get(rule, ""), look[rule].key)
            )
        marks = [] if modes is None else [(float(x), float(y)) for x, y in window.pixels(modes, side)]
        return Film(tuple(map(float, costs)), side, panels, marks, sharp=False)

    return _fitting(build, reels, POINTS)


def sheets(
    real: Array | None, reels: Reels, look: Mapping[str, Look], notes: Mapping[str, str], group: int = 1
) -> Film:
    """A film of images in [-1, 1], [K, N, height, width] or [..., 3], beside real ones [N, height, width, ...].

    ``group`` images in turn belong together: they stand in a box, a row of one or more.
    """

    def build(reels: Reels, across: int, most: int) -> Film:
        costs, indices = moments(reels, most)
        panels = [] if real is None else [Panel("real", "#80808060", _uri(_quantized(sheet(real, across, group))), 1)]
        side = 1
        for rule, (_, samples) in reels.items():
            frames = [sheet(samples[k], across, group) for k in indices[rule]]
            side, strip = len(frames[0]), _uri(_quantized(np.concatenate(frames, axis=1)))
            panels.append(
                Panel(rule, look[rule].colour, strip, len(frames), note=notes.get(rule, ""), key=look[rule].key)
            )
        return Film(tuple(map(float, costs)), side, panels, [], sharp=True)

    shown = max(samples.shape[1] for _, samples in reels.values())
    settings = [(across, most) for across, most in IMAGES if across**2 <= shown] or list(IMAGES[-1:])
    if group > 1:
        settings = [(across_groups(group), most) for most in GROUPED]
    return _fitting(build, reels, settings)


def texts(real: Array | None, reels: Reels, look: Mapping[str, Look], notes: Mapping[str, str], alphabet: str) -> Film:
    """A film of lines of text: letters [K, N, length] as places in the alphabet, beside real ones [N, length]."""

    def build(reels: Reels, lines: int, most: int) -> Film:
        costs, indices = moments(reels, most)
        side, strip = written(real[None], lines, alphabet) if real is not None else (1, "")
        panels = [] if real is None else [Panel("real", "#80808060", strip, 1)]
        for rule, (_, samples) in reels.items():
            side, strip = written(samples[indices[rule]], lines, alphabet)
            panels.append(
                Panel(rule, look[rule].colour, strip, len(costs), note=notes.get(rule, ""), key=look[rule].key)
            )
        return Film(tuple(map(float, costs)), side, panels, [], sharp=False)

    return _fitting(build, reels, TEXTS)


def written(frames: Array, lines: int, alphabet: str) -> tuple[int, str]:
    """Lines of text of each moment, [K, N, length], as a strip that is text: the side of a frame, and a data URI."""
    letters = frames.shape[2]
    wide, tall = LETTER * letters, LINE * min(lines, frames.shape[1])
    side = ceil(max(wide + SIZE, tall + LINE / 2))
    texts = [
        f'<text x="{k * side + (side - wide) / 2:.4g}" y="{(side - tall) / 2 + LINE * (row + 0.75):.4g}" '
        f'textLength="{wide:.4g}">{escape(line)}</text>'
        for k, page in enumerate(frames)
        for row, line in enumerate(text_of(page[:lines], alphabet))
    ]
    size = f'width="{len(frames) * side}" height="{side}"'
    style = f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="{SIZE:g}"'
    drawn = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}><rect {size} fill="#fff"/>{"".join(texts)}</svg>'
    return side, f"data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode()}"


def _fitting(build: Callable[[Reels, int, int], Film], reels: Reels, settings: Iterable[tuple[int, int]]) -> Film:
    """The richest film whose strips fit into `ROOM` bytes a panel, else the poorest; only a few rules are tried."""
    tried = {rule: reels[rule] for rule in list(reels)[:: -(-len(reels) // ASKED)]}
    setting = (0, 0)
    for setting in settings:
        panels = build(tried, *setting).panels
        if sum(len(panel.strip) for panel in panels) * 3 / 4 <= ROOM * len(panels):
            break
    return build(reels, *setting)


def _stamped(pixels: Array, side: int) -> NDArray[np.uint8]:
    """A disc at each position [N, 2], of strength 0 to 3, [side, side]: drawn three times as fine, then averaged."""
    scale = 3
    finite = pixels[np.isfinite(pixels).all(axis=1)]
    cells = np.floor(finite[((finite > -2) & (finite < side + 2)).all(axis=1)] * scale).astype(int)
    reach = int(np.ceil(DOT * scale))
    canvas = np.zeros((side * scale + 2 * (reach + 2 * scale) + 1,) * 2, dtype=bool)
    for dy, dx in np.argwhere(np.ones((2 * reach + 1,) * 2)) - reach:
        if (dy + 0.5) ** 2 + (dx + 0.5) ** 2 <= (DOT * scale) ** 2:
            canvas[cells[:, 1] + dy + reach + 2 * scale, cells[:, 0] + dx + reach + 2 * scale] = True
    start = reach + 2 * scale
    inner = canvas[start : start + side * scale, start : start + side * scale]
    cover = inner.reshape(side, scale, side, scale).mean(axis=(1, 3))
    strengths: NDArray[np.uint8] = np.round(cover * (len(STRENGTHS) - 1)).astype(np.uint8)
    return strengths


def _tinted(strengths: NDArray[np.uint8], colour: str) -> Image.Image:
    """A picture of strengths in shades of one colour."""
    picture = Image.frombytes("P", strengths.shape[::-1], strengths.tobytes())
    picture.putpalette([int(colour[i : i + 2], 16) for i in (1, 3, 5)] * len(STRENGTHS))
    return picture


def _quantized(page: Array) -> Image.Image:
    """A sheet [height, width] in a few greys, ink black on white, or [height, width, 3] in a few colours."""
    if page.ndim == 3:
        picture = Image.fromarray(np.round((page + 1) * 127.5).astype(np.uint8))
        return picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    levels = np.round((1 - page) / 2 * (GREYS - 1)).astype(np.uint8)
    picture = Image.frombytes("P", levels.shape[::-1], levels.tobytes())
    picture.putpalette([shade for k in range(GREYS) for shade in [round(255 * k / (GREYS - 1))] * 3])
    return picture


def _uri(picture: Image.Image, opacities: tuple[int, ...] = ()) -> str:
    sink = io.BytesIO()
    clear = {"transparency": bytes(opacities)} if opacities else {}
    picture.save(sink, format="png", optimize=True, **clear)
    return f"data:image/png;base64,{base64.b64encode(sink.getvalue()).decode()}"
