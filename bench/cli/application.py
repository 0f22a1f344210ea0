"""What the commands share: the application, its exit codes, how it speaks, how it opens a run's folder."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.analysis.study import ComparedStudy
    from bench.api import Run
    from bench.report.selection import Selection
    from bench.storage.baseline import Baseline

DONE, FAILED, WRONG_USE, IN_USE, WORSE, NOTHING, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=(
    "Which optimizer should train your GAN, and how sure are we?"
))  # fmt: skip

LABEL_OPTION = typer.Option("--label", help="RULE=Ours: what a rule is called, in tables and figures.")


def _version(asked: bool) -> None:
    """Print the installed version, and end."""
    if not asked:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        print(version("gan-optimizer-bench"))
    except PackageNotFoundError:  # run from its sources
        print("unknown")
    raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What stands before a command."""


RunArgument = Annotated[Path, typer.Argument(help="A run's folder.")]


def say(text: str, code: int = DONE) -> int:
    """Say it on standard error, every line with who speaks; returns the code."""
    for line in text.splitlines() or [text]:
        print(f"bench: {line}", file=sys.stderr)
    return code


def answer(text: str) -> None:
    """Print a result; where its reader has left, as in `bench list | head`, go on without."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_at(path: Path) -> Run:
    """The run in a folder; UserError where there is none."""
    from bench.api import Run

    opened = Run(path)
    _refuse_code(opened.study, path)
    return opened


def selected(
    run: Run,
    optimizers: Sequence[str] = (),
    games: Sequence[str] = (),
    labels: Sequence[str] = (),
    highlight: Sequence[str] = (),
) -> Selection:
    """Some rules and games of a run, with its labels and those of the options; UserError for a name that is none."""
    from bench.report.selection import select
    from bench.studies.labels import labels_of

    return select(run, optimizers, games, labels_of(labels, run.study.optimizers), highlight)


def recorded_at(path: Path) -> Run | Baseline:
    """The run in a folder, or what was kept of one there; UserError where there is neither."""
    from bench.storage.baseline import Baseline, holds

    if not holds(path):
        return run_at(path)
    kept = Baseline(path)
    _refuse_code(kept.study, path)
    return kept


def _refuse_code(study: ComparedStudy, path: Path) -> None:
    from bench.errors import UserError

    for spelled in (*study.optimizers, *study.games):
        for file in re.findall(r"[^\[\],={}|]+\.py(?=:)", spelled):  # a run may be untrusted, and a plug-in is code
            if Path(file).resolve().is_relative_to(path.resolve()):
                raise UserError(f"{str(path)!r} names code that came with it: {file}; move it out if you trust it")
