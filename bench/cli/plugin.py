"""Command for who writes a plug-in: init."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.application import DONE, answer, app


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="The name of the rule and of its package: my-optimizer.")],
    to: Annotated[Path | None, typer.Option(help="The folder to write; default: NAME.")] = None,
) -> int:
    """Write a package with an update rule of your own: rule, tests, study, CI; print its folder."""
    from bench.checks.scaffold import start

    folder = start(name, to)
    answer(str(folder))
    answer(f"next: cd {folder} && pip install -e '.[test]' && pytest; the rule is {name.replace('-', '_')}.py")
    return DONE
