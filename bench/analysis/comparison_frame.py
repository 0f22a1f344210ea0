"""The result of a comparison: a data frame that a notebook shows short, changes first."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd

ORDER = ("worse", "changed", "missing", "better", "new", "same", "identical")
"""What a reader looks for first."""
SHORT = {"game": "game", "optimizer": "optimizer", "first": "first", "second": "second", "p": "p", "verdict": "verdict"}
MOST = 30  # rows; in a longer comparison identical ones are counted


class Comparison(pd.DataFrame):  # type: ignore[misc]  # pandas has no types here
    """A data frame of `bench.compare`."""

    @property
    def _constructor(self) -> type[Comparison]:
        return Comparison

    def _repr_html_(self) -> str:
        if not set(SHORT) <= set(self.columns):  # a part of one
            html: Any = pd.DataFrame(self)._repr_html_()
            return str(html)
        counts = self["verdict"].value_counts()
        named = [*ORDER, *(name for name in counts.index if name not in ORDER)]
        told = ", ".join(f"{counts[name]} {name}" for name in named if name in counts)
        shown = self if len(self) <= MOST else self[self["verdict"] != "identical"]
        rows = shown.sort_values("verdict", key=lambda column: column.map(named.index), kind="stable")
        short = pd.DataFrame(rows)[list(SHORT)].to_html(index=False, float_format=lambda value: f"{value:.3g}")
        changes = [f"{row.optimizer} on {row.game}: {row.change}" for row in rows.itertuples() if row.change]
        listed = "".join(f"<li>{escape(change)}</li>" for change in changes)
        return f"<p>{escape(told)}</p>\n{short}" + (f"\n<ul>{listed}</ul>" if listed else "")
