"""The table for papers and READMEs: Markdown, LaTeX, CSV."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pandas as pd

from bench.analysis.formatting import number as typeset
from bench.analysis.table import to_csv
from bench.errors import UserError
from bench.report.columns import COLUMNS, Style, emphasised, interval
from bench.report.latex import latex

__all__ = ["FORMATS", "csv", "escape_markdown", "interval", "latex", "markdown", "number"]

number = partial(typeset, plain=True)
VALUES = ["iqm", "low", "high", "diverged", "errors", "untrainable", "n", "cost", "seconds", "hyperparameters"]
VALUES += ["not_learned", "collapsed"]


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its named columns, even if it has no row yet."""
    return table if len(table) else table.reindex(columns=["game", "optimizer", "metric", "better", "best", *VALUES])


USUAL = ("score", "diverged", "cost", "tuned")
"""Markdown's columns where none are chosen."""
TITLES = {"tuned": "hyperparameters"}


def markdown(table: pd.DataFrame, style: Style | None = None) -> str:
    """The table for a README; a game's best is bold, with those whose intervals overlap, if these are few."""
    table, bold = _named(table), emphasised(table)
    rows = list(table.itertuples())
    cells = {"game": table["game"].astype(str), "optimizer": table["optimizer"].astype(str)}
    cells |= {"metric": table["metric"].astype(str)}
    for name in (style.columns if style else ()) or USUAL:
        column = pd.Series([COLUMNS[name].of(row) for row in rows], table.index, dtype=str)
        text = column.mask(bold, "**" + column + "**") if name == "score" and rows else column
        cells[TITLES.get(name, COLUMNS[name].title)] = text
    frame = pd.DataFrame(cells, index=table.index, dtype=str)
    return f"{frame.map(escape_markdown).to_markdown(index=False, disable_numparse=True)}\n"


def escape_markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def csv(table: pd.DataFrame, style: Style | None = None) -> str:
    """The whole table; UserError for chosen columns."""
    if style and style.columns:
        raise UserError("--columns: a csv has all of them; md and latex have some")
    return to_csv(table)


FORMATS: dict[str, Callable[[pd.DataFrame, Style | None], str]] = {"md": markdown, "csv": csv, "latex": latex}
