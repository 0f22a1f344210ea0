"""A matplotlib figure as SVG and PDF: the same bytes for the same content, whatever the user's settings.

Text stays text, so it can be searched, copied and edited. The gid of an artist, which is the key of its rule, becomes
the class of its group; a page hides a rule by this class.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any
from xml.etree import ElementTree

import matplotlib
import matplotlib.style
import seaborn
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from bench.report.figures.formats import current

DOTS = 300  # of a PNG, an inch
FAMILY = "'DejaVu Sans', sans-serif"
FALLBACK = "'DejaVu Sans', Verdana, sans-serif"  # Verdana has the widths of DejaVu Sans, which not every machine has
STYLE: dict[str, Any] = (
    seaborn.axes_style("ticks")
    | seaborn.plotting_context("paper")
    | {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "mathtext.fontset": "dejavusans"}
    | {"svg.fonttype": "none", "pdf.fonttype": 42, "figure.facecolor": "white", "axes.facecolor": "none"}
    | {"axes.spines.top": False, "axes.spines.right": False}
    | {"axes.grid": True, "grid.color": "#e4e4e0", "grid.linewidth": 0.6}
    | {"savefig.pad_inches": 0.04, "savefig.dpi": 120, "path.simplify_threshold": 0.3}
    | {"figure.constrained_layout.h_pad": 0.03, "figure.constrained_layout.w_pad": 0.03}
)

LEGIBLE = 0.95  # of its own size, to which a figure may shrink: 8 points are then ten pixels

_RULE = re.compile(r' id="(r\d+)(?:-(faint))?"')
_FINE = re.compile(r"(\.\d)\d+")


@contextmanager
def styled() -> Iterator[None]:
    """Apply only this style, whatever the user's settings; no warning for characters that the font lacks."""
    with warnings.catch_warnings(), matplotlib.style.context(["default", STYLE | current().rc]):
        warnings.filterwarnings("ignore", message="Glyph")
        yield


@styled()
def svg(figure: Figure, title: str) -> str:
    """The text of an SVG file of the figure; ``title`` describes it for readers who do not see it."""
    sink = io.StringIO()
    metadata = {"Title": title, "Creator": None, "Date": None}
    with matplotlib.rc_context({"svg.hashsalt": title}):
        figure.savefig(sink, format="svg", bbox_inches=_box(figure), metadata=metadata)
    return _RULE.sub(_classes, sink.getvalue()).replace(FAMILY, FALLBACK)


def _classes(found: re.Match[str]) -> str:
    """The classes of a rule's part of a figure."""
    return f' class="{" ".join(filter(None, found.groups()))}"'


@styled()
def png(figure: Figure, _: str, dots: float = DOTS) -> bytes:
    """The bytes of a PNG file of the figure, for what takes no other."""
    sink = io.BytesIO()
    figure.savefig(sink, format="png", bbox_inches=_box(figure), dpi=dots, metadata={"Software": None})
    return sink.getvalue()


@styled()
def pdf(figure: Figure, title: str) -> bytes:
    """The bytes of a PDF file of the figure, with text as text."""
    sink = io.BytesIO()
    metadata = {"Title": title, "Creator": None, "Producer": None, "CreationDate": None}
    figure.savefig(sink, format="pdf", bbox_inches=_box(figure), metadata=metadata)
    return sink.getvalue()


def _box(figure: Figure) -> Any:
    """The visible part: tight around all artists, but the whole figure if it has a legend, which would move.

    In a format with a width of its own, all of the width, and as much of the height as is not empty.
    """
    if figure.legends:
        return None
    if current().width is None:
        return "tight"
    figure.draw_without_rendering()
    around, margin = figure.get_tightbbox(), float(matplotlib.rcParams["savefig.pad_inches"])
    return Bbox([[0, around.y0 - margin], [figure.get_figwidth(), around.y1 + margin]])


def key(title: str) -> str:
    """The id of a figure's caption on a page."""
    return f"f{sha256(title.encode()).hexdigest()[:5]}"


def inline(svg_text: str, title: str, legend: float = 0.0) -> str:
    """The text of `svg` as an element of an HTML page; the page has its caption in an element with the id of `key`.

    A page has many figures, so unused ids are removed; the others differ from figure to figure. Attributes without
    effect are removed and coordinates cut to a tenth of a point, which halves the size. Letters are never smaller than
    ten pixels: on a narrow screen a figure scrolls.

    Args:
        svg_text: what `svg` gave.
        title: of the figure.
        legend: points from the top that its legend takes, which is left out: a page has one for all figures.
    """
    root = ElementTree.fromstring(svg_text)
    if legend:
        _cut_legend(root, legend)
    used = set(re.findall(r'href="#([^"]+)"', svg_text)) | set(re.findall(r"url\(#([^)]+)\)", svg_text))
    for part in [part for part in root if part.tag.endswith(("}metadata", "}title"))]:
        root.remove(part)
    _lean(root, used)
    size = {name: root.attrib[name] for name in ("width", "height", "viewBox")}
    least = LEGIBLE * float(size["width"].removesuffix("pt")) * 4 / 3
    style = f"font-family:{FALLBACK};min-width:{least:.0f}px"
    root.attrib = size | {"role": "img", "aria-labelledby": key(title), "style": style}
    return ElementTree.tostring(root, encoding="unicode")


def _cut_legend(root: ElementTree.Element, height: float) -> None:
    """Remove the legend, and as much of the top of the figure."""
    for parent in list(root.iter()):
        for child in [child for child in parent if child.get("id") == "legend_1"]:
            parent.remove(child)
    x, y, width, tall = map(float, root.attrib["viewBox"].split())
    root.attrib |= {"viewBox": f"{x:g} {y + height:g} {width:g} {tall - height:g}", "height": f"{tall - height:g}pt"}


def _lean(part: ElementTree.Element, used: set[str]) -> None:
    """Remove what is not needed from an element and its descendants."""
    part.tag = part.tag.rpartition("}")[2]
    part.attrib = {
        name.rpartition("}")[2]: value for name, value in part.attrib.items() if _is_needed(name, value, used)
    }
    for name in part.attrib.keys() & {"d", "x", "y"}:
        part.set(name, _short(part.attrib[name]))
    if "style" in part.attrib:
        part.set("style", re.sub("(?<=[:;]) ", "", part.attrib["style"].replace(f" font-family: {FALLBACK};", "")))
    part.tail = None
    if part.tag in ("text", "tspan"):
        return
    part.text, inner = None, []
    for child in part:
        _lean(child, used)
        bare = child.tag == "g" and not child.attrib
        inner += list(child) if bare else [] if child.tag == "style" else [child]
    part[:] = inner
    styles = {child.get("style", "") for child in part}
    if part.tag == "g" and len(part) > 1 and len(styles) == 1 and {child.tag for child in part} == {"use"}:
        part.set("style", styles.pop())  # once for all marks of a line
        for child in part:
            child.attrib.pop("style", None)


def _short(points: str) -> str:
    """Coordinates with fewer digits, and without repeated L commands."""
    cut = " ".join(_FINE.sub(r"\1", points).split())
    return cut if "C" in cut or "Q" in cut else cut.replace(" L ", " ")


def _is_needed(name: str, value: str, used: set[str]) -> bool:
    """Whether an attribute has an effect."""
    return not (name == "id" and value not in used) and not (name == "transform" and value.startswith("rotate(-0 "))
