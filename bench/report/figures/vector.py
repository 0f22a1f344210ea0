"""What matplotlib draws on to become a small SVG: tenths of a point in whole numbers, marks of one kind in one path.

A mark's shape stands once, as an SVG marker that a path without a line calls at each of its points. Neighbours of one
style become one path, and what lies inside its panel is not clipped. What an artist is of (its gid) becomes the class
of a group, so that a page may hide it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import rgb2hex
from matplotlib.path import Path
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray
from PIL import Image

from bench.report.figures.letters import width_of
from bench.report.figures.strokes import STRAIGHT, UNIT, Whole, line, pair, shape_of, step, walk

DPI = 120  # of what is not drawn as lines
COLOURS = 10  # of a picture that is not small
SMALL = 1500  # bytes
ASCENT, DESCENT = 0.76, 0.21  # of l and p, in ems
FINE = 0.3  # points by which a line may pass a corner that is left out
FAR = 1e6  # what is farther away is drawn there: no picture shows it
LARGE = 20  # points beyond which a shape is no mark, but a band, say

Place = tuple[int, int]


class Item(NamedTuple):
    """Something drawn: of what it is, what clips it, its kind, its style, what is written."""

    of: str
    clip: tuple[int, int, int, int] | None
    kind: str
    style: str
    text: str


class Vector(RendererBase):
    """Gathers what is drawn; `body` is the inside of an SVG element of this size in points."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__()
        self.width, self.height = width, height
        self.items: list[Item] = []
        self.shapes: dict[str, str] = {}
        self.groups: list[tuple[str, str, int]] = []

    # --- what matplotlib asks for ------------------------------------------------------------------------------------

    def flipy(self) -> bool:
        return True

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self.width, self.height

    def get_image_magnification(self) -> float:
        return DPI / 72

    def get_text_width_height_descent(self, s: str, prop: Any, ismath: Any) -> tuple[float, float, float]:
        size = prop.get_size_in_points()
        return width_of(s, size), (ASCENT + DESCENT) * size, DESCENT * size

    def open_group(self, s: str, gid: str | None = None) -> None:
        self.groups.append((s, gid or (self.groups[-1][1] if self.groups else ""), len(self.items)))

    def close_group(self, s: str) -> None:
        what, first = "", 0
        while what != s:  # a text that stands nowhere never closes its own
            what, _, first = self.groups.pop()
        if what.startswith("matplotlib.axis"):  # its parts do not overlap: they are put side by side by style
            self.items[first:] = sorted(self.items[first:], key=lambda item: (item.of, item.kind, item.style))

    def draw_path(self, gc: Any, path: Any, transform: Any, rgbFace: Any = None) -> None:
        style = _style(gc, rgbFace)
        filled = rgbFace is not None and (len(rgbFace) < 4 or rgbFace[3] > 0)
        if not filled and "stroke:" not in style:
            return
        if (found := self._circle(path, transform)) is not None:
            self._add(gc, found[1], "path", style, found[0])
            return
        reach = gc.get_linewidth() + 1
        window = None if filled else (-reach, -reach, self.width + reach, self.height + reach)
        straight = path.codes is None or bool(np.isin(path.codes, STRAIGHT).all())
        few = straight and not (filled and "stroke:" in style)  # the edge of a filled shape must close
        clean = path.cleaned(transform=transform, remove_nans=True, clip=window, simplify=few, curves=True)
        codes, at = clean.codes, self._places(clean.vertices)
        text = line(codes, at)
        if text:
            self._add(gc, at[codes != Path.STOP], "path" if filled or "opacity" in style else "line", style, text)

    def draw_markers(self, gc: Any, marker_path: Any, marker_trans: Any, path: Any, trans: Any,
                     rgbFace: Any = None) -> None:  # fmt: skip
        points = np.array([vertices[-2:] for vertices, _ in path.iter_segments(trans, simplify=False)])
        points = points.reshape(-1, 2)[np.isfinite(points.reshape(-1, 2)).all(axis=1)]
        if not len(points):
            return
        shape = marker_trans.transform_path(marker_path)
        open_ended = shape.codes is not None and Path.CLOSEPOLY not in shape.codes
        rgbFace = None if open_ended else rgbFace
        if len(shape.vertices) > 2 and (len(points) == 1 or float(np.abs(shape.vertices).max()) > LARGE):
            for point in points:
                self.draw_path(gc, shape, Affine2D().translate(*point), rgbFace)
            return
        at, style = self._places(points), _style(gc, rgbFace)
        if len(shape.vertices) == 2:  # a tick: shorter as it is
            (x, y), way = np.rint(shape.vertices[0] * [UNIT, -UNIT]).astype(int), shape.vertices[1] - shape.vertices[0]
            across = "".join(step(*np.rint(way * [UNIT, -UNIT]).astype(int).tolist()))
            self._add(gc, at, "line", style, "".join(f"M{pair(a + x, b + y)}{across}" for a, b in at.tolist()))
            return
        content = f"<{shape_of(shape)}{_styled(style)}/>"
        name = f"m{sha256(content.encode()).hexdigest()[:8]}"
        self.shapes[name] = content
        reach = UNIT * (float(np.abs(shape.vertices).max()) + gc.get_linewidth() / 2)
        self._add(gc, at, "marks", f"marker:url(#{name})", walk(at.tolist()), reach)

    def draw_image(self, gc: Any, x: float, y: float, im: Any, transform: Any = None) -> None:
        height, width = (side * 72 / DPI for side in im.shape[:2])
        left, top, wide, tall = np.rint(np.array([x, self.height - y - height, width, height]) * UNIT).astype(int)
        where = f'x="{left}" y="{top}" width="{wide}" height="{tall}"'
        ends = np.array([[left, top], [left + wide, top + tall]])
        self._add(gc, ends, "image", "", f'{where} href="{_picture(im)}"')

    def draw_text(self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = False,
                  mtext: Any = None) -> None:  # fmt: skip
        anchor = "left"
        if mtext is not None and angle == 0:
            anchor, x = mtext.get_ha(), mtext.get_transform().transform(mtext.get_unitless_position())[0]
        left, top = round(x * UNIT), round(y * UNIT)
        turned = f' transform="translate({left} {top})rotate({-angle:g})"' if angle else f' x="{left}" y="{top}"'
        style = {"font-size": f"{prop.get_size_in_points() * UNIT:.0f}px", "fill": rgb2hex(gc.get_rgb())}
        style |= {"text-anchor": {"center": "middle", "right": "end"}[anchor]} if anchor != "left" else {}
        self._add(gc, None, "text", ";".join(f"{k}:{v}" for k, v in style.items()), f"{turned}>{escape(s)}")

    # --- what is kept ------------------------------------------------------------------------------------------------

    def _places(self, vertices: Any) -> Whole:
        """Points [N, 2] in whole units, y running down."""
        units = (np.asarray(vertices) * [1, -1] + [0, self.height]) * UNIT
        whole: Whole = np.rint(units.clip(-FAR, FAR)).astype(np.int64)
        return whole

    def _circle(self, path: Any, transform: Any) -> tuple[str, Whole] | None:
        """A circle in two arcs, and its corners; None for what is none."""
        if path.codes is None or len(path.codes) != 26 or (path.codes[1:25] != Path.CURVE4).any():
            return None
        at = transform.transform(path.vertices[:25])
        low, high = at.min(axis=0), at.max(axis=0)
        if abs(np.ptp(high - low)) > 0.01:
            return None
        ends = self._places([[low[0], high[1]], [high[0], low[1]]])
        size = int(ends[1, 0] - ends[0, 0])
        radius = size / 2  # to the digit: two arcs of a larger circle would be a lens
        start = pair(int(ends[0, 0]), int(ends[:, 1].sum() // 2))
        return f"M{start}a{radius:g} {radius:g} 0 1 0 {size} 0 {radius:g} {radius:g} 0 1 0-{size} 0z", ends

    def _add(self, gc: Any, at: Whole | None, kind: str, style: str, text: str, reach: float = -2) -> None:
        """Keep something drawn that reaches so far around its points, clipped only if it leaves what clips it."""
        window, clip = gc.get_clip_rectangle(), None
        if window is not None and at is not None:
            low, high = self._places([[window.x0, window.y1], [window.x1, window.y0]])
            inside = (at - reach >= low).all() and (at + reach <= high).all()
            clip = None if inside else (*low.tolist(), *(high - low).tolist())
        self.items.append(Item(self.groups[-1][1] if self.groups else "", clip, kind, style, text))

    def body(self, key: str) -> str:
        """All that was drawn, in its order; ``key`` begins the names of what no other drawing has."""
        parts: list[str] = []
        clips: dict[tuple[int, int, int, int], str] = {}
        for (of, clip), run in groupby(self.items, key=lambda item: (item.of, item.clip)):
            inner = list(_merged(run))
            attributes = f' class="{of}"' if of else ""
            if clip is not None:
                name = clips.setdefault(clip, f"{key}-{len(clips)}")
                attributes += f' clip-path="url(#{name})"'
            parts += inner if not attributes else [f"<g{attributes}>{''.join(inner)}</g>"]
        defined = [f'<clipPath id="{name}"><rect x="{x}" y="{y}" width="{wide}" height="{tall}"/></clipPath>'
                   for (x, y, wide, tall), name in clips.items()]  # fmt: skip
        marks = [marker(name, shape) for name, shape in self.shapes.items()]
        return f"<defs>{''.join(marks + defined)}</defs>{''.join(parts)}" if marks or defined else "".join(parts)


def marker(name: str, shape: str) -> str:
    """A shape to be called at points."""
    return f'<marker id="{name}" overflow="visible" markerUnits="userSpaceOnUse">{shape}</marker>'


def _merged(run: Iterator[Item]) -> Iterator[str]:
    """Elements; neighbouring lines and marks of one style are one path."""
    for (kind, style), alike in groupby(run, key=lambda item: (item.kind, item.style)):
        texts = [item.text for item in alike]
        if kind in ("line", "marks"):
            texts = ["".join(texts)]
        for text in texts:
            if kind == "text":
                yield f"<text{_styled(style)}{text}</text>"
            elif kind == "image":
                yield f"<image {text}/>"
            else:
                yield f'<path{_styled(style)} d="{text}"/>'


def _styled(style: str) -> str:
    return f' style="{style}"' if style else ""


def _style(gc: Any, face: Any) -> str:
    """Fill and stroke; what is not said is what an SVG element of `svg` begins with: no fill, round joins."""
    found: dict[str, str] = {}
    forced = gc.get_alpha() if gc.get_forced_alpha() else None
    if face is not None and (len(face) < 4 or face[3] > 0):
        found["fill"] = rgb2hex(face)
        alpha = face[3] if forced is None and len(face) == 4 else 1.0 if forced is None else forced
        found |= {"fill-opacity": f"{alpha:.2g}"} if alpha != 1 else {}
    width, colour = gc.get_linewidth() * UNIT, gc.get_rgb()
    alpha = colour[3] if forced is None else forced
    if width and alpha:
        found |= {"stroke": rgb2hex(colour), "stroke-width": f"{width:.3g}"}
        found |= {"stroke-opacity": f"{alpha:.2g}"} if alpha != 1 else {}
        _, dashes = gc.get_dashes()
        found |= {} if dashes is None else {"stroke-dasharray": ",".join(f"{part * UNIT:.3g}" for part in dashes)}
        cap = {"projecting": "square"}.get(gc.get_capstyle(), gc.get_capstyle())
        found |= {"stroke-linecap": cap} if cap != "butt" else {}
    return ";".join(f"{name}:{value}" for name, value in found.items())


def _picture(pixels: NDArray[np.uint8]) -> str:
    """Pixels [height, width, 4], the lowest row first, as a data URI; in few colours where they are many pixels."""
    picture, sink = Image.fromarray(np.ascontiguousarray(pixels[::-1])), io.BytesIO()
    picture.save(sink, format="png")
    if len(sink.getvalue()) >= SMALL:
        few = picture.convert("RGBA").quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        sink = io.BytesIO()
        few.save(sink, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(sink.getvalue()).decode()}"
