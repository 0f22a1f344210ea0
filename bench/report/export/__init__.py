"""Exports of a run to other tools, made from its stored records alone: no training, no network.

A target is a module of this package with a function ``export(run, to) -> Path``; the first line of its docstring says
what it writes. The packages that a target needs are optional, and are imported only when it is used.

    from bench import Run
    from bench.report.export import export, targets

    targets()                                     # {"tensorboard": "Event files ...", ...}
    export(Run("results/my-run"), "tensorboard")  # where it was written

This package may import `storage`, `studies`, `analysis` and the packages below them.
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from bench.errors import UserError, nearest, needed

if TYPE_CHECKING:
    from bench.storage.run_folder import RunFolder


def targets() -> dict[str, str]:
    """Target -> what it writes, from the docstrings; the modules are read, not imported."""
    folder = Path(__file__).parent
    names = sorted(module.name for module in iter_modules([str(folder)]))
    docs = {name: ast.get_docstring(ast.parse((folder / f"{name}.py").read_text("utf-8"))) for name in names}
    return {name: (doc or "").partition("\n")[0] for name, doc in docs.items()}


def export(run: RunFolder, target: str, to: Path | None = None) -> Path:
    """Export a run to another tool; returns the path of the export, ``to`` if given.

    Raises UserError for wrong use, if the tool's package is not installed, or if the path cannot be written.
    """
    descriptions = targets()
    if target not in descriptions:
        raise UserError(f"unknown target {target!r}; {nearest(target, descriptions)}")
    with needed(f"export to {target}", "export"):
        path: Path = import_module(f"bench.report.export.{target}").export(run, to)
    return path
