"""Commands that write files made of runs: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.application import DONE, answer, app, run_at
from bench.export import targets


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    target: Annotated[str, typer.Argument(help="What to write: " + ", ".join(targets()) + ".")],
    to: Annotated[Path | None, typer.Option(help="The file or folder to write; default: one in RUN.")] = None,
) -> int:
    """Write a run's records for another tool, offline; print where."""
    from bench.export import export

    answer(str(export(run_at(run), target, to)))
    return DONE
