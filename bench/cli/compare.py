"""Command that compares runs: compare, two of them or a history of baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.application import DONE, NOTHING, WORSE, answer, app, recorded_at, say


@app.command()
def compare(
    first: Annotated[
        Path | None, typer.Argument(help="The run to compare with, or a baseline that was exported from one.")
    ] = None,
    second: Annotated[Path | None, typer.Argument(help="The run that is judged.")] = None,
    format: Annotated[str, typer.Option(help="text, or md for a summary of a CI.")] = "text",
    fail_on: Annotated[
        str,
        typer.Option(help="Exit code 4 if a rule became worse, changed or is missing; changed: or better; never."),
    ] = "never",
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="A rule, game or seed that only the first has fails nothing.")
    ] = False,
    history: Annotated[
        Path | None,
        typer.Option(help="A folder of baselines in the order of their names, in the place of FIRST and SECOND."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Where --history writes trend.csv and trend.svg; default: there.")
    ] = None,
) -> int:
    """Compare the same rules in two runs, seed by seed, or over a history; exit code 5 if the runs share nothing."""
    from bench.analysis.comparison import FAILS_ON
    from bench.errors import UserError, nearest
    from bench.report.compared import COMPARED

    if fail_on not in FAILS_ON:
        raise UserError(f"--fail-on is {fail_on!r}; {nearest(fail_on, FAILS_ON)}")
    if format not in COMPARED:
        raise UserError(f"--format is {format!r}; {nearest(format, COMPARED)}")
    fails = set(FAILS_ON[fail_on]) - ({"missing"} if allow_missing else set())
    if history is not None:
        if first is not None:
            raise UserError(f"found {str(first)!r} beside --history, which takes the runs that are in its folder")
        return _history(history, to or history, format, fails)
    if to is not None:
        raise UserError("--to is of --history alone")
    if first is None or second is None:
        raise UserError("two runs are needed: bench compare FIRST SECOND; or bench compare --history FOLDER")
    return _two(first, second, format, fails, allow_missing)


def _two(first: Path, second: Path, format: str, fails: set[str], allow_missing: bool) -> int:
    """Compare two runs; the exit code."""
    from bench.analysis.comparison import apart, compare
    from bench.report.compared import COMPARED
    from bench.storage.manifest import LABELS

    sides = recorded_at(first), recorded_at(second)
    comparison = compare(*sides, allow_missing=allow_missing)
    for line in apart(*sides):
        say(f"note: {line}")
    if ((comparison["verdict"] == "new") | (comparison["seeds"] == 0)).all():
        return say(f"{first} and {second} have no rule on a game with a seed in common", NOTHING)
    labels = {rule: label for side in sides for rule, label in side.manifest.get(LABELS, {}).items()}
    shown = comparison.assign(optimizer=[labels.get(rule, rule) for rule in comparison["optimizer"]])
    answer(COMPARED[format](shown).rstrip("\n"))
    return WORSE if comparison["verdict"].isin(fails).any() else DONE


def _history(folder: Path, to: Path, format: str, fails: set[str]) -> int:
    """Show a folder's baselines as a trend; the exit code is that of the last one compared with the one before."""
    from bench.analysis.trend import comparable, trend
    from bench.errors import UserError
    from bench.report.history import HISTORIES, write_history
    from bench.storage.baseline import history_of

    paths = history_of(folder)
    if len(paths) < 2:
        raise UserError(
            f"--history is {str(folder)!r}, with {len(paths)} baselines in it; two or more are needed, "
            "each in a folder of its own: bench export RUN baseline --to FOLDER/NAME"
        )
    history, left_out = comparable([recorded_at(path) for path in paths])
    for line in left_out:
        say(f"note: {line}")
    frame = trend(history)
    answer(HISTORIES[format](frame).rstrip("\n"))
    for path in write_history(frame, to):
        answer(str(path))
    last = frame["at"] == history[-1].path.name
    return WORSE if len(history) > 1 and frame.loc[last, "verdict"].isin(fails).any() else DONE
