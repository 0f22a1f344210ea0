"""Command for who writes a plug-in: init."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.application import DONE, answer, app, say


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="The name of the rule and of its package: my-optimizer.")],
    to: Annotated[Path | None, typer.Option(help="The folder to write; default: NAME.")] = None,
    suite: Annotated[
        str | None,
        typer.Option(help="What pip installs in its CI, e.g. git+https://...@COMMIT; default: what is installed here."),
    ] = None,
) -> int:
    """Write a package with an update rule of your own: rule, tests, study, CI; print its folder."""
    from bench.checks.scaffold import check_new, start
    from bench.checks.suite_source import PACKAGE, known_source

    check_new(name, to)  # before anything is asked
    known = suite or known_source() or _asked()
    folder = start(name, to, known or PACKAGE)
    if not known:
        say(
            f"note: where this suite was installed from cannot be told; the CI installs {PACKAGE}, --suite says another"
        )
    answer(str(folder))
    answer(f"next: cd {folder} && pip install -e '.[test]' && pytest; the rule is {name.replace('-', '_')}.py")
    answer("then: bench run study.toml && bench export results/study baseline --to baseline, and commit it for the CI")
    return DONE


def _asked() -> str:
    """Where a CI gets this suite from, as somebody at a terminal says; "" where nobody is there."""
    from bench.checks.suite_source import PACKAGE

    if not sys.stdin.isatty():
        return ""
    return str(typer.prompt("What pip installs as this suite in a CI", default=PACKAGE, err=True))
