"""Engines by name: they execute a run's chunks, on one machine or on many; none changes a result.

An engine is a module of this package with a function ``engine(options, beat) -> Engine`` (`bench.execution.engine`);
its docstring's first line says where chunks train. What it needs to be installed is imported once it is asked for.

    engine = begin("local", options, beat)
    engine.submit(0, chunk).result()  # the bytes of the chunk's records

This package may import the rest of `execution` and what is below it; nothing there imports an engine by name.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from bench.errors import UserError, nearest, needed
from bench.execution.engine import Engine, RunOptions


def engines() -> list[str]:
    """The names of all engines."""
    return sorted(module.name for module in iter_modules([str(Path(__file__).parent)]))


def check(name: str, scheduler: str = "") -> None:
    """Refuse an engine that is not known or lacks a package, before anything is written; UserError."""
    names = engines()
    if name not in names:
        raise UserError(f"unknown engine {name!r}; {nearest(name, names)}")
    if scheduler and name != "dask":
        raise UserError(f"scheduler is for the engine dask; the engine is {name}")
    with needed(f"engine {name}", "dask"):
        import_module(f"bench.execution.engines.{name}")


def begin(name: str, options: RunOptions, beat: Callable[[], None]) -> Engine:
    """Start an engine; ``beat`` is its heartbeat while a chunk trains in this process."""
    engine: Engine = import_module(f"bench.execution.engines.{name}").engine(options, beat)
    return engine
