"""A run, and a comparison of two runs, as text for the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.analysis.comparison import VERDICTS
from bench.analysis.findings import findings
from bench.analysis.formatting import about, rounded
from bench.analysis.table import games_of, table
from bench.report.advice import advice
from bench.report.status import state
from bench.report.tables import escape_markdown, interval, number
from bench.report.warnings import finished, warnings_of
from bench.storage.manifest import mixed
from bench.storage.run_folder import RunFolder
from bench.studies.study import Study
from bench.studies.tuning.sensitivity import tried


def terminal(run: RunFolder) -> str:
    """A run as text for the terminal: the answer in words, then the table, a block for each game."""
    score_table = table(run.records, run.study)
    finished_records, _ = finished(run.records, run.study)
    verdicts = findings(score_table, finished_records, run.study)
    answers = advice(verdicts, score_table, finished_records, run.study, tried(run.records, run.study))
    answered = "".join(f"{game}: {words}\n" for game, words in answers.items())
    return answered + "\n" * bool(answered) + _blocks(score_table, run.study)


def _blocks(score_table: pd.DataFrame, study: Study) -> str:
    console = Console(width=None if Console().is_terminal else 140)
    with console.capture() as captured:
        _draw(console, score_table, study)
    return captured.get()


def summary(run: RunFolder) -> str:
    """A run as text for the terminal: its progress, what is missing, what failed, its table, its warnings."""
    run_state = state(run)
    finished_records, _ = finished(run_state.records, run.study)
    trials = tried(run_state.records, run.study)
    verdicts = findings(table(finished_records, run.study), finished_records, run.study)
    run_warnings = warnings_of(run_state.records, run.study, verdicts, trials)
    status = "goes on" if run_state.going else "finished" if run_state.finished else "stopped before its end"
    parts = [
        f"{run.path.name or run.path}: {status}; protocol {run.manifest['protocol']}, {run.manifest['device']}",
        f"cost: {run_state.spent:,.0f} of at most {run_state.planned:,.0f} gradient evaluations, "
        f"{run_state.seconds:,.1f} s of training",
        *_listed("not finished", run_state.missing),
        *_listed("damaged chunks, done anew when the study is run again", run_state.damaged),
        *_listed("failed chunks", [f"{path}: {last}" for path, last in run_state.failed.items()]),
        "",
        _blocks(table(run_state.records, run.study), run.study).rstrip("\n"),
        *_listed("warnings", [caveat.words for caveat in run_warnings] + mixed(run.manifest)),
    ]
    return "\n".join(parts)


def _listed(title: str, lines: list[str], most: int = 12) -> list[str]:
    """A title with its first lines; nothing if there are none."""
    remaining = len(lines) - most
    printed = [f"  {line}" for line in lines[:most]] + ([f"  and {remaining} more"] if remaining > 0 else [])
    return [f"{title}: {len(lines)}", *printed] if lines else []


def _draw(console: Console, score_table: pd.DataFrame, study: Study) -> None:
    for game, game_rows in games_of(score_table):
        arrow = "↑" if game_rows["better"].iloc[0] == "higher" else "↓"
        title = f"{escape(game)}: {game_rows['metric'].iloc[0]} {arrow}"
        text_table = Table(title=title, title_justify="left", title_style="bold")
        told = [name for name in ("not_learned", "collapsed") if game_rows[name].notna().any()]
        columns = ["optimizer", "interquartile mean [95 %]", "diverged", *(name.replace("_", " ") for name in told)]
        for column in [*columns, "cost", "seconds", "tuned"]:
            text_table.add_column(column, justify="left" if column in ("optimizer", "tuned") else "right")
        for row in game_rows.itertuples():
            style = "bold" if row.best else ""
            text_table.add_row(
                escape(row.optimizer), interval(row), f"{row.diverged} of {row.n}",
                *(f"{getattr(row, name)} of {row.n}" for name in told), f"{row.cost:,.0f}", f"{row.seconds:.2g}",
                "cannot be trained here" if row.untrainable else rounded(row.hyperparameters), style=style,
            )  # fmt: skip
        for rule in study.optimizers:
            if reason := study.refused(rule, str(game)):
                blank = [""] * (len(text_table.columns) - 3)
                text_table.add_row(escape(rule), "not applicable", *blank, reason, style="dim")
        console.print(text_table)


COMPARED_COLUMNS = ["game", "optimizer", "first", "second", "difference [95 %]", "second better [95 %]", "failed", "p"]
COMPARED_COLUMNS += ["verdict", "to tell apart"]
SHOWN = 30  # in a longer comparison identical rows are counted rather than shown


def compared(comparison: pd.DataFrame) -> str:
    """The result of `bench.compare` as text for the terminal, changes first."""
    console = Console(width=None if Console().is_terminal else 140)
    text_table = Table()
    for column in COMPARED_COLUMNS:
        text_table.add_column(
            column, justify="left" if column in ("game", "optimizer", *COMPARED_COLUMNS[-2:]) else "right"
        )
    rows = _changed_first(comparison)
    for row in rows.itertuples():
        style = {"worse": "bold red", "changed": "bold red", "better": "bold green"}.get(str(row.verdict), "")
        text_table.add_row(*map(escape, _comparison_cells(row)), style=style)
    with console.capture() as captured:
        if len(rows):
            console.print(text_table)
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
    """The deterministic differences, a line for each rule and game."""
    changed = comparison[comparison["change"] != ""]
    return [f"{row.optimizer} on {row.game}: {row.change}" for row in changed.itertuples()]


def _comparison_cells(row: Any) -> list[str]:
    """The cells of a row of the result of `bench.compare`."""
    names = [str(row.game), str(row.optimizer)]
    if row.verdict == "new":
        return [*names, "-", number(row.second), "-", "-", f"{row.failed_second} of {row.seeds}", "-", "new", ""]
    difference = f"{number(row.difference)} [{number(row.difference_low)}, {number(row.difference_high)}]"
    share = f"{row.better_share:.0%} [{row.low:.0%}, {row.high:.0%}]"
    failed = f"{row.failed_first} → {row.failed_second} of {row.seeds}"
    seeds = about(row.seeds_needed) if row.seeds_needed else ""
    numbers = [number(row.first), number(row.second), difference, share, failed, f"{row.p:.2g}"]
    return [*names, *numbers, str(row.verdict), seeds]


COMPARED: dict[str, Callable[[pd.DataFrame], str]] = {"text": compared, "md": compared_markdown}
