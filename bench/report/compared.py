"""A comparison of two runs as text for the terminal, and as Markdown for the summary of a CI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from bench.analysis.comparison import VERDICTS
from bench.analysis.formatting import about
from bench.report.columns import stopped
from bench.report.tables import escape_markdown, number
from bench.report.text_table import Column, console, drawn

COMPARED_COLUMNS = ["game", "optimizer", "first", "second", "difference [95 %]", "second better [95 %]", "failed", "p"]
COMPARED_COLUMNS += ["verdict", "to tell apart"]
GOES = {"to tell apart": 1, "second better [95 %]": 2, "p": 3, "first": 4, "second": 5, "failed": 6}
"""In which order columns go where the terminal is narrow."""
STYLES = {"worse": "bold red", "changed": "bold red", "missing": "bold red", "better": "bold green"}
SHOWN = 30  # in a longer comparison identical rows are counted rather than shown


def compared(comparison: pd.DataFrame, width: int | None = None) -> str:
    """The result of `bench.compare` as text for the terminal, changes first; ``width`` is the terminal's by default."""
    rows, screen = _changed_first(comparison), console(width)
    cells = [_comparison_cells(row) for row in rows.itertuples()]
    with screen.capture() as captured:
        if cells:
            columns = [
                Column(head, column, wraps=head in ("game", "optimizer"), goes=GOES.get(head, 0))
                for head, column in zip(COMPARED_COLUMNS, zip(*cells, strict=True), strict=True)
            ]
            drawn(columns, [STYLES.get(str(verdict), "") for verdict in rows["verdict"]], screen)
    agreed = [f"identical: {len(comparison) - len(rows)} more"] if len(rows) < len(comparison) else []
    return captured.get() + "".join(f"{line}\n" for line in [*agreed, *_change_lines(comparison)])


def compared_markdown(comparison: pd.DataFrame) -> str:
    """The result of `bench.compare` as Markdown, changes first: for a summary of a CI."""
    names = ["p (Holm)" if column == "p" else column for column in COMPARED_COLUMNS]
    lines = [names, ["---"] * len(names)]
    for row in _changed_first(comparison).itertuples():
        *cells, verdict, seeds = map(escape_markdown, _comparison_cells(row))
        lines.append([*cells, verdict if verdict in ("same", "identical") else f"**{verdict}**", seeds])
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines) if len(lines) > 2 else ""
    changes = "".join(f"- {escape_markdown(line)}\n" for line in _change_lines(comparison))
    return "\n".join(filter(None, [f"{_verdict_counts(comparison)}\n", table, changes]))


def _changed_first(comparison: pd.DataFrame) -> pd.DataFrame:
    rows = comparison if len(comparison) <= SHOWN else comparison[comparison["verdict"] != "identical"]
    return rows.sort_values("verdict", key=lambda column: column.map(VERDICTS.index), kind="stable")


def _verdict_counts(comparison: pd.DataFrame) -> str:
    counts = comparison["verdict"].value_counts()
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)


def _change_lines(comparison: pd.DataFrame) -> list[str]:
    """What is missing and the deterministic differences, a line for each rule and game."""
    changed = comparison[comparison["change"] != ""]
    return [f"{row.optimizer} on {row.game}: {row.change}" for row in changed.itertuples()]


def _score(row: Any, side: str) -> str:
    """The score of one of the runs; ``error`` where so many of its replicas ended in one that the mean counts them."""
    errors, failed = getattr(row, f"errors_{side}"), getattr(row, f"failed_{side}")
    return "error" if stopped(errors, failed - errors, row.seeds or failed) else number(getattr(row, side))


def _comparison_cells(row: Any) -> list[str]:
    """The cells of a row of the result of `bench.compare`."""
    names = [str(row.game), str(row.optimizer)]
    if row.verdict == "new":
        return [*names, "-", _score(row, "second"), "-", "-", f"{row.failed_second} of {row.seeds}", "-", "new", ""]
    if not row.seeds:
        return [*names, _score(row, "first"), *["-"] * 5, str(row.verdict), ""]
    difference = f"{number(row.difference)} [{number(row.difference_low)}, {number(row.difference_high)}]"
    share = f"{row.better_share:.0%} [{row.low:.0%}, {row.high:.0%}]"
    failed = f"{row.failed_first} → {row.failed_second} of {row.seeds}"
    seeds = about(row.seeds_needed) if row.seeds_needed else ""
    if "error" in (scores := [_score(row, "first"), _score(row, "second")]):
        difference = "-"
    numbers = [*scores, difference, share, failed, number(row.p)]
    return [*names, *numbers, str(row.verdict), seeds]


COMPARED: dict[str, Callable[[pd.DataFrame], str]] = {"text": compared, "md": compared_markdown}
