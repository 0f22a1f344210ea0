"""The table for papers and READMEs: Markdown, LaTeX, CSV."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from bench.analysis.formatting import number as typeset
from bench.analysis.formatting import rounded
from bench.analysis.table import to_csv

number = partial(typeset, plain=True)


def interval(row: Any) -> str:
    """``value [low, high]``."""
    return f"{number(row.iqm)} [{number(row.low)}, {number(row.high)}]"


HEADER = ["game", "optimizer", "metric", "IQM [95 %]", "diverged", "cost", "hyperparameters"]


def _rows(found: pd.DataFrame, bold: Callable[[str], str], plain: Callable[[str], str]) -> list[list[str]]:
    """The table's cells as text; ``plain`` escapes what stands for something else in the format."""
    rows = []
    for row in found.itertuples():
        names = [plain(str(name)) for name in (row.game, row.optimizer, row.metric)]
        score = bold(interval(row)) if row.best else interval(row)
        rows.append(
            [*names, score, f"{row.diverged} of {row.n}", f"{row.cost:g}", plain(rounded(str(row.hyperparameters)))]
        )
    return rows


def markdown(found: pd.DataFrame) -> str:
    """The table for a README; best in bold, ties within the interval too."""
    rows = _rows(found, lambda text: f"**{text}**", escape_markdown)
    lines = [HEADER, ["---"] * len(HEADER), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape_markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def latex(found: pd.DataFrame) -> str:
    """The table for a paper (booktabs), a block a game; best in bold, ties within the interval too."""
    columns = ["optimizer", "IQM [95\\,\\%]", "diverged", "cost", "hyperparameters"]
    lines = ["\\begin{tabular}{lrrrl}", "\\toprule", f"{' & '.join(columns)} \\\\"]
    rows = _rows(found, lambda text: f"\\textbf{{{text}}}", _tex)
    titles = [(row.game, row.metric, row.better) for row in found.itertuples()]
    for before, title, row in zip([None, *titles], titles, rows, strict=False):
        if title != before:
            game, metric, better = map(str, title)
            arrow = "$\\uparrow$" if better == "higher" else "$\\downarrow$"
            head = f"\\emph{{{_tex(game)}}}: {_tex(metric.replace('_', ' '))} {arrow}"
            lines += ["\\midrule", f"\\multicolumn{{{len(columns)}}}{{l}}{{{head}}} \\\\"]
        _, optimizer, _, *others = row
        lines.append(f"{' & '.join([optimizer, *others])} \\\\")
    body = "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])
    return f"% \\usepackage{{booktabs}}; cost in gradient evaluations\n{body}\n".replace("∞", "$\\infty$")


def _tex(text: str) -> str:
    special = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


FORMATS: dict[str, Callable[[pd.DataFrame], str]] = {"md": markdown, "csv": to_csv, "latex": latex}
