"""A matplotlib figure as an SVG element for an HTML page: small, the same bytes for the same content.

Letters stay text, which is small and can be searched and copied; the page carries the letters' shapes once, as a font,
so that a figure looks the same on every machine. Ids are made the figure's own, for all figures share one page.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import groupby
from typing import Any
from xml.etree import ElementTree

import matplotlib
import matplotlib.style
import seaborn
from fontTools import subset
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from PIL import Image

FONT = "DejaVu Sans"  # comes with matplotlib
FAMILY = f"'{FONT}',sans-serif"
STYLE = (
    seaborn.axes_style("ticks")
    | seaborn.plotting_context("paper")
    | {"font.family": "sans-serif", "font.sans-serif": [FONT], "mathtext.fontset": "dejavusans"}
    | {"svg.fonttype": "none", "svg.hashsalt": "bench", "figure.facecolor": "none", "axes.facecolor": "none"}
    | {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}
    | {
        "axes.grid": True,
        "grid.color": "#e4e4e0",
        "grid.linewidth": 0.6,
    }
    | {"path.simplify_threshold": 0.4}
)
DPI = 120  # of what is not drawn as lines
COLOURS = 10  # of a picture that is not small
SMALL = 1500  # bytes

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_PNG = "data:image/png;base64,"


@contextmanager
def styled() -> Iterator[None]:
    """The style alone decides, whatever the user's own settings; a name may hold letters that the font lacks."""
    with warnings.catch_warnings(), matplotlib.style.context(["default", STYLE]):
        warnings.filterwarnings("ignore", message="Glyph")
        yield


@styled()
def svg(figure: Figure, title: str) -> str:
    """The figure as text; ``title`` tells those who do not see it what it shows."""
    sink = io.BytesIO()
    figure.set_dpi(DPI)
    if any(axes.get_aspect() != "auto" for axes in figure.axes):
        figure.draw_without_rendering()  # panels of a fixed shape find their place at the second attempt
    canvas: Any = FigureCanvasSVG(figure)
    canvas.print_svg(sink, metadata={"Date": None})  # draws once, where savefig draws twice
    root = ElementTree.fromstring(sink.getvalue())
    key = f"f{sha256(title.encode()).hexdigest()[:5]}"
    used = dict.fromkeys(re.findall(r'(?:href="#|url\(#)([^")]+)', sink.getvalue().decode()))
    names = {name: f"{key}-{i}" for i, name in enumerate(used)}
    axes = {id(element) for element in root.iter() if element.get("id", "").startswith("matplotlib.axis")}
    for element in root.iter():
        _tidy(element, names)
    _flatten(root, axes)
    for element in root.iter(f"{_SVG}path"):
        if not _marker(element):
            element.set("d", _relative(element.get("d", "")))
    root.attrib |= {"role": "img", "aria-label": title}
    root.set("style", f"stroke-linejoin:round;stroke-linecap:butt;font-family:{FAMILY}")
    heading = ElementTree.Element(f"{_SVG}title")
    heading.text = title
    root.insert(0, heading)
    ElementTree.register_namespace("", _SVG[1:-1])
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")


def _flatten(element: ElementTree.Element, axes: set[int]) -> None:
    """Without groups that say nothing, metadata and empty parts; neighbours of one style say it once, on a group.

    The parts of an axis (``axes`` holds their groups' identities) do not overlap: they are put side by side by style.
    """
    flat: list[ElementTree.Element] = []
    for child in list(element):
        _flatten(child, axes)
        empty = child.tag in (f"{_SVG}g", f"{_SVG}defs") and not len(child)
        if not empty and child.tag not in (f"{_SVG}metadata", f"{_SVG}style"):
            flat += list(child) if child.tag == f"{_SVG}g" and not child.attrib else [child]
    for child in list(element):
        element.remove(child)
    if id(element) in axes:
        flat.sort(key=lambda child: (child.tag, child.get("style", ""), child.get("clip-path", "")))
    for (tag, style, _), run in groupby(flat, key=_kind):
        alike = list(run)
        if tag == "path" and len(alike) > 1:
            alike[0].set("d", " ".join(child.get("d", "") for child in alike))
            del alike[1:]
        elif tag and style is not None and len(alike) > 1:
            for child in alike:
                del child.attrib["style"]
            group = ElementTree.Element(f"{_SVG}g", style=style)
            group.extend(alike)
            alike = [group]
        element.extend(alike)


def _kind(child: ElementTree.Element) -> tuple[str, str | None, str | None]:
    """What can stand in one group or, of plain lines, be one path; for all else a kind that groups nothing."""
    tag, style = child.tag.removeprefix(_SVG), child.get("style")
    lines = tag == "path" and "fill:none" in (style or "") and "opacity" not in (style or "")
    if lines and child.attrib.keys() <= {"d", "style", "clip-path"} and re.fullmatch(r"[ML\d. -]+", child.get("d", "")):
        return tag, style, child.get("clip-path")
    return (tag, style, None) if tag in ("use", "text") else ("", None, None)


def _marker(element: ElementTree.Element) -> bool:
    """Whether it is a marker's shape: small, and used in many places."""
    return "id" in element.attrib and not re.search(r"\d\d[. ]", element.get("d", ""))


def _tidy(element: ElementTree.Element, names: dict[str, str]) -> None:
    """Own ids, no more digits than are seen, smaller pictures, no white space; the element is changed."""
    given = element.attrib
    small = given.get("id") in names and _marker(element)
    if given.get("id") in names:
        given["id"] = names[given["id"]]
    else:
        given.pop("id", None)
    if _HREF in given:
        link = given.pop(_HREF)
        given["href"] = f"#{names[link[1:]]}" if link.startswith("#") else _smaller(link)
    for name in given.keys() & {"d", "x", "y"}:
        short = re.sub(r"-?\d+\.\d+", lambda found: f"{round(float(found[0]), 2 if small else 1):g}", given[name])
        given[name] = " ".join(short.split())
    if given.get("transform", "").startswith("rotate(-0 "):
        del given["transform"]
    if "clip-path" in given:
        given["clip-path"] = re.sub(r"#([^)]+)", lambda found: f"#{names[found[1]]}", given["clip-path"])
    if "style" in given:
        given["style"] = re.sub(r"(?<=[:;,]) |font-family:[^;]*(;|$)", "", given["style"])
    if element.text is not None and not element.text.strip():
        element.text = None
    element.tail = None


def _relative(path: str) -> str:
    """A path of straight lines, in tenths, each point relative to the one before: half as long."""
    if not re.fullmatch(r"[ML\d. -]+z?", path):
        return path
    written, at = [], (0, 0)
    for kind, *point in re.findall(r"([ML]) (\S+) (\S+)", path):
        to = (round(float(point[0]) * 10), round(float(point[1]) * 10))
        written += ["m" if kind == "M" else "", _tenths(to[0] - at[0]), _tenths(to[1] - at[1])]  # lines follow unsaid
        at = to
    return "".join(written).replace("m ", "m") + "z" * path.endswith("z")


def _tenths(count: int) -> str:
    """A number that needs no other separator before it."""
    text = f"{abs(count) / 10:g}".removeprefix("0") or "0"
    return f"-{text}" if count < 0 else f" {text}"


def _smaller(link: str) -> str:
    """A picture with few colours."""
    content = base64.b64decode(link.removeprefix(_PNG))
    if len(content) < SMALL:
        return "".join(link.split())
    sink = io.BytesIO()
    with Image.open(io.BytesIO(content)) as picture:
        few = picture.convert("RGBA").quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(sink, format="png", optimize=True)
    return _PNG + base64.b64encode(sink.getvalue()).decode()


def font(texts: Iterable[str]) -> str:
    """The shapes of the texts' letters as a data URI, for a page's style sheet to call `FONT`."""
    options = subset.Options(layout_features=["kern"], hinting=False)
    options.drop_tables += ["FFTM"]  # when it was made; the subsetter would only warn of it
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(sorted(set().union(*texts))))
    sink = io.BytesIO()
    with subset.load_font(findfont(FONT), options) as face:
        subsetter.subset(face)
        face.flavor = "woff"
        face.save(sink)
    return f"data:font/woff;base64,{base64.b64encode(sink.getvalue()).decode()}"


def standalone(drawn: str, face: str) -> bytes:
    """An SVG element of `svg` as a file: on white, with its letters' shapes (`font`): it looks the same anywhere."""
    shapes = f"@font-face{{font-family:'{FONT}';src:url({face})}}"
    head, title, rest = drawn.partition("<title>")
    head = head.replace('style="', 'style="background:#fff;', 1)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}<style>{shapes}</style>{title}{rest}\n'.encode()


@styled()
def pdf(figure: Figure, title: str) -> bytes:
    """A figure that `svg` has drawn as a PDF file: everything stands where it stands there, letters are text."""
    sink = io.BytesIO()
    figure.set_layout_engine("none")  # a second attempt would move things a little
    canvas: Any = FigureCanvasPdf(figure)
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        canvas.print_pdf(sink, metadata={"CreationDate": None, "Title": title, "Creator": None, "Producer": None})
    return sink.getvalue()
