"""Tables of text for a terminal of any width: rows wrap between the parts of a spelling, and no name is cut.

Names are text and never markup: a rule's brackets are no style, and ``./ring.py:Ring`` has no picture of a ring.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE = 160  # characters of a line where there is no terminal
LEAST = 12  # characters that a column of names keeps before other columns go
HEAD = 10  # characters of a line of a head that wraps
FRAME = 3  # characters that a column takes beside its text
PARTS = (r"(?<=[\[,;]) ?", r"(?<=[=/: ])")
"""Where a name may be broken, first choice first."""


@dataclass(frozen=True)
class Column:
    """A column: its head and its cells; ``goes`` says in which order columns go that do not fit, 0 for never.

    One that ``wraps`` holds names, which may take several lines.
    """

    head: str
    cells: tuple[str, ...]
    wraps: bool = False
    goes: int = 0

    @property
    def width(self) -> int:
        """The characters that it takes, without its frame."""
        return max(len(line) for text in (self.head, *self.cells) for line in text.split("\n"))


def console(width: int | None = None) -> Console:
    """A console that takes text as it is, as wide as the terminal."""
    wide = width or (None if Console().is_terminal else PIPE)
    return Console(width=wide, markup=False, emoji=False, highlight=False)


def fitted(columns: Sequence[Column], width: int) -> list[Column]:
    """The columns that fit into a width: heads wrap, then columns go, and the names share what the others leave."""
    kept = list(columns)
    if _taken(kept) > width:
        kept = [replace(one, head=_narrow(one.head)) for one in kept]
    for leaving in sorted((one for one in kept if one.goes), key=lambda one: one.goes):
        if _taken(kept) <= width or _room(kept, width) >= _needed(kept):
            break
        kept.remove(leaving)
    names = [one for one in kept if one.wraps]
    shares = _shares([one.width for one in names], _room(kept, width))
    given = {one.head: share for one, share in zip(names, shares, strict=True)}
    return [
        replace(one, cells=tuple("\n".join(wrapped(cell, given[one.head])) for cell in one.cells)) if one.wraps else one
        for one in kept
    ]


def _narrow(head: str) -> str:
    """A head in lines of its words; a percentage stays one."""
    return "\n".join(textwrap.wrap(head.replace(" %", "\N{NO-BREAK SPACE}%"), HEAD)).replace("\N{NO-BREAK SPACE}", " ")


def _taken(columns: Sequence[Column]) -> int:
    return sum(one.width + FRAME for one in columns) + 1


def _room(columns: Sequence[Column], width: int) -> int:
    """What the other columns leave to the text of those that wrap."""
    names = [one for one in columns if one.wraps]
    return width - _taken([one for one in columns if not one.wraps]) - FRAME * len(names)


def _needed(columns: Sequence[Column]) -> int:
    return sum(min(one.width, max(LEAST, len(one.head))) for one in columns if one.wraps)


def _shares(widths: Sequence[int], room: int) -> list[int]:
    """Widths that share a room: the narrow ones get all they need, the others as much as one another."""
    shares = list(widths)
    while sum(shares) > room and max(shares, default=0) > LEAST:
        shares[shares.index(max(shares))] -= 1
    return shares


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a name, each at most ``width`` characters, broken between its parts where that is possible."""
    lines = [""]
    for part in _parts(text, width, PARTS):
        if len((lines[-1] + part).strip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += part
    return [line.strip() for line in lines]


def _parts(text: str, width: int, patterns: Sequence[str]) -> list[str]:
    if len(text) <= width:
        return [text]
    if not patterns:
        return [text[start : start + width] for start in range(0, len(text), width)]
    starts = [0, *(found.end() for found in re.finditer(patterns[0], text) if found.end() < len(text)), len(text)]
    pieces = [text[start:end] for start, end in pairwise(starts)]
    return [part for piece in pieces for part in _parts(piece, width, patterns[1:])]


def drawn(columns: Sequence[Column], styles: Sequence[str], screen: Console) -> None:
    """Print a table of columns, a style for each row; what fits by no means is wider than the screen, and whole."""
    shown, table = fitted(columns, screen.width), Table()
    for one in shown:
        table.add_column(Text(one.head), justify="left" if one.wraps else "right", no_wrap=True)
    for row, style in enumerate(styles):
        table.add_row(*(Text(one.cells[row]) for one in shown), style=style)
    table.width = _taken(shown)
    screen.print(table, crop=False, width=max(screen.width, table.width))


def paragraphs(lines: Sequence[str], screen: Console) -> str:
    """Lines of words, broken between words where they are for a screen; elsewhere a line stays one."""
    if not screen.is_terminal and screen.width == PIPE:
        return "\n".join(lines)
    how: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    indents = [" " * (len(line) - len(line.lstrip()) + 2) for line in lines]
    return "\n".join(
        textwrap.fill(line, screen.width, subsequent_indent=indent, **how)
        for line, indent in zip(lines, indents, strict=True)
    )
