"""Commands that take trained networks home: weights, sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.application import DONE, RunArgument, answer, app, run_at, say

Optimizer = Annotated[str | None, typer.Option(help="One of its rules.")]
Game = Annotated[str | None, typer.Option(help="One of its games.")]
Seed = Annotated[int | None, typer.Option(help="Of the replica; default: that of the median score.")]
Best = Annotated[bool, typer.Option("--best", help="The replica of the best score.")]


@app.command()
def weights(
    run: RunArgument,
    to: Annotated[Path, typer.Option(help="The folder to write.")],
    optimizer: Optimizer = None,
    game: Game = None,
    seed: Seed = None,
    best: Best = False,
) -> int:
    """Write trained generators and discriminators for plain PyTorch, a pair for each rule and game; print where."""
    from bench.report.weights import write_weights

    for folder in write_weights(run_at(run), to, optimizer, game, seed, best, lambda line: say(f"note: {line}")):
        answer(str(folder))
    return DONE


@app.command()
def sample(
    run: RunArgument,
    out: Annotated[Path, typer.Option(help="FILE.png, a picture, or FILE.npy, the numbers.")],
    optimizer: Optimizer = None,
    game: Game = None,
    count: Annotated[int, typer.Option(help="How many samples.")] = 64,
    seed: Seed = None,
    best: Best = False,
    draw: Annotated[int, typer.Option(help="Another number draws other latents.")] = 0,
) -> int:
    """Write samples of a trained generator; print where. A run's only rule or game need not be named."""
    from bench.report.sampling import check, write_samples
    from bench.report.trained import trained

    check(out, count, draw)
    answer(str(write_samples(trained(run_at(run), optimizer, game, seed, best), out, count, draw)))
    return DONE
