"""Commands on what there is to run: list, check."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.application import DONE, FAILED, answer, app


@app.command("list")
def list_(
    what: Annotated[
        str, typer.Argument(help="optimizers, directions, games, metrics, losses, regularisers, or a name.")
    ] = "",
) -> int:
    """Show what is available: name, equation, source, hyperparameters with their ranges."""
    from bench.games.harness.catalogue import losses_and_regularisers
    from bench.registry.listing import listing

    answer(listing(what, losses_and_regularisers()))
    return DONE


@app.command()
def check(
    names: Annotated[list[str], typer.Argument(help="Rules, directions, games or metrics; ./my_rule.py:MyRule.")],
    speed: Annotated[
        bool, typer.Option("--speed", help="Also measure a rule's time for a gradient evaluation beside sgd's.")
    ] = False,
) -> int:
    """Test the laws that every plug-in obeys: a line for each law, exit code 1 if one is broken."""
    from bench.checks.check import check, remark
    from bench.checks.overhead import pace

    verdicts = [verdict for name in names for verdict in check(name)]
    for subject in dict.fromkeys(verdict.subject for verdict in verdicts):
        answer("\n  ".join([subject, *(str(verdict) for verdict in verdicts if verdict.subject == subject)]))
    for line in filter(None, map(remark, names)):
        answer(f"  {line}")
    for name in names if speed else ():
        answer(f"  speed: {pace(name)}")
    return FAILED if any(verdict.broken for verdict in verdicts) else DONE
