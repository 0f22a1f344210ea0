"""Monitoring of worker processes: how they start, their heartbeat, their stack when they hang, how they ended.

A worker sends heartbeats through shared memory. When it hangs or dies, Python's faulthandler writes its stack into a
file that the coordinator reads: this works even if the hanging code holds the GIL.
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
LOOK = 1.0  # seconds that one poll counts at most: a pause of the coordinator itself is not a hang of the worker
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
    """The heartbeat and the progress of one slot's worker.

    Args:
        context: creates processes and shared memory.
        trace: the file for a worker's stack trace.
    """

    def __init__(self, context: BaseContext, trace: Path) -> None:
        self.pulse: Any = context.Value("d", 0.0, lock=False)
        self.signs: Any = context.Value("Q", 0, lock=False)
        self.trace = trace
        self.process: BaseProcess | None = None
        self.begin()

    def begin(self) -> None:
        """Start a new chunk; its time counts from the worker's first heartbeat, without the start of the process."""
        self.pulse.value, self.signs.value = 0.0, 0
        self.outlasted = self.overran = math.inf
        self._silent, self._spent, self._looked, self._last_signs = 0.0, 0.0, time.monotonic(), 0

    @property
    def hung(self) -> bool:
        """Whether the process was ended because it hung."""
        return self.outlasted < math.inf

    @property
    def final(self) -> bool:
        """Whether the chunk must not be tried again: a chunk that hung or timed out would do so again."""
        return self.hung or self.overran < math.inf

    def poll(self, patience: float, timeout: float = math.inf) -> None:
        """End the process after ``patience`` seconds without a heartbeat, or after ``timeout`` seconds in all."""
        time_now, signs = time.monotonic(), self.signs.value
        passed = min(time_now - self._looked, LOOK) if signs else 0.0
        self._spent += passed
        self._silent = 0.0 if signs != self._last_signs else self._silent + passed
        self._looked, self._last_signs = time_now, signs
        if self.final:
            return
        if self._silent > patience:
            self.outlasted = patience
            self._stop()
        elif self._spent > timeout:
            self.overran = timeout
            self._stop()

    def _stop(self) -> None:
        """Request a stack trace, where that is possible, then kill the process."""
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
        """How an ended process stopped, with its last stack trace if there is one."""
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
    """Runs in the worker: write the stack on request, in a crash and where code calls ``os._exit``."""
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
    """Hide the main script from new processes: without an import guard it would start a run there."""
    main = sys.modules["__main__"]
    if hide:
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _shipped() -> list[str]:
    """The modules of the shipped rules, games and metrics, which every worker needs before its first chunk."""
    specs = [find_spec(package) for package in SHIPPED]
    places = {spec.name: spec.submodule_search_locations or () for spec in specs if spec is not None}
    return [f"{package}.{module.name}" for package, where in places.items() for module in iter_modules(where)]


def new_context() -> BaseContext:
    """A fork server with torch loaded and threads pinned; spawned processes where forking is not available."""
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
    """End the fork server: while it imports, it may hold a request for a worker that nobody needs any more."""
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
