"""Command on the machine: doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.application import DONE, answer, app


@app.command()
def doctor(
    speed: Annotated[bool, typer.Option("--speed", help="Measure a core and the engine on it: half a minute.")] = False,
) -> int:
    """Show versions, threads, memory, devices and data of this machine; with --speed, how fast it is."""
    from bench.checks.machine import examine, listing, measure, table

    answer(listing(examine()))
    if speed:
        answer(f"\n{table(measure())}")
    return DONE
