"""A run, and a comparison of two, as the terminal shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.analysis.comparison import VERDICTS
from bench.analysis.findings import findings
from bench.analysis.formatting import rounded
from bench.analysis.table import games_of, table
from bench.report.status import state
from bench.report.tables import escape_markdown, interval, number
from bench.report.warnings import finished, warnings_of
from bench.storage.manifest import mixed
from bench.storage.run_folder import RunFolder
from bench.studies.tuning.sensitivity import tried


def terminal(run: RunFolder) -> str:
    """The comparison as a terminal shows it, a block a game."""
    return _blocks(table(run.records, run.study))


def _blocks(found: pd.DataFrame) -> str:
    console = Console(width=None if Console().is_terminal else 140)
    with console.capture() as captured:
        _draw(console, found)
    return captured.get()


def summary(run: RunFolder) -> str:
    """A run as a terminal shows it: how far it is, what is missing, what failed, its table, what to beware of."""
    now = state(run)
    whole, _ = finished(now.records, run.study)
    trials = tried(now.records, run.study)
    said = warnings_of(now.records, run.study, findings(table(whole, run.study), whole, run.study), trials)
    how = "goes on" if now.going else "finished" if now.finished else "stopped before its end"
    parts = [
        f"{run.path.name or run.path}: {how}; protocol {run.manifest['protocol']}, {run.manifest['device']}",
        f"cost: {now.spent:,.0f} of at most {now.planned:,.0f} gradient evaluations, {now.seconds:,.1f} s of training",
        *_listed("not finished", now.missing),
        *_listed("damaged chunks, done anew when the study is run again", now.damaged),
        *_listed("failed chunks", [f"{path}: {last}" for path, last in now.failed.items()]),
        "",
        _blocks(table(now.records, run.study)).rstrip("\n"),
        *_listed("warnings", [caveat.words for caveat in said] + mixed(run.manifest)),
    ]
    return "\n".join(parts)


def _listed(title: str, lines: list[str], most: int = 12) -> list[str]:
    """A title with its lines, where there are any; of many the first."""
    left = len(lines) - most
    shown = [f"  {line}" for line in lines[:most]] + ([f"  and {left} more"] if left > 0 else [])
    return [f"{title}: {len(lines)}", *shown] if lines else []


def _draw(console: Console, found: pd.DataFrame) -> None:
    for game, part in games_of(found):
        arrow = "↑" if part["better"].iloc[0] == "higher" else "↓"
        title = f"{escape(game)}: {part['metric'].iloc[0]} {arrow}"
        shown = Table(title=title, title_justify="left", title_style="bold")
        collapse = bool(part["collapsed"].notna().any())
        columns = ["optimizer", "interquartile mean [95 %]", "diverged", *["collapsed"] * collapse, "cost", "seconds"]
        for column in [*columns, "tuned"]:
            shown.add_column(column, justify="left" if column in ("optimizer", "tuned") else "right")
        for row in part.itertuples():
            style = "bold" if row.best else ""
            shown.add_row(
                escape(row.optimizer), interval(row), f"{row.diverged} of {row.n}",
                *[f"{row.collapsed} of {row.n}"] * collapse, f"{row.cost:,.0f}",
                f"{row.seconds:.2g}", rounded(row.hyperparameters), style=style,
            )  # fmt: skip
        console.print(shown)


COMPARED_COLUMNS = ["game", "optimizer", "first", "second", "difference [95 %]", "second better [95 %]", "failed", "p"]
COMPARED_COLUMNS += ["verdict"]
SHOWN = 30  # rows that agree are shown one by one up to so many, counted beyond


def compared(found: pd.DataFrame) -> str:
    """What `bench.compare` found, as a terminal shows it, what changed first."""
    console = Console(width=None if Console().is_terminal else 140)
    shown = Table()
    for column in COMPARED_COLUMNS:
        shown.add_column(column, justify="left" if column in ("game", "optimizer", "verdict") else "right")
    rows = _changed_first(found)
    for row in rows.itertuples():
        style = {"worse": "bold red", "changed": "bold red", "better": "bold green"}.get(str(row.verdict), "")
        shown.add_row(*map(escape, _compared(row)), style=style)
    with console.capture() as captured:
        if len(rows):
            console.print(shown)
    agreed = [f"identical: {len(found) - len(rows)} more"] if len(rows) < len(found) else []
    return captured.get() + "".join(f"{line}\n" for line in [*agreed, *_changes(found)])


def compared_markdown(found: pd.DataFrame) -> str:
    """What `bench.compare` found as Markdown, what changed first: for a summary of a CI."""
    lines = [[*COMPARED_COLUMNS[:-2], "p (Holm)", "verdict"], ["---"] * len(COMPARED_COLUMNS)]
    for row in _changed_first(found).itertuples():
        *cells, verdict = map(escape_markdown, _compared(row))
        lines.append([*cells, verdict if verdict in ("same", "identical") else f"**{verdict}**"])
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines) if len(lines) > 2 else ""
    changes = "".join(f"- {escape_markdown(line)}\n" for line in _changes(found))
    return "\n".join(filter(None, [f"{_counted(found)}\n", table, changes]))


def _changed_first(found: pd.DataFrame) -> pd.DataFrame:
    shown = found if len(found) <= SHOWN else found[found["verdict"] != "identical"]
    return shown.sort_values("verdict", key=lambda column: column.map(VERDICTS.index), kind="stable")


def _counted(found: pd.DataFrame) -> str:
    counts = found["verdict"].value_counts()
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)


def _changes(found: pd.DataFrame) -> list[str]:
    """What differs of what no chance is part of, a line a rule and game."""
    own = found[found["change"] != ""]
    return [f"{row.optimizer} on {row.game}: {row.change}" for row in own.itertuples()]


def _compared(row: Any) -> list[str]:
    """The cells of a row of `bench.compare`."""
    names = [str(row.game), str(row.optimizer)]
    if row.verdict == "new":
        return [*names, "-", number(row.second), "-", "-", f"{row.failed_second} of {row.seeds}", "-", "new"]
    difference = f"{number(row.difference)} [{number(row.difference_low)}, {number(row.difference_high)}]"
    share = f"{row.better_share:.0%} [{row.low:.0%}, {row.high:.0%}]"
    failed = f"{row.failed_first} → {row.failed_second} of {row.seeds}"
    return [*names, number(row.first), number(row.second), difference, share, failed, f"{row.p:.2g}", str(row.verdict)]


COMPARED: dict[str, Callable[[pd.DataFrame], str]] = {"text": compared, "md": compared_markdown}
