"""Worker processes watched: what it is forked from, whether it goes on, where it stood, how it ended.

A worker gives signs of life through shared memory. Where it hangs or dies is written by Python's faulthandler into a
file that the coordinator reads: it needs nothing of the code that hangs, not even the GIL.
"""

from __future__ import annotations

import faulthandler
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, NoReturn, TextIO

GRACE = 5.0
"""Seconds for a process to say where it stands, or to end when it has nothing left to do."""
LOOK = 1.0  # seconds that one poll counts at most: a coordinator that itself was stopped has not seen a worker hang
MEMORY = ", as the system does where memory runs out"
PINNED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PRELOADED = [
    "bench.execution.training",
    "bench.execution.checkpoints",
    "bench.storage.records",
    "bench.games.harness.images",
]
SHIPPED = ("bench.games", "bench.metrics", "optimizers")

_left: TextIO | None = None


class WorkerMonitor:
    """What one slot's worker tells while it works, and what was seen of it.

    Args:
        context: where processes and shared memory come from.
        trace: the file in which a worker says where it stood.
    """

    def __init__(self, context: BaseContext, trace: Path) -> None:
        self.pulse: Any = context.Value("d", 0.0, lock=False)
        self.signs: Any = context.Value("Q", 0, lock=False)
        self.trace = trace
        self.process: BaseProcess | None = None
        self.begin()

    def begin(self) -> None:
        """Another chunk; it counts from the worker's first sign, for to start a process takes as long as it takes."""
        self.pulse.value, self.signs.value = 0.0, 0
        self.outlasted = self.overran = math.inf
        self._silent, self._spent, self._looked, self._known = 0.0, 0.0, time.monotonic(), 0

    @property
    def hung(self) -> bool:
        """Whether the process was ended because it hung."""
        return self.outlasted < math.inf

    @property
    def final(self) -> bool:
        """Whether the chunk is not to be tried again: what hung or took too long once would again."""
        return self.hung or self.overran < math.inf

    def poll(self, patience: float, timeout: float = math.inf) -> None:
        """End the process if it has given no sign of life for ``patience`` seconds, or has taken ``timeout`` in all."""
        now, signs = time.monotonic(), self.signs.value
        passed = min(now - self._looked, LOOK) if signs else 0.0
        self._spent += passed
        self._silent = 0.0 if signs != self._known else self._silent + passed
        self._looked, self._known = now, signs
        if self.final:
            return
        if self._silent > patience:
            self.outlasted = patience
            self._stop()
        elif self._spent > timeout:
            self.overran = timeout
            self._stop()

    def _stop(self) -> None:
        """Ask where it stands, where that can be asked, then kill."""
        assert self.process is not None
        if hasattr(faulthandler, "register") and self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGUSR1)
            end, before = time.monotonic() + GRACE, ""
            while time.monotonic() < end and not (before and before == self._told()):
                before = self._told()
                time.sleep(0.1)
        self.process.kill()

    def _told(self) -> str:
        return self.trace.read_text("utf-8", "replace") if self.trace.exists() else ""

    def describe(self, times: int) -> str:
        """Where a process that is gone stood, as far as it could tell, and how it ended."""
        code = self.process.exitcode if self.process is not None else None
        if self.hung:
            how = f"the chunk's process gave no sign of life for {self.outlasted:g} s and was ended"
        elif self.final:
            how = f"the chunk's process took longer than the timeout of {self.overran:g} s and was ended"
        elif code is None or code < 0:
            how = f"the chunk's process was killed {times} times, the last time by {_signal(code)}"
            how += MEMORY if code == -getattr(signal, "SIGKILL", 9) else ""
        else:
            how = f"the chunk's process ended {times} times, the last time with exit code {code}"
        return f"{self._told()}\n{how}".lstrip()


def _signal(code: int | None) -> str:
    names = {-one.value: one.name for one in signal.Signals}
    return names.get(code or 0, f"signal {-code}" if code else "an unknown signal")


def leave_traces(path: Path) -> None:
    """A worker's part: asked to, where it crashes and where code calls ``os._exit``, it writes where it stands."""
    global _left
    _left = file = open(path, "w")  # noqa: SIM115  it stays open for as long as the process lives
    faulthandler.enable(file)
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR1, file)
    leave, worker = os._exit, os.getpid()

    def _exit(status: int) -> NoReturn:
        if os.getpid() == worker:  # and no process that it forked
            with suppress(Exception):
                faulthandler.dump_traceback(file, all_threads=False)
        leave(status)

    os._exit = _exit


@contextmanager
def hiding_main(hide: bool) -> Iterator[None]:
    """A new process finds no script to import: one without a guard would itself begin a run there."""
    main = sys.modules["__main__"]
    if hide:
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _shipped() -> list[str]:
    """The modules of the rules, games and metrics that ship: every worker would import them before its first chunk."""
    specs = [find_spec(package) for package in SHIPPED]
    places = {spec.name: spec.submodule_search_locations or () for spec in specs if spec is not None}
    return [f"{package}.{module.name}" for package, where in places.items() for module in iter_modules(where)]


def new_context() -> BaseContext:
    """A fork server with torch loaded and threads pinned before that; spawned processes where there is none."""
    kept = {key: os.environ.get(key) for key in PINNED}
    os.environ.update(dict.fromkeys(PINNED, "1"))
    try:
        if "forkserver" not in multiprocessing.get_all_start_methods():
            return multiprocessing.get_context("spawn")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED + _shipped())
        # The server is started here, inside the pinned environment, not at the first worker.
        # It inherits that Ctrl-C is ignored, or the terminal's would reach it while it imports.
        from multiprocessing.forkserver import ensure_running

        with _ignoring_interrupts():
            ensure_running()
        return context
    finally:
        for key, value in kept.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def kill_all(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.kill()


def kill_server() -> None:
    """End the fork server: while it imports, a worker may be ordered that it would fork for nobody."""
    from multiprocessing import forkserver

    pid = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only there can a handler be set
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
