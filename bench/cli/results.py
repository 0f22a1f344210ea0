"""Commands that look at runs: show, runs, report, leaderboard, table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.application import (
    DONE,
    LABEL_OPTION,
    RunArgument,
    answer,
    app,
    run_at,
    say,
    selected,
)  # fmt: skip


@app.command("show")
def show(run: RunArgument) -> int:
    """Show a run: its progress, what is missing or failed, its table, its warnings."""
    from bench.report.terminal import summary

    answer(summary(run_at(run)))
    return DONE


@app.command("runs")
def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that holds them.")] = Path("results"),
) -> int:
    """List the runs below a folder, the last one at the end: how far each is, what it compares."""
    from bench.errors import UserError
    from bench.report.runs import run_folders
    from bench.report.runs import runs as listed

    if not folder.is_dir():
        raise UserError(f"{str(folder)!r} is no folder; bench run makes one, or name another")
    found = run_folders(folder)
    answer(listed(found, run_at).rstrip("\n") if found else f"no runs in {folder}")
    return DONE


@app.command()
def report(run: RunArgument) -> int:
    """Write a run's table.csv and report.html anew from its records."""
    answer(str(run_at(run).report()))
    return DONE


@app.command()
def leaderboard(
    folders: Annotated[list[Path], typer.Argument(help="Folders of packed runs of one protocol, or runs.")],
    out: Annotated[Path, typer.Option(help="The folder of the page; an earlier one there is replaced.")] = Path("site"),
    reports: Annotated[
        bool, typer.Option("--reports/--no-reports", help="Make each run's report; a large study's takes minutes.")
    ] = True,
) -> int:
    """Rank the rules of several runs on one static page, where they can be ranked together; print its path."""
    from bench.report.leaderboard import write_leaderboard

    answer(str(write_leaderboard(folders, out, run_at, reports)))
    return DONE


@app.command()
def table(
    run: RunArgument,
    format: Annotated[str, typer.Option(help="md, csv or latex.")] = "md",
    game: Annotated[list[str] | None, typer.Option(help="Some of its games; default: all.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Metrics that it measured, instead of each game's own score.")
    ] = None,
    optimizers: Annotated[str | None, typer.Option(help="Some of its rules, in this order; default: all.")] = None,
    columns: Annotated[
        str | None, typer.Option(help="Of md and latex: some of score, failed, diverged, not_learned, ... .")
    ] = None,
    label: Annotated[list[str] | None, LABEL_OPTION] = None,
    caption: Annotated[str, typer.Option(help="Of latex; default: what the numbers are.")] = "",
    ref: Annotated[str, typer.Option(help=r"Of latex: the name that \ref takes.")] = "tab:bench",
) -> int:
    """Print a run's table: all its games, each with its own score, unless others are named."""
    from bench.analysis.table import table
    from bench.errors import UserError, nearest
    from bench.registry.spelling import split
    from bench.report.columns import Style, check_columns
    from bench.report.status import missing
    from bench.report.tables import FORMATS

    if format not in FORMATS:
        raise UserError(f"--format is {format!r}; {nearest(format, FORMATS)}")
    style = Style(tuple(split((columns or "").replace("-", "_"))), caption, ref)
    check_columns(style.columns)
    opened, write = run_at(run), FORMATS[format]
    games = _named("--game", game, opened.study.games)
    view = selected(opened, split(optimizers or ""), games, label or [])
    if format == "csv" and not label:  # for programs, which look rules up as they are spelled
        view = replace(view, labels={})
    study, records = view.study, view.records
    measured = records.groupby("game", observed=True)["metric"].unique()
    metrics = _named("--metric", metric, sorted({str(name) for names in measured for name in names}))
    for line in missing(records, study):
        say(f"note: not finished: {line}")
    for name, where in ((name, where) for name in metrics for where, names in measured.items() if name not in names):
        say(f"note: {name} is not measured on {where}")
    answer(write(table(records, study, metrics), style).rstrip("\n"))
    return DONE


def _named(option: str, given: list[str] | None, allowed: Sequence[str]) -> list[str]:
    """The names of a list that may be given in parts; UserError for one that is not known."""
    from bench.errors import UserError, nearest
    from bench.registry.spelling import split

    names = list(dict.fromkeys(name for part in given or [] for name in split(part)))
    for name in names:
        if name not in allowed:
            raise UserError(f"{option} is {name!r}; {nearest(name, allowed)}")
    return names
