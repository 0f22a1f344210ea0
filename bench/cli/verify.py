"""Command that verifies a run: its records are checked, and a sample of its replicas is trained again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.application import DONE, WORSE, RunArgument, answer, app, recorded_at, say


@app.command()
def verify(
    run: RunArgument,
    cells: Annotated[int | None, typer.Option(help="Replicas that are trained again, at random; default: 20.")] = None,
    sample: Annotated[str | None, typer.Option(help="The same as a share of all replicas: 5%.")] = None,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    jobs: Annotated[
        int | None, typer.Option(help="Chunks that train at the same time; default: the number of cores.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="A folder of image sets; default: BENCH_DATA.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the result as JSON, e.g. to RUN/verification.json.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be trained, its cost and an estimate of the time.")
    ] = False,
) -> int:
    """Check a run's records, train some of its replicas again and compare; exit code 4 if anything differs."""
    from bench.errors import UserError
    from bench.numerics.runtime import cores

    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs is {jobs}; a whole number of at least 1 is allowed")
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise UserError(f"--out is {str(out)!r}; a file in a folder that is there is allowed")
    if data is not None:
        from bench.games.data.loading import existing_folder

        os.environ["BENCH_DATA"] = str(existing_folder(data).resolve())  # workers inherit it
    from bench.execution.progress import lines, watching
    from bench.execution.verification import price
    from bench.execution.verification import verify as verified
    from bench.storage.files import write_file

    recorded, side_by_side = recorded_at(run), jobs or cores()
    if dry_run:
        from bench.cli.training import time_in_words

        cost = price(recorded, cells, sample, seed)
        eta = time_in_words(cost.seconds / min(side_by_side, cores()))  # more jobs than cores are no faster
        answer(
            f"cells: {cost.cells} of {cost.replicas:,}   cost: {cost.cost:,.0f} gradient evaluations   "
            f"ETA: {eta} on {side_by_side} jobs"
        )
        return DONE
    with watching(lines()) as watch:
        result = verified(recorded, cells, sample, seed, side_by_side, watch)
    answer(str(result))
    if out is not None:
        write_file(out, result.to_json().encode())
        say(f"note: written to {out}")
    return DONE if result.verified else WORSE
