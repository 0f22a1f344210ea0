"""A history of runs as text, Markdown, CSV and a figure: what `bench compare --history` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.table import games_of
from bench.analysis.trend import CHANGES
from bench.report.compared import STYLES
from bench.report.figures.panels import looks, short
from bench.report.figures.svg import styled, svg
from bench.report.tables import escape_markdown, number
from bench.report.text_table import Column, console, drawn
from bench.storage.files import write_file

HEADS = ("game", "optimizer", "first", "last [95 %]", "failed", "since first", "changed at")
GOES = {"failed": 1, "first": 2}
LISTED = 3  # of the runs at which a rule changed
PANEL = (5.4, 2.4)  # inches of a game's panel
LABELS = 12  # runs that are named below a panel


def history_table(frame: pd.DataFrame, width: int | None = None) -> str:
    """The result of `bench.analysis.trend.trend` as text: a row for each rule and game, and where it changed."""
    rows, screen = _rows(frame), console(width)
    with screen.capture() as captured:
        columns = [
            Column(head, cells, wraps=head in ("game", "optimizer", "changed at"), goes=GOES.get(head, 0))
            for head, cells in zip(HEADS, zip(*rows, strict=True), strict=True)
        ]
        drawn(columns, [STYLES.get(row[5], "") for row in rows], screen)
    return captured.get()


def history_markdown(frame: pd.DataFrame) -> str:
    """The same as Markdown, for the summary of a CI."""
    lines = [list(HEADS), ["---"] * len(HEADS), *([escape_markdown(cell) for cell in row] for row in _rows(frame))]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rows(frame: pd.DataFrame) -> list[tuple[str, ...]]:
    return [
        (str(game), str(rule), *_cells(rows))
        for (game, rule), rows in frame.groupby(["game", "optimizer"], sort=False, observed=True)
    ]


def _cells(rows: pd.DataFrame) -> tuple[str, ...]:
    """Of one rule on one game: its first score, its last one, and where it changed."""
    measured = rows[rows["value"].notna()]
    first, last = measured.iloc[0], measured.iloc[-1]
    changed = rows[rows["verdict"].isin(CHANGES)]
    listed = ", ".join(f"{row.verdict} at {row.at}" for row in changed.tail(LISTED).itertuples())
    earlier = f", {len(changed) - LISTED} more before" if len(changed) > LISTED else ""
    interval = f"{number(last.value)} [{number(last.low)}, {number(last.high)}]"
    failed = f"{int(last.failed)} of {int(last.seeds)}"
    return number(first.value), interval, failed, str(rows["since_first"].iloc[-1]) or "-", (listed + earlier) or "-"


@styled()
def trend_figure(frame: pd.DataFrame) -> Figure:
    """A panel for each game: every rule's score over the runs, with its interval; a cross where half or more failed."""
    order = list(dict.fromkeys(frame["at"]))
    look, games = looks(list(dict.fromkeys(frame["optimizer"]))), games_of(frame)
    figure = Figure(figsize=(PANEL[0] + 2.2, PANEL[1] * len(games)), layout="constrained")
    panels = figure.subplots(len(games), 1, squeeze=False, sharex=True)[:, 0]
    handles: dict[str, Any] = {}
    for axes, (game, rows) in zip(panels, games, strict=True):
        better = rows["better"].iloc[0]
        finite = rows["value"].replace([np.inf, -np.inf], np.nan).dropna()
        if len(finite) and finite.min() > 0 and finite.max() > 10 * finite.min():
            axes.set_yscale("log")
        for rule, own in rows.groupby("optimizer", sort=False, observed=True):
            own, one = own.set_index("at").reindex(order), look[str(rule)]
            places, lost = np.arange(len(order)), np.isinf(own["value"].to_numpy(float))
            value, low, high = (own[name].to_numpy(float) for name in ("value", "low", "high"))
            (line,) = axes.plot(
                places, np.where(lost, np.nan, value), color=one.colour, ls=one.dash, marker=one.marker, ms=3.6, lw=1.2
            )
            bounded = np.isfinite(low) & np.isfinite(high)
            axes.fill_between(places, low, high, where=bounded, color=one.colour, alpha=0.12, lw=0)
            crosses, border = axes.get_xaxis_transform(), 0.03 if better == "higher" else 0.97
            axes.plot(places[lost], np.full(lost.sum(), border), "x", color=one.colour, transform=crosses)
            handles.setdefault(short(str(rule)), line)
        axes.set_title(short(str(game), 80), loc="left", fontsize="medium")
        axes.set_ylabel(f"{str(rows['metric'].iloc[0]).replace('_', ' ')}, {better} is better")
    shown = sorted({*range(0, len(order), -(-len(order) // LABELS)), len(order) - 1})
    panels[-1].set_xticks(shown, [short(order[k], 28) for k in shown], rotation=30, ha="right")
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", fontsize=8, frameon=False)
    return figure


def write_history(frame: pd.DataFrame, to: Path) -> list[Path]:
    """Write ``trend.csv`` and ``trend.svg`` into a folder; returns their paths."""
    caption = "Interquartile mean of the final score with its 95 % interval, run by run; a cross: half or more failed."
    to.mkdir(parents=True, exist_ok=True)
    content = {"trend.csv": frame.to_csv(index=False), "trend.svg": svg(trend_figure(frame), caption)}
    for name, text in content.items():
        write_file(to / name, text.encode())
    return [to / name for name in content]


HISTORIES = {"text": history_table, "md": history_markdown}
