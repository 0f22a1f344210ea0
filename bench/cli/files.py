"""Commands that write files made of runs: figures, animations, exports, merged runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.application import DONE, RunArgument, answer, app, run_at, say
from bench.report.export import targets


@app.command()
def export(
    run: RunArgument,
    target: Annotated[str, typer.Argument(help="What to write: " + ", ".join(targets()) + ".")],
    to: Annotated[Path | None, typer.Option(help="The file or folder to write; default: one in RUN.")] = None,
) -> int:
    """Write a run's records for another tool, offline; print where."""
    from bench.report.export import export

    answer(str(export(run_at(run), target, to)))
    return DONE


@app.command()
def figures(
    run: RunArgument,
    to: Annotated[Path | None, typer.Option(help="The folder to write; default: RUN/figures.")] = None,
    format: Annotated[str, typer.Option(help="svg, pdf or both.")] = "svg,pdf",
) -> int:
    """Write every figure of a run's report as files for papers and talks; print the folder."""
    from bench.report.gallery import FOLDER, write_figures
    from bench.report.page import gallery_of

    opened = run_at(run)
    formats = list(dict.fromkeys(part.strip() for part in format.split(",")))
    answer(str(write_figures(gallery_of(opened), to or opened.path / FOLDER, formats)))
    return DONE


@app.command()
def animate(
    run: RunArgument,
    game: Annotated[str, typer.Option(help="One of its games.")],
    optimizers: Annotated[str | None, typer.Option(help="Some of its rules, in this order; default: all.")] = None,
    to: Annotated[Path | None, typer.Option(help="FILE.gif, .png or .mp4; default: RUN/<game>.gif.")] = None,
) -> int:
    """Make an animation of a game's trainings, rule beside rule; print its path."""
    from bench.registry.spelling import split
    from bench.report.animation import animate

    answer(str(animate(run_at(run), game, None if optimizers is None else split(optimizers), to, say)))
    return DONE


@app.command()
def merge(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs of the same protocol.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
) -> int:
    """Merge runs into one with the rules, games and seeds of all; print its folder."""
    from bench.api import merge
    from bench.storage.manifest import mixed

    merged = merge([run_at(path) for path in runs], out)
    for difference in mixed(merged.manifest):
        say(f"note: mixed machines: {difference}")
    answer(str(merged.path))
    return DONE


@app.command()
def pack(run: RunArgument) -> int:
    """Pack a run's records into one file, which every command reads; print its path."""
    from bench.storage.writer import RunWriter

    answer(str(RunWriter(run_at(run)).pack()))
    return DONE
