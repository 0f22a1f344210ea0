"""Command that compares runs: compare, two of them or a history of baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.application import DONE, NOTHING, WORSE, answer, app, recorded_at, say


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="The run to compare with, or a baseline that was exported from one.")],
    second: Annotated[Path, typer.Argument(help="The run that is judged.")],
    format: Annotated[str, typer.Option(help="text, or md for a summary of a CI.")] = "text",
    fail_on: Annotated[
        str,
        typer.Option(help="Exit code 4 if a rule became worse, changed or is missing; changed: or better; never."),
    ] = "never",
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="A rule, game or seed that only the first has fails nothing.")
    ] = False,
) -> int:
    """Compare the same rules in two runs, seed by seed; exit code 5 if the runs share nothing."""
    from bench.analysis.comparison import FAILS_ON, apart, compare
    from bench.errors import UserError, nearest
    from bench.report.compared import COMPARED

    if fail_on not in FAILS_ON:
        raise UserError(f"--fail-on is {fail_on!r}; {nearest(fail_on, FAILS_ON)}")
    if format not in COMPARED:
        raise UserError(f"--format is {format!r}; {nearest(format, COMPARED)}")
    sides = recorded_at(first), recorded_at(second)
    comparison = compare(*sides, allow_missing=allow_missing)
    for line in apart(*sides):
        say(f"note: {line}")
    if ((comparison["verdict"] == "new") | (comparison["seeds"] == 0)).all():
        return say(f"{first} and {second} have no rule on a game with a seed in common", NOTHING)
    answer(COMPARED[format](comparison).rstrip("\n"))
    fails = set(FAILS_ON[fail_on]) - ({"missing"} if allow_missing else set())
    return WORSE if comparison["verdict"].isin(fails).any() else DONE
