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
VALUES = ["iqm", "low", "high", "diverged", "n", "cost", "hyperparameters"]


def interval(row: Any) -> str:
    """``value [low, high]``."""
    return f"{number(row.iqm)} [{number(row.low)}, {number(row.high)}]"


def _named(found: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns that it has, also where it has no row yet."""
    return found if len(found) else found.reindex(columns=["game", "optimizer", "metric", "better", "best", *VALUES])


def _cells(found: pd.DataFrame) -> pd.DataFrame:
    """The table's cells as text, a row for each of its own."""
    return pd.DataFrame(
        {
            "optimizer": found["optimizer"].astype(str),
            "IQM [95 %]": [interval(row) for row in found.itertuples()],
            "diverged": [f"{row.diverged} of {row.n}" for row in found.itertuples()],
            "cost": [f"{cost:g}" for cost in found["cost"]],
            "hyperparameters": [rounded(str(values)) for values in found["hyperparameters"]],
        },
        index=found.index,
        dtype=str,
    )


def markdown(found: pd.DataFrame) -> str:
    """The table for a README; best in bold, ties within the interval too."""
    found = _named(found)
    cells = _cells(found)
    cells["IQM [95 %]"] = cells["IQM [95 %]"].mask(found["best"].astype(bool), "**" + cells["IQM [95 %]"] + "**")
    cells.insert(0, "game", found["game"].astype(str))
    cells.insert(2, "metric", found["metric"].astype(str))
    return f"{cells.map(escape_markdown).to_markdown(index=False, disable_numparse=True)}\n"


def escape_markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def latex(found: pd.DataFrame) -> str:
    """The table for a paper (booktabs), a block a game; best in bold, ties within the interval too."""
    found = _named(found)
    cells, titles = _cells(found).reset_index(drop=True), found[["game", "metric", "better"]].astype(str)
    bold = pd.Series(np.where(found["best"].astype(bool), "textbf:--rwrap", ""), cells.index)
    styled = cells.style.hide(axis="index").format(_tex).format_index(_tex, axis="columns")
    styled = styled.apply(lambda _: bold, subset=["IQM [95 %]"])
    lines = styled.to_latex(hrules=True, column_format="lrrrl").splitlines()
    first = lines.index("\\midrule")  # what follows are the rows, one a line
    del lines[first]
    for place in np.flatnonzero((titles != titles.shift()).any(axis=1))[::-1]:
        game, metric, better = titles.iloc[place]
        lines[first + place : first + place] = ["\\midrule", _head(game, metric, better, len(cells.columns))]
    body = "\n".join(lines)
    return f"% \\usepackage{{booktabs}}; cost in gradient evaluations\n{body}\n".replace("∞", "$\\infty$")


def _head(game: str, metric: str, better: str, columns: int) -> str:
    """What stands above a game's block: the game, what is measured, and which way is better."""
    arrow = "$\\uparrow$" if better == "higher" else "$\\downarrow$"
    return f"\\multicolumn{{{columns}}}{{l}}{{\\emph{{{_tex(game)}}}: {_tex(metric.replace('_', ' '))} {arrow}}} \\\\"


def _tex(text: str) -> str:
    special = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


FORMATS: dict[str, Callable[[pd.DataFrame], str]] = {"md": markdown, "csv": to_csv, "latex": latex}
