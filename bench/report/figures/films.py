"""Samples during training as strips of moments for the report's slider; arrays in, pictures out.

A rule has one strip: a PNG of few colours with a frame for each moment. A page without scripts, or on paper, shows the
whole strip. The numbers of moments, pixels and images are the largest that fit into `ROOM` bytes for each rule.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench.analysis.statistics import Array
from bench.report.figures.panels import Look

Reels = Mapping[str, tuple[Array, Array]]
"""rule -> the costs [K] of its moments, its samples at them [K, N, ...]."""

ROOM = 4500  # bytes of a rule's strip
POINTS = ((9, 176), (9, 144), (7, 144), (7, 120), (5, 120))  # moments and pixels along a side, from rich to poor
IMAGES = ((6, 9), (6, 7), (5, 7), (5, 6), (4, 6), (4, 5), (3, 5), (3, 4), (2, 4), (2, 3))  # along a side, moments
TEXTS = ((8, 6), (8, 5), (8, 4), (6, 4), (6, 3))  # lines of a page, moments
TYPE, LEADING = 11, 1.35  # pixels of a letter, and lines apart
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

    ``group`` images in turn belong together, so that a row holds a multiple of them.
    """

    def build(reels: Reels, across: int, most: int) -> Film:
        costs, indices = moments(reels, most)
        panels = [] if real is None else [Panel("real", "#80808060", _uri(_quantized(sheet(real, across))), 1)]
        side = 1
        for rule, (_, samples) in reels.items():
            frames = [sheet(samples[k], across) for k in indices[rule]]
            side, strip = len(frames[0]), _uri(_quantized(np.concatenate(frames, axis=1)))
            panels.append(
                Panel(rule, look[rule].colour, strip, len(frames), note=notes.get(rule, ""), key=look[rule].key)
            )
        return Film(tuple(map(float, costs)), side, panels, [], sharp=True)

    shown = max(samples.shape[1] for _, samples in reels.values())
    settings = [(across, most) for across, most in IMAGES if across**2 <= shown and across % group == 0]
    return _fitting(build, reels, settings or IMAGES[-1:])


def texts(real: Array | None, reels: Reels, look: Mapping[str, Look], notes: Mapping[str, str], alphabet: str) -> Film:
    """A film of lines of text: letters [K, N, length] as places in the alphabet, beside real ones [N, length]."""

    def build(reels: Reels, lines: int, most: int) -> Film:
        costs, indices = moments(reels, most)
        panels = [] if real is None else [Panel("real", "#80808060", _uri(_quantized(page(real, lines, alphabet))), 1)]
        side = 1
        for rule, (_, samples) in reels.items():
            frames = [page(samples[k], lines, alphabet) for k in indices[rule]]
            side, strip = len(frames[0]), _uri(_quantized(np.concatenate(frames, axis=1)))
            panels.append(
                Panel(rule, look[rule].colour, strip, len(frames), note=notes.get(rule, ""), key=look[rule].key)
            )
        return Film(tuple(map(float, costs)), side, panels, [], sharp=False)

    return _fitting(build, reels, TEXTS)


def page(letters: Array, lines: int, alphabet: str) -> Array:
    """A square page [side, side] of the first lines of text, [N, length] as places in the alphabet; 1 is ink."""
    written = text_of(letters[:lines], alphabet)
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"), TYPE)
    width = max(font.getlength(line) for line in written)
    side = round(max(width + TYPE, (lines + 0.5) * LEADING * TYPE))
    picture = Image.new("L", (side, side), 255)
    draw = ImageDraw.Draw(picture)
    for k, line in enumerate(written):
        draw.text((round((side - width) / 2), round((k + 0.25) * LEADING * TYPE)), line, font=font, fill=0)
    return 1 - np.asarray(picture, dtype=float) / 127.5


def text_of(letters: Array, alphabet: str) -> list[str]:
    """Lines of text: letters [N, length] as places in the alphabet."""
    return ["".join(alphabet[int(letter)] for letter in line) for line in letters]


def sheet(pictures: Array, across: int, line: float | None = None, margin: int = 1) -> Array:
    """A sheet [side, side, ...] of images [N, height, width, ...], ``across`` in each row, a pixel apart; 1 is ink.

    Grey images are shown as ink on paper, colour images unchanged. ``line`` is the value between the images and in the
    margin around them, by default white.
    """
    _, height, width, *planes = pictures.shape
    white = 1.0 if planes else -1.0
    size = [across * (length + 1) - 1 + 2 * margin for length in (height, width)]
    page = np.full((*size, *planes), white if line is None else line)
    for k, picture in enumerate(np.nan_to_num(pictures[: across * across]).clip(-1, 1)):
        top, left = k // across * (height + 1) + margin, k % across * (width + 1) + margin
        page[top : top + height, left : left + width] = picture
    return page


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
