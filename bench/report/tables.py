"""The table for papers and READMEs: Markdown, LaTeX, CSV."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.formatting import number as typeset
from bench.analysis.formatting import rounded
from bench.analysis.table import to_csv

number = partial(typeset, plain=True)
VALUES = ["iqm", "low", "high", "diverged", "errors", "untrainable", "n", "cost", "hyperparameters"]


DEFAULT = "(default)"
"""What marks the step size of a rule of which no step size that was tried learned."""


def interval(row: Any) -> str:
    """``value [low, high]``; ``error`` where so many replicas ended in one that the mean counts them."""
    if row.errors > row.diverged and 4 * row.errors >= row.n:  # the interquartile mean leaves out a quarter
        return "error"
    return f"{number(row.iqm)} [{number(row.low)}, {number(row.high)}]"


def tuned(row: Any) -> str:
    """The chosen hyperparameters to three digits, marked where they are the rule's own because tuning failed."""
    chosen = rounded(str(row.hyperparameters))
    return f"{chosen} {DEFAULT}" if row.untrainable and chosen != "defaults" else chosen


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its named columns, even if it has no row yet."""
    return table if len(table) else table.reindex(columns=["game", "optimizer", "metric", "better", "best", *VALUES])


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    """The cells of the table as text, row by row."""
    return pd.DataFrame(
        {
            "optimizer": table["optimizer"].astype(str),
            "IQM [95 %]": [interval(row) for row in table.itertuples()],
            "diverged": [f"{row.diverged} of {row.n}" for row in table.itertuples()],
            "cost": [f"{cost:g}" for cost in table["cost"]],
            "hyperparameters": [tuned(row) for row in table.itertuples()],
        },
        index=table.index,
        dtype=str,
    )


def markdown(table: pd.DataFrame) -> str:
    """The table for a README; the best are in bold, with those whose intervals overlap."""
    table = _named(table)
    cells = _cells(table)
    cells["IQM [95 %]"] = cells["IQM [95 %]"].mask(table["best"].astype(bool), "**" + cells["IQM [95 %]"] + "**")
    cells.insert(0, "game", table["game"].astype(str))
    cells.insert(2, "metric", table["metric"].astype(str))
    return f"{cells.map(escape_markdown).to_markdown(index=False, disable_numparse=True)}\n"


def escape_markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def latex(table: pd.DataFrame) -> str:
    """The table for a paper (booktabs), a block for each game; the best are in bold, with overlapping intervals."""
    table = _named(table)
    cells, titles = _cells(table).reset_index(drop=True), table[["game", "metric", "better"]].astype(str)
    bold = pd.Series(np.where(table["best"].astype(bool), "textbf:--rwrap", ""), cells.index)
    styled = cells.style.hide(axis="index").format(_tex).format_index(_tex, axis="columns")
    styled = styled.apply(lambda _: bold, subset=["IQM [95 %]"])
    lines = styled.to_latex(hrules=True, column_format="lrrrl").splitlines()
    first = lines.index("\\midrule")  # the rows follow, one on each line
    del lines[first]
    for row in np.flatnonzero((titles != titles.shift()).any(axis=1))[::-1]:
        game, metric, better = titles.iloc[row]
        lines[first + row : first + row] = ["\\midrule", _head(game, metric, better, len(cells.columns))]
    body = "\n".join(lines)
    return f"% \\usepackage{{booktabs}}; cost in gradient evaluations\n{body}\n".replace("∞", "$\\infty$")


def _head(game: str, metric: str, better: str, columns: int) -> str:
    """The line above a game's block: the game, its metric, and which way is better."""
    arrow = "$\\uparrow$" if better == "higher" else "$\\downarrow$"
    return f"\\multicolumn{{{columns}}}{{l}}{{\\emph{{{_tex(game)}}}: {_tex(metric.replace('_', ' '))} {arrow}}} \\\\"


def _tex(text: str) -> str:
    special = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


FORMATS: dict[str, Callable[[pd.DataFrame], str]] = {"md": markdown, "csv": to_csv, "latex": latex}
