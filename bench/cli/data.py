"""Commands for image sets in files: data fetch, data check."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.application import DONE, FAILED, answer, app

data_app = typer.Typer(help="Image sets in files: fetch, check.")
app.add_typer(data_app, name="data")
Folder = Annotated[Path | None, typer.Option("--data", help="A folder of image sets; default: BENCH_DATA.")]


@data_app.command("fetch")
def fetch_data(
    names: Annotated[list[str], typer.Argument(help="mnist, fashion or cifar10.")],
    data: Folder = None,
    mirror: Annotated[str | None, typer.Option(help="Address of a folder to download from.")] = None,
) -> int:
    """Download image sets; files that are there and intact are kept."""
    from bench.errors import UserError
    from bench.games.data.download import fetch

    folder = data or os.environ.get("BENCH_DATA")
    if not folder:
        raise UserError("data fetch: no folder; give --data FOLDER or set BENCH_DATA")
    for name in names:
        paths = fetch(name, folder, mirror)
        answer("\n".join(map(str, paths)) or f"{name}: nothing to fetch")
    return DONE


@data_app.command("check")
def check_data(data: Folder = None) -> int:
    """Show where each image set is and verify its files; exit code 1 if one is damaged."""
    from bench.errors import UserError
    from bench.games.data.loading import check, existing_folder

    try:
        data = None if data is None else existing_folder(data)
    except UserError as error:
        raise UserError(f"--data: {error}") from None
    rows = check(data)
    answer("\n".join(map(str, rows)))
    return FAILED if any(row.damaged for row in rows) else DONE
