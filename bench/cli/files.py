"""Commands that write files made of runs: figures, animations, exports, merged runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.application import DONE, LABEL_OPTION, RunArgument, answer, app, run_at, say, selected
from bench.report.export import targets

PAPER = "paper"
"""The folder of chosen figures, so that the report's own stay."""


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
    format: Annotated[str, typer.Option(help="Some of svg, pdf, png.")] = "svg,pdf",
    optimizers: Annotated[str | None, typer.Option(help="Some of its rules, in this order; default: all.")] = None,
    game: Annotated[str | None, typer.Option(help="Some of its games; default: all.")] = None,
    only: Annotated[str | None, typer.Option(help="Some of the figures, e.g. scores,curves; default: all.")] = None,
    highlight: Annotated[str | None, typer.Option(help="Rules that are drawn strongly, the others grey.")] = None,
    width: Annotated[str, typer.Option(help="Of a column, e.g. 3.25in or 84mm; default: the report's.")] = "",
    font: Annotated[str, typer.Option(help="serif, sans-serif, monospace or an installed one.")] = "",
    label: Annotated[list[str] | None, LABEL_OPTION] = None,
) -> int:
    """Write a run's figures as files for papers and talks; print the folder."""
    from bench.registry.spelling import split
    from bench.report.figures.formats import format_of, formatted
    from bench.report.gallery import FOLDER, check, write_figures
    from bench.report.paper import figures_of

    formats, form, opened = split(format), format_of(width, font), run_at(run)
    kinds = split(only or "")
    check(formats, kinds)
    view = selected(opened, split(optimizers or ""), split(game or ""), label or [], split(highlight or ""))
    chosen = any((optimizers, game, only, highlight, width, font, label))
    folder = to or opened.path / (PAPER if chosen else FOLDER)
    with formatted(form):
        answer(str(write_figures(figures_of(view, kinds), folder, formats)))
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
    from bench.numerics.environment import mixed

    merged = merge([run_at(path) for path in runs], out)
    for difference in mixed(merged.manifest.get("environment", {})):
        say(f"note: mixed machines: {difference}")
    answer(str(merged.path))
    return DONE


@app.command()
def pack(
    run: RunArgument,
    without_samples: Annotated[
        bool, typer.Option("--without-samples", help="Leave out the samples that a report shows; they weigh most.")
    ] = False,
) -> int:
    """Pack a run's records into one file, which every command reads; print its path."""
    from bench.storage.writer import RunWriter

    answer(str(RunWriter(run_at(run)).pack(samples=not without_samples)))
    return DONE
