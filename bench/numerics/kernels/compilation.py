"""Kernels are compiled for one type of numbers, when they are first needed, and kept on disk.

A kernel's annotations are its signature, so that each is compiled once a type. What it is compiled from is part of the
name of the folder that it is kept in: numba itself looks at the kernel's own file alone, and would not notice that
another kernel, which is compiled into it, has changed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pooch
from filelock import FileLock
from numba import types
from numba.core.dispatcher import Dispatcher

from bench.numerics.kernels.core import blas

Number = float
"""One number of a kernel's type."""
Numbers = npt.NDArray[np.floating]
"""Numbers in one dimension, contiguous."""
Stack = npt.NDArray[np.floating]
"""Numbers in two dimensions, [R, n], contiguous."""
Double = npt.NDArray[np.float64]
"""Numbers in one dimension, float64 whatever the kernel's type is."""
Flags = npt.NDArray[np.bool_]
"""Truth values in one dimension."""
Whole = npt.NDArray[np.int64]
"""Whole numbers in one dimension."""
Program = npt.NDArray[np.int64]
"""A network's layers, whole numbers in two dimensions; see `layers`."""

FAST = {"reassoc", "contract", "nsz", "arcp"}  # never nnan or ninf: divergence must show as NaN
KINDS = {"float32": types.float32, "float64": types.float64}
_compiled: set[tuple[str, str]] = set()


def kernel(function: Callable[..., Any]) -> Any:
    """A function that is compiled by `ready`, by its annotations.

    Sums may be added in another order, so that they become vectors. A division by zero gives infinity, because a test
    of every divisor would keep a loop from becoming vectors.
    """
    return _compiled_later(function)


def piece(function: Callable[..., Any]) -> Any:
    """A function that kernels alone call: what Python would call it by takes longest to compile where it is short."""
    return _compiled_later(function, no_cpython_wrapper=True)


def _compiled_later(function: Callable[..., Any], **more: bool) -> Any:
    with _kept_in(_folder()):
        return numba.njit(fastmath=FAST, error_model="numpy", cache=True, no_cfunc_wrapper=True, **more)(function)


def ready(wanted: Any, dtype: str) -> Any:
    """The kernel, compiled for numbers of a type after all that it calls."""
    function = wanted.py_func
    key = (f"{function.__module__}.{function.__name__}", dtype)
    if key not in _compiled and blas():  # whose products LLVM knows from here on
        for called in map(function.__globals__.get, function.__code__.co_names):
            if isinstance(called, Dispatcher):
                ready(called, dtype)
        with FileLock(_folder() / ".lock"):  # whoever is second finds it done
            wanted.disable_compile(False)
            wanted.compile(_signature(function, KINDS[dtype]))
            wanted.disable_compile()
        _compiled.add(key)
    return wanted


def _signature(function: Callable[..., Any], kind: Any) -> Any:
    known = {
        "int": types.intp, "bool": types.boolean, "float": types.float64, "None": types.void, "Number": kind,
        "Numbers": kind[::1], "Stack": kind[:, ::1], "Double": types.float64[::1],
        "Flags": types.boolean[::1], "Whole": types.intp[::1], "Program": types.intp[:, ::1],
    }  # fmt: skip
    given = dict(function.__annotations__)
    result = known[given.pop("return")]
    return result(*(known[name] for name in given.values()))


@cache
def _folder() -> Path:
    """Where compiled kernels are kept: in the user's cache, or for now alone where that cannot be written."""
    sources = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        sources.update(path.read_bytes())
    name = f"kernels-{sources.hexdigest()[:16]}"
    uid = os.getuid() if hasattr(os, "getuid") else 0
    for base in (Path(pooch.os_cache("gan-optimizer-bench")), Path(tempfile.gettempdir()) / f"bench-{uid}"):
        folder = base / name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK) and (not uid or base.stat().st_uid == uid):  # machine code: nobody else's
            return folder
    return Path(tempfile.mkdtemp(prefix="bench-kernels-"))


@contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    """numba looks where to keep a function when it is decorated."""
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before
