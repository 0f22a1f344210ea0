"""The table for a paper, in LaTeX with booktabs: caption, label, powers of ten, narrow enough for one column."""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd

from bench.report.columns import COLUMNS, Style, emphasised

LONG = 20  # letters of a name; with a longer one the names' column is broken into lines
NAMES, WORDS = 0.28, 0.25  # of the width of the text, for columns that are broken into lines
MOST = 3  # columns beside the names that a column of an article has room for
SMALLEST, LARGEST = 1e-2, 1e5  # numbers between them are written out


def latex(table: pd.DataFrame, style: Style | None = None) -> str:
    """A table float of a score table (`bench.analysis.table.table`), a block for each game.

    In a block the best rule is bold, with those whose intervals overlap its own, if these are fewer than half.
    """
    style = style or Style()
    columns = style.chosen(table)
    names = [str(name) for name in table["optimizer"]] if len(table) else []
    wide = len(columns) > MOST or any(COLUMNS[name].text for name in columns)
    float_of = "table*" if wide else "table"  # which spans both columns of an article
    broken = any(len(name) > LONG for name in names)
    kinds = [_broken(NAMES) if broken else "l", *(_broken(WORDS) if COLUMNS[name].text else "r" for name in columns)]
    lines = [
        "% \\usepackage{array,booktabs}",
        f"\\begin{{{float_of}}}",
        "\\centering\\footnotesize\\setlength{\\tabcolsep}{4pt}",
        f"\\caption{{{style.caption or _caption(table)}}}",
        f"\\label{{{style.ref}}}",
        f"\\begin{{tabular}}{{@{{}}{''.join(kinds)}@{{}}}}",
        "\\toprule",
        " & ".join(["optimizer", *(escape(COLUMNS[name].title) for name in columns)]) + " \\\\",
    ]
    bold = emphasised(table)
    for _, rows in table.groupby(["game", "metric"], observed=True, sort=False) if len(table) else []:
        head = rows.iloc[0]
        lines += ["\\midrule", _head(head["game"], head["metric"], head["better"], 1 + len(columns))]
        for row, strong in zip(rows.itertuples(), bold[rows.index], strict=True):
            cells = [_name(str(row.optimizer), broken)]
            cells += [_score(row, strong) if name == "score" else _plain(COLUMNS[name].of(row)) for name in columns]
            lines.append(" & ".join(cells) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", f"\\end{{{float_of}}}", ""])


def _broken(share: float) -> str:
    """A column of words on several lines."""
    return f">{{\\raggedright\\arraybackslash}}p{{{share}\\linewidth}}"


def _caption(table: pd.DataFrame) -> str:
    """What the numbers are, with the number of seeds and the cost where these are the same everywhere."""
    seeds, costs = (sorted(set(table[name])) if len(table) else [] for name in ("n", "cost"))
    over = f" over {seeds[0]} seeds" if len(seeds) == 1 else " over the seeds"
    after = f" after {costs[0]:,.0f} gradient evaluations".replace(",", "{,}") if len(costs) == 1 else ""
    words = f"Interquartile mean of the final score{over}{after}, with its 95\\,\\% interval."
    if len(table) and bool(emphasised(table).any()):
        words += " Bold: the best rule of a game, and those whose intervals overlap its own."
    return words


def _head(game: Any, metric: Any, better: Any, columns: int) -> str:
    """The line above a game's block: the game, its metric, and which way is better."""
    arrow = "$\\uparrow$" if better == "higher" else "$\\downarrow$"
    words = f"\\emph{{{escape(str(game))}}}: {escape(str(metric).replace('_', ' '))} {arrow}"
    return f"\\multicolumn{{{columns}}}{{@{{}}l}}{{{words}}} \\\\"


def _name(name: str, broken: bool) -> str:
    """A rule's name, which may be broken after brackets and commas where its column is too narrow."""
    if not broken:
        return escape(name)
    parts = re.findall(r"[^\[,]*[\[,]|[^\[,]+", name)
    return "\\allowbreak{}".join(map(escape, parts))


def _score(row: Any, strong: bool) -> str:
    """``1.80 [0.89, 4.89] x 10^-3``: one power of ten for the three numbers of a row."""
    sizes = [abs(value) for value in (row.iqm, row.low, row.high) if math.isfinite(value) and value != 0]
    size = abs(row.iqm) if math.isfinite(row.iqm) and row.iqm != 0 else max(sizes, default=1.0)
    power = 0 if SMALLEST <= size < LARGEST else math.floor(math.log10(size))
    value, low, high = (_number(number, power) for number in (row.iqm, row.low, row.high))
    times = f" \\cdot 10^{{{power}}}" if power else ""
    text = f"{value}\\ [{low}, {high}]{times}"
    return f"$\\mathbf{{{text}}}$" if strong else f"${text}$"


def _number(value: float, power: int) -> str:
    """A number of three digits, as a multiple of a power of ten, in mathematics."""
    if math.isnan(value):
        return "\\mbox{--}"
    if math.isinf(value):
        return "\\infty" if value > 0 else "-\\infty"
    scaled = value / 10.0**power if power else value
    mantissa, _, exponent = f"{scaled:.3g}".partition("e")
    return f"{mantissa} \\cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def _plain(text: str) -> str:
    """Text with its numbers like 1e-05 as powers of ten, and 1 of 6 as 1/6."""
    text = text.replace(" of ", "/")
    parts = re.split(r"(?<![\w.])(\d+\.?\d*)e([+-]?\d+)", text)
    words = [escape(parts[0])]
    for mantissa, exponent, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        words += [f"${mantissa} \\cdot 10^{{{int(exponent)}}}$", escape(rest)]
    return "".join(words)


def escape(text: str) -> str:
    """Text as LaTeX prints it, whatever its letters."""
    special = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    special |= {"<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", "∞": "$\\infty$", "–": "--"}
    return "".join(special.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)
