"""Where chunks are executed: in this process, or in J slots of one process each.

A slot is a ProcessPoolExecutor of one worker: if it is killed, exactly its chunk is lost. Workers are forked from a
server that has torch loaded and its threads pinned, so that they start fast and do not fight; a worker whose parent
dies ends itself. Workers return bytes; the coordinator alone writes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Any

from bench.plan import Chunk

PINNED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class Done:
    """What became of a chunk: the bytes of its files, or the traceback of what it raised."""

    files: dict[str, bytes]
    error: str = ""


def work(chunk: Chunk, progress: Callable[[float], None]) -> Done:
    """Execute one chunk; an exception is a result, not a crash."""
    import torch

    from bench.execute import execute
    from bench.store import pack

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums split over threads would change last bits from machine to machine
    try:
        return Done(pack(chunk, execute(chunk, progress)))
    except Exception:
        return Done({}, traceback.format_exc())
    finally:
        torch.set_num_threads(threads)


class Here:
    """One slot in this process: the simplest engine, and the one to debug with.

    Args:
        beat: called now and then while a chunk trains.
    """

    size = 1

    def __init__(self, beat: Callable[[], None]) -> None:
        self.beat, self.cost = beat, 0.0
        self.submitted: tuple[Future[Done], Chunk] | None = None

    def submit(self, slot: int, chunk: Chunk) -> Future[Done]:
        future: Future[Done] = Future()
        self.submitted, self.cost = (future, chunk), 0.0
        return future

    def advance(self) -> None:
        """Execute what was submitted."""
        if self.submitted is not None:
            future, chunk = self.submitted
            self.submitted = None
            future.set_result(work(chunk, self._tell))

    def _tell(self, cost: float) -> None:
        self.cost = cost
        self.beat()

    def running(self, slot: int) -> float:
        return self.cost

    def close(self, kill: bool = False) -> None:
        pass


class Slots:
    """J slots, each a process of its own."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.context = _context()
        self.pulses: list[Any] = [self.context.Value("d", 0.0, lock=False) for _ in range(size)]
        self.pools: list[ProcessPoolExecutor | None] = [None] * size

    def submit(self, slot: int, chunk: Chunk) -> Future[Done]:
        self.pulses[slot].value = 0.0
        try:
            return self._pool(slot).submit(_work_here, chunk)
        except BrokenProcessPool:  # its process was killed: it gets a new one
            self.pools[slot] = None
            return self._pool(slot).submit(_work_here, chunk)

    def _pool(self, slot: int) -> ProcessPoolExecutor:
        pool = self.pools[slot]
        if pool is None:
            begin = (os.getpid(), self.pulses[slot])
            pool = ProcessPoolExecutor(1, mp_context=self.context, initializer=_begin, initargs=begin)
            self.pools[slot] = pool
        return pool

    def advance(self) -> None:
        """The slots advance by themselves."""

    def running(self, slot: int) -> float:
        """Cost done so far of the chunk that is training in the slot."""
        return float(self.pulses[slot].value)

    def close(self, kill: bool = False) -> None:
        if kill:
            _kill_server()
        for pool in self.pools:
            if pool is None:
                continue
            processes = list((pool._processes or {}).values())
            if kill:
                for process in processes:
                    process.kill()
            pool.shutdown(wait=True, cancel_futures=True)


def _context() -> BaseContext:
    """A fork server with torch loaded and threads pinned before that; spawned processes where there is none."""
    kept = {key: os.environ.get(key) for key in PINNED}
    os.environ.update(dict.fromkeys(PINNED, "1"))
    try:
        if "forkserver" not in multiprocessing.get_all_start_methods():
            return multiprocessing.get_context("spawn")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["bench.execute", "bench.store", "bench.metrics"])
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


def _kill_server() -> None:
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


_pulse: Any = None


def _begin(parent: int, pulse: Any) -> None:
    """A worker's first act: leave Ctrl-C to the coordinator, and end when the coordinator has died."""
    global _pulse
    _pulse = pulse
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while True:
        time.sleep(1)
        try:
            os.kill(parent, 0)
        except OSError:
            os._exit(1)


def _tell(cost: float) -> None:
    _pulse.value = cost


def _work_here(chunk: Chunk) -> Done:
    return work(chunk, _tell)
