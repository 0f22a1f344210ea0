"""Where chunks are executed: in this process, or in J slots of one process each.

A slot is a ProcessPoolExecutor of one worker: if it is killed, exactly its chunk is lost. Workers are forked from a
server that has torch loaded and its threads pinned, so that they start fast and do not fight; a worker whose parent dies
ends itself. Workers return bytes; the coordinator alone writes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from concurrent.futures import Future, ProcessPoolExecutor
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


def work(chunk: Chunk, pulse: Any = None) -> Done:
    """Execute one chunk; an exception is a result, not a crash."""
    import torch

    from bench.execute import execute
    from bench.store import pack

    def progress(cost: float) -> None:
        if pulse is not None:
            pulse.value = cost

    torch.set_num_threads(1)
    try:
        return Done(pack(chunk, execute(chunk, progress)))
    except Exception:
        return Done({}, traceback.format_exc())


class Here:
    """One slot in this process: the simplest engine, and the one to debug with."""

    size = 1

    def __init__(self) -> None:
        self.pulse = _Pulse()

    def submit(self, slot: int, chunk: Chunk) -> Future[Done]:
        future: Future[Done] = Future()
        future.set_result(work(chunk, self.pulse))
        return future

    def running(self, slot: int) -> float:
        return 0.0

    def close(self, kill: bool = False) -> None:
        pass


class _Pulse:
    value = 0.0


class Slots:
    """J slots, each a process of its own."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.context = _context()
        self.pulses: list[Any] = [self.context.Value("d", 0.0, lock=False) for _ in range(size)]  # type: ignore[attr-defined]
        self.pools: list[ProcessPoolExecutor | None] = [None] * size

    def submit(self, slot: int, chunk: Chunk) -> Future[Done]:
        self.pulses[slot].value = 0.0
        pool = self.pools[slot]
        if pool is None:
            pool = self.pools[slot] = ProcessPoolExecutor(
                1, mp_context=self.context, initializer=_begin, initargs=(os.getpid(), self.pulses[slot])
            )
        return pool.submit(_work_here, chunk)

    def running(self, slot: int) -> float:
        """Cost done so far of the chunk that is training in the slot."""
        return float(self.pulses[slot].value)

    def renew(self, slot: int) -> None:
        """Give the slot a new process, where its own was killed."""
        pool, self.pools[slot] = self.pools[slot], None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self, kill: bool = False) -> None:
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
        from multiprocessing.forkserver import ensure_running

        ensure_running()
        return context
    finally:
        for key, value in kept.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


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


def _work_here(chunk: Chunk) -> Done:
    return work(chunk, _pulse)
