"""A matplotlib figure as an SVG element for an HTML page: small, the same bytes for the same content.

Letters stay text, which is small and can be searched and copied; the page carries the letters' shapes once, as a font,
so that a figure looks the same on every machine. Ids are made the figure's own, for all figures share one page.
"""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import matplotlib
import matplotlib.style
import seaborn
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from bench.report.figures.layout import arrange
from bench.report.figures.letters import FONT
from bench.report.figures.strokes import UNIT
from bench.report.figures.vector import DPI, FINE, Vector

FAMILY = f"'{FONT}',sans-serif"
STYLE = (
    seaborn.axes_style("ticks")
    | seaborn.plotting_context("paper")
    | {"font.family": "sans-serif", "font.sans-serif": [FONT], "mathtext.fontset": "dejavusans"}
    | {"svg.fonttype": "none", "svg.hashsalt": "bench", "figure.facecolor": "none", "axes.facecolor": "none"}
    | {"axes.spines.top": False, "axes.spines.right": False, "axes.titley": 1.0}
    | {
        "axes.grid": True,
        "grid.color": "#e4e4e0",
        "grid.linewidth": 0.6,
    }
    | {"path.simplify_threshold": FINE}
    | dict(zip([f"figure.subplot.{side}" for side in ("left", "bottom", "right", "top")], (0, 0, 1, 1), strict=True))
)
ROOT = f"fill:none;stroke-linejoin:round;font-family:{FAMILY}"


_SHAPE = re.compile(r'<marker id="(\w+)".*?</marker>')
_STYLE = re.compile(r' style="([^"]*)"')
_TITLE = re.compile(r"<title>.*?</title>", re.DOTALL)


@contextmanager
def styled() -> Iterator[None]:
    """The style alone decides, whatever the user's own settings; a name may hold letters that the font lacks."""
    with warnings.catch_warnings(), matplotlib.style.context(["default", STYLE]):
        warnings.filterwarnings("ignore", message="Glyph")
        yield


@styled()
def svg(figure: Figure, title: str) -> str:
    """The figure as text; ``title`` tells those who do not see it what it shows."""
    figure.set_dpi(72)  # a point is a point
    arrange(figure)
    inches = figure.get_size_inches()
    wide, tall = (float(side) * 72 for side in inches)
    drawn = Vector(wide, tall)
    mixed: Any = MixedModeRenderer
    figure.draw(mixed(figure, *inches, DPI, drawn))
    words = escape(title, {'"': "&quot;"})
    size = f'width="{wide:g}pt" height="{tall:g}pt" viewBox="0 0 {wide * UNIT:.0f} {tall * UNIT:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{words}" style="{ROOT}">'
    return f"{head}<title>{words}</title>{drawn.body(key(title))}</svg>"


def key(title: str) -> str:
    """What begins the names of a figure's own parts, and names its caption on a page."""
    return f"f{sha256(title.encode()).hexdigest()[:5]}"


class Shared(NamedTuple):
    """Figures of one page: what many of them say alike is said once, in its style sheet and in one hidden element."""

    style: str
    shapes: str
    figures: dict[str, str]


def shared(drawn: Mapping[str, str]) -> Shared:
    """SVG elements of `svg` by their titles, for a page that has the title as a caption, an element of `key`'s id."""
    shapes: dict[str, str] = {}
    for figure in drawn.values():
        shapes |= {found[1]: found[0] for found in _SHAPE.finditer(figure)}
    bare = [_bare(figure, title) for title, figure in drawn.items()]
    marks = "".join(shapes.values())
    often = Counter(style for text in [marks, *bare] for style in _STYLE.findall(text))
    names = {style: f"s{i}" for i, (style, count) in enumerate(often.most_common()) if count > 1}

    def called(found: re.Match[str]) -> str:
        return f' class="{names[found[1]]}"' if found[1] in names else found[0]

    rules = "".join(f".{name}{{{style}}}\n" for style, name in names.items())
    marks, *bare = [_STYLE.sub(called, text) for text in [marks, *bare]]
    hidden = (
        f'<svg width="0" height="0" style="position:absolute;{ROOT}" aria-hidden="true">{marks}</svg>' if marks else ""
    )
    return Shared(rules, hidden, dict(zip(drawn, bare, strict=True)))


def _bare(figure: str, title: str) -> str:
    """A figure without its shapes, its title said by its caption."""
    named = _TITLE.sub("", re.sub(' aria-label="[^"]*"', f' aria-labelledby="{key(title)}"', figure, count=1), count=1)
    return _SHAPE.sub("", named).replace("<defs></defs>", "")


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
    canvas: Any = FigureCanvasPdf(figure)
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        canvas.print_pdf(sink, metadata={"CreationDate": None, "Title": title, "Creator": None, "Producer": None})
    return sink.getvalue()
