"""The letters of all figures: how wide they are, and their shapes as a font for a page or a file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from functools import cache

from fontTools import subset
from matplotlib.font_manager import findfont, get_font

FONT = "DejaVu Sans"  # comes with matplotlib


@cache
def _advance(letter: str) -> float:
    """How wide a letter is, in ems."""
    face = get_font(findfont(FONT))
    if not face.get_char_index(ord(letter)):
        return 1.0  # another font shows it, as wide as high
    face.set_size(100, 72)
    return float(face.load_char(ord(letter)).linearHoriAdvance) / 65536 / 100


def width_of(text: str, size: float) -> float:
    """How wide a line of text is, in points."""
    return size * sum(map(_advance, text))


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
