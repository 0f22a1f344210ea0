"""The format that figures are drawn in, their width and letters: the page's by default, a paper's where one is asked.

A figure for a column is drawn at its width, so that its letters are as large as the text around it; one that is made
for a page and shrunk afterwards is not legible.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import seaborn
from matplotlib.font_manager import fontManager

from bench.errors import UserError, nearest

UNITS = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72.27}
"""A unit of length -> inches; the point is TeX's."""
NARROWEST, WIDEST = 1.5, 40.0  # inches
GENERIC = {
    "sans-serif": ("DejaVu Sans",),
    "serif": ("STIXGeneral", "DejaVu Serif"),  # the first has the shapes of Times, and ships with matplotlib
    "monospace": ("DejaVu Sans Mono",),
}
MATHS = {"serif": "stix"}
PAGE_WIDTH, PAGE_FULL = 5.4, 11.0  # inches of a figure beside another, and of one that spans the page
COLUMN = 3.25  # inches, at which letters are SMALL of the page's
SMALL = 0.84


@dataclass(frozen=True)
class Format:
    """How figures are drawn.

    Args:
        width: inches; None for the page's, where a wide figure is wider.
        font: ``serif``, ``sans-serif``, ``monospace``, or an installed family.
    """

    width: float | None = None
    font: str = "sans-serif"

    @property
    def panel(self) -> float:
        """Inches of a usual figure."""
        return PAGE_WIDTH if self.width is None else self.width

    @property
    def full(self) -> float:
        """Inches of a wide figure."""
        return PAGE_FULL if self.width is None else self.width

    @property
    def share(self) -> float:
        """The width of a usual figure as a share of the page's; 1 for a wider one."""
        return min(1.0, self.panel / PAGE_WIDTH)

    @property
    def letters(self) -> float:
        """The size of letters as a share of the page's."""
        return min(1.0, max(0.7, 1 - (1 - SMALL) * (PAGE_WIDTH - self.panel) / (PAGE_WIDTH - COLUMN)))

    def most(self, count: int) -> int:
        """How many letters there is room for, where the page has room for ``count``."""
        return max(10, round(count * self.share / self.letters))

    @property
    def families(self) -> tuple[str, ...]:
        return GENERIC.get(self.font, (self.font, *GENERIC["sans-serif"]))

    @property
    def rc(self) -> dict[str, Any]:
        """matplotlib's settings."""
        generic = self.font if self.font in GENERIC else "sans-serif"
        fonts: dict[str, Any] = {"font.family": [*self.families, generic]}  # a list, so that each letter has a font
        fonts["mathtext.fontset"] = MATHS.get(self.font, "dejavusans")
        return seaborn.plotting_context("paper", font_scale=self.letters) | fonts if self != PAGE else {}


PAGE = Format()
_CURRENT: ContextVar[Format] = ContextVar("format", default=PAGE)


def current() -> Format:
    """The format that figures are drawn in now."""
    return _CURRENT.get()


@contextmanager
def formatted(chosen: Format) -> Iterator[None]:
    """Draw and save figures in this format."""
    token = _CURRENT.set(chosen)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def format_of(width: str = "", font: str = "") -> Format:
    """The format of a command's options; UserError for a length or a font that is none.

    Args:
        width: a length with its unit, ``3.25in``, ``8cm``, ``84mm``, ``240pt``; "" for the page's.
        font: ``serif``, ``sans-serif``, ``monospace``, an installed family; "" for the page's.
    """
    return Format(_inches(width) if width else None, _font(font) if font else PAGE.font)


def _inches(width: str) -> float:
    units = ", ".join(UNITS)
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]+)\s*", width)
    if not match or match[2] not in UNITS:
        raise UserError(f"--width is {width!r}; a length with its unit ({units}) is allowed, e.g. 3.25in")
    inches = float(match[1]) * UNITS[match[2]]
    if not NARROWEST <= inches <= WIDEST:
        raise UserError(f"--width is {width!r}; {NARROWEST:g}in to {WIDEST:g}in is allowed")
    return inches


def _font(font: str) -> str:
    if font in GENERIC:
        return font
    installed = {name.lower(): name for name in fontManager.get_font_names()}
    if font.lower() not in installed:
        close = nearest(font, [*GENERIC, *installed.values()])
        generic = f"{', '.join(GENERIC)} or an installed family is allowed"
        raise UserError(f"--font is {font!r}; {generic}" + (f"; {close}" if close.startswith("did") else ""))
    return installed[font.lower()]
