"""Samples of a moment as one square picture: images in rows, boxes of images that belong together, lines of text."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bench.analysis.statistics import Array

ACROSS = 6  # images along a side of a sheet
TYPE, LEADING = 11, 1.35  # pixels of a letter, and lines apart
APART = 2  # pixels between boxes
GREY = 0.72  # of the lines of a box, from black, 0, to white, 1


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


def across_groups(group: int) -> int:
    """How many images a row of boxes holds: as many whole groups as ``ACROSS`` has room for, at least one."""
    return max(group, ACROSS // group * group)


def sheet(pictures: Array, across: int, group: int = 1, line: float | None = None, margin: int = 1) -> Array:
    """A sheet [side, side, ...] of images [N, height, width, ...], ``across`` in each row, a pixel apart; 1 is ink.

    Grey images are shown as ink on paper, colour images unchanged. ``line`` is the value between the images and in the
    margin around them, by default white. Where ``group`` images belong together, they stand in a box of grey lines.
    """
    _, height, width, *planes = pictures.shape
    white = 1.0 if planes else -1.0
    shown = np.nan_to_num(pictures).clip(-1, 1)
    if group > 1:
        return _boxes(shown, group, max(1, across // group), margin)
    size = [across * (length + 1) - 1 + 2 * margin for length in (height, width)]
    page = np.full((*size, *planes), white if line is None else line)
    for k, picture in enumerate(shown[: across * across]):
        top, left = k // across * (height + 1) + margin, k % across * (width + 1) + margin
        page[top : top + height, left : left + width] = picture
    return page


def _boxes(pictures: Array, group: int, beside: int, margin: int) -> Array:
    """A square sheet with ``beside`` boxes in each row, each of ``group`` images side by side, in rows."""
    _, height, width, *planes = pictures.shape
    white, grey = (1.0, 2 * GREY - 1) if planes else (-1.0, 1 - 2 * GREY)
    tall, wide = height + 2 + APART, group * (width + 1) + 1 + APART
    rows = max(1, round(beside * wide / tall))
    side = max(rows * tall, beside * wide) - APART + 2 * margin
    page = np.full((side, side, *planes), white)
    first_top, first_left = ((side - count * step + APART) // 2 for count, step in ((rows, tall), (beside, wide)))
    for k in range(min(rows * beside, len(pictures) // group)):
        top, left = first_top + k // beside * tall, first_left + k % beside * wide
        page[top : top + height + 2, left : left + group * (width + 1) + 1] = grey
        for place, picture in enumerate(pictures[k * group : (k + 1) * group]):
            start = left + 1 + place * (width + 1)
            page[top + 1 : top + 1 + height, start : start + width] = picture
    return page
