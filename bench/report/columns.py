"""The columns of a table for people, and how it is written: shared by Markdown, LaTeX and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from bench.analysis.formatting import number, rounded
from bench.errors import UserError, nearest


class Column(NamedTuple):
    """A column: its title, its text in a row of the score table, whether that is words rather than a number."""

    title: str
    of: Callable[[Any], str]
    text: bool = False


DEFAULT = "(default)"
"""What marks the step size of a rule of which no step size that was tried learned."""


def tuned(row: Any) -> str:
    """The chosen hyperparameters to three digits, marked where they are the rule's own because tuning failed."""
    chosen = rounded(str(row.hyperparameters))
    return f"{chosen} {DEFAULT}" if row.untrainable and chosen != "defaults" else chosen


def stopped(errors: int, diverged: int, replicas: int) -> bool:
    """Whether so many replicas ended in an error, which is no divergence, that an interquartile mean counts them."""
    return errors > diverged and 4 * errors >= replicas  # the mean leaves out a quarter


def interval(row: Any) -> str:
    """``value [low, high]``; ``error`` where so many replicas ended in one that the mean counts them."""
    if stopped(row.errors, row.diverged, row.n):
        return "error"
    value, low, high = (number(part, plain=True) for part in (row.iqm, row.low, row.high))
    return f"{value} [{low}, {high}]"


def _of_n(row: Any, name: str) -> str:
    count = getattr(row, name)
    return "-" if count is None or pd.isna(count) else f"{count} of {row.n}"


COLUMNS: dict[str, Column] = {
    "score": Column("IQM [95 %]", interval),
    "failed": Column("failed", lambda row: f"{row.diverged + row.errors} of {row.n}"),
    "diverged": Column("diverged", lambda row: _of_n(row, "diverged")),
    "not_learned": Column("not learned", lambda row: _of_n(row, "not_learned")),
    "collapsed": Column("collapsed", lambda row: _of_n(row, "collapsed")),
    "cost": Column("cost", lambda row: f"{row.cost:,.0f}"),
    "seconds": Column("seconds", lambda row: f"{row.seconds:.2g}"),
    "tuned": Column("tuned", tuned, text=True),
}
"""The columns that may be chosen, by name."""


@dataclass(frozen=True)
class Style:
    """How a table is written.

    Args:
        columns: names of `COLUMNS`; none: ``score``, and ``failed``, ``not_learned`` and ``collapsed`` where any did.
        caption: LaTeX's; "" for one that says what the numbers are.
        ref: LaTeX's label.
    """

    columns: tuple[str, ...] = ()
    caption: str = ""
    ref: str = "tab:bench"

    def chosen(self, table: pd.DataFrame) -> list[str]:
        """The columns of a score table."""
        if self.columns:
            return list(self.columns)
        return ["score", *(name for name in ("failed", "not_learned", "collapsed") if _any(table, name))]


def check_columns(columns: Sequence[str]) -> None:
    """Refuse columns that there are not; UserError."""
    for name in columns:
        if name not in COLUMNS:
            raise UserError(f"--columns has {name!r}; {nearest(name, COLUMNS)}")


def _any(table: pd.DataFrame, name: str) -> bool:
    if not len(table):
        return False
    counts = table["diverged"] + table["errors"] if name == "failed" else table[name].fillna(0)
    return bool((counts > 0).any())


def emphasised(table: pd.DataFrame) -> pd.Series:
    """Whether a row stands out: a game's best, and what overlaps it, where these are fewer than half of its rows.

    One that is ahead of its only rival stands out too.
    """
    if not len(table):
        return pd.Series(dtype=bool)
    best = table["best"].astype(bool)
    blocks = best.groupby([table["game"], table["metric"]], observed=True)
    share, count = blocks.transform("mean"), blocks.transform("sum")
    return best & ((share < 0.5) | ((count == 1) & (share < 1)))
