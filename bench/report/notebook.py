"""A run as notebooks show it: the short table, grouped warnings, a link to the report; an animation that plays."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis.findings import findings
from bench.analysis.table import games_of, table
from bench.report.advice import advice
from bench.report.columns import COLUMNS, Style, emphasised
from bench.report.selection import select
from bench.report.status import state
from bench.report.warnings import RunWarning, finished, warnings_of
from bench.studies.tuning.sensitivity import tried

if TYPE_CHECKING:
    from bench.storage.run_folder import RunFolder

SHORT = ["game", "optimizer", "metric", "iqm", "low", "high", "failed", "not_learned", "n", "cost", "hyperparameters"]
"""The columns of the short table."""
MOST = 5  # warnings that are shown
NAMED = 3  # rules that a warning names
TYPES = {".gif": "image/gif", ".png": "image/png", ".mp4": "video/mp4"}


def short_table(run: RunFolder) -> pd.DataFrame:
    """A row for each rule and game with what an answer needs, under the names that figures have."""
    view = select(run)
    whole = table(view.records, view.study)
    if whole.empty:
        return pd.DataFrame(columns=SHORT)
    return whole.assign(failed=whole["diverged"] + whole["errors"])[SHORT]


def html_of(run: RunFolder, report: Path | None) -> str:
    """A run in HTML: answers in words, a table for each game, warnings, where the report is.

    Args:
        run: the run.
        report: the report's file; None where it is not written yet.
    """
    view, progress = select(run), state(run)
    records, study = progress.records, view.study
    whole, (finished_records, _) = table(records, study), finished(records, study)
    trials = tried(records, study)
    verdicts = findings(table(finished_records, study), finished_records, study)
    answers = advice(verdicts, whole, finished_records, study, trials)
    parts = [f"<p><b>{escape(run.path.name or str(run.path))}</b>: {_status(progress.finished, progress.missing)}</p>"]
    for game, rows in games_of(whole):
        parts.append(_table(str(game), rows))
        if str(game) in answers:
            parts.append(f"<p>{escape(answers[str(game)])}</p>")
    parts += _warnings(warnings_of(records, study, verdicts, trials), [*run.failures.values()])
    where = (
        f"<a href='{escape(os.path.relpath(report), quote=True)}' target='_blank'>report</a>"
        if report
        else ("its report is written by <code>run.report()</code>")
    )
    return "\n".join([*parts, f"<p>{where}</p>"])


def _status(done: bool, missing: list[str]) -> str:
    return "finished" if done else f"not finished: {escape('; '.join(missing[:NAMED]))}{_more(len(missing), NAMED)}"


def _more(count: int, shown: int) -> str:
    return f" and {count - shown} more" if count > shown else ""


def _table(game: str, rows: pd.DataFrame) -> str:
    """A game's rows, the best in bold."""
    columns = [*Style().chosen(rows), "tuned"]
    arrow = "↑" if rows["better"].iloc[0] == "higher" else "↓"
    titles = "".join(f"<th>{escape(title)}</th>" for title in ["optimizer", *(COLUMNS[name].title for name in columns)])
    caption = escape(f"{game}: {rows['metric'].iloc[0]} {arrow}")
    lines = [f"<table><caption>{caption}</caption>", f"<tr>{titles}</tr>"]
    for row, strong in zip(rows.itertuples(), emphasised(rows), strict=True):
        cells = [escape(text) for text in (str(row.optimizer), *(COLUMNS[name].of(row) for name in columns))]
        cells = [f"<b>{cell}</b>" for cell in cells] if strong else cells
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return "\n".join([*lines, "</table>"])


def _warnings(run_warnings: Iterable[RunWarning], failures: list[str]) -> list[str]:
    """The warnings, those with the same words as one, and failures before them."""
    rules_by_text: dict[str, list[str]] = {}
    for one in run_warnings:
        rules_by_text.setdefault(one.text, []).append(f"{one.rule} on {', '.join(one.games)}" if one.rule else "")
    lines = [f"{len(failures)} chunks failed, the first with {failures[0]}"] if failures else []
    for text, subjects in rules_by_text.items():
        named = [subject for subject in subjects if subject]
        who = f"{'; '.join(named[:NAMED])}{_more(len(named), NAMED)}: " if named else ""
        lines.append(f"{who}{text}")
    if not lines:
        return []
    shown = "".join(f"<li>{escape(line)}</li>" for line in lines[:MOST])
    return [f"<p>Warnings:</p><ul>{shown}</ul>" + (f"<p>{_more(len(lines), MOST).strip()}</p>" * (len(lines) > MOST))]


@dataclass(frozen=True)
class Animation:
    """A file with a moving picture; a notebook plays it."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        kind = TYPES[self.path.suffix.lower()]
        content = f"data:{kind};base64,{base64.b64encode(self.path.read_bytes()).decode()}"
        if kind.startswith("video"):
            return f"<video controls loop src='{content}'></video>"
        return f"<img alt='{escape(self.path.name, quote=True)}' src='{content}'>"
