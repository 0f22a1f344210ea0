"""A run for other tools to look at, made of its stored records alone: nothing is trained, no network is asked.

A target is a module of this package with a function ``export(run, to) -> Path``; its docstring's first line says what
it writes. It stands in the way of nobody: what a tool needs to be installed is imported once it is asked for.

    from bench import Run
    from bench.report.export import export, targets

    targets()                                     # {"tensorboard": "Event files ...", ...}
    export(Run("results/my-run"), "tensorboard")  # where it was written

This package may import `storage`, `studies`, `analysis` and what is below them.
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
    """What there is to export to, each with what it writes; the modules are read, not imported."""
    folder = Path(__file__).parent
    names = sorted(module.name for module in iter_modules([str(folder)]))
    docs = {name: ast.get_docstring(ast.parse((folder / f"{name}.py").read_text("utf-8"))) for name in names}
    return {name: (doc or "").partition("\n")[0] for name, doc in docs.items()}


def export(run: RunFolder, target: str, to: Path | None = None) -> Path:
    """Write what a run has for another tool; returns where it is, ``to`` if that is given.

    Raises UserError for wrong use, where the tool's package is not installed, and where the place cannot be written.
    """
    known = targets()
    if target not in known:
        raise UserError(f"unknown target {target!r}; {nearest(target, known)}")
    with needed(f"export to {target}", "export"):
        path: Path = import_module(f"bench.report.export.{target}").export(run, to)
    return path
