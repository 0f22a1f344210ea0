"""Execution of chunks on one machine: in this process, or in J slots of one process each.

A slot is a ProcessPoolExecutor of one worker: if it is killed, exactly its chunk is lost. Workers are forked from a
server that has torch loaded and its threads pinned, so that they start fast and do not fight; a worker whose parent
dies ends itself, one that hangs is ended. Workers return bytes; the coordinator alone writes.

A plug-in that any process finds trains in a slot of its own even where there is one job: it may end its process or
hang. What the caller's own program defines may be known to no other process (`bench.execution.references`); with one
job it trains here.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench.execution.engine import ChunkResult, RunOptions, work
from bench.execution.references import MAIN, Reference, origin_of, plugins_of, register
from bench.execution.watchdog import GRACE, WorkerMonitor, hiding_main, kill_all, kill_server, leave_traces, new_context
from bench.numerics.kernels.core import VARIABLE
from bench.studies.plan import Chunk
from bench.studies.study import Study


def origins(study: Study) -> set[str]:
    """The origins of a study's rules, games and metrics: ``bench.registry.discovery.origin`` of each."""
    return set(map(origin_of, plugins_of(study)))


class InProcessEngine:
    """One slot in this process: the simplest engine, and the one to debug with.

    Args:
        beat: the heartbeat while a chunk trains.
        checkpoints: the folder for the checkpoints of long chunks.
        keep_weights: which report replicas' final parameters are asked for.
    """

    size = 1
    worker_errors: tuple[type[BaseException], ...] = ()

    def __init__(self, beat: Callable[[], None], checkpoints: Path | None = None, keep_weights: str = "none") -> None:
        self.beat, self.checkpoints, self.keep_weights, self.cost = beat, checkpoints, keep_weights, 0.0
        self.submitted: tuple[Future[ChunkResult], Chunk] | None = None

    def submit(self, slot: int, chunk: Chunk) -> Future[ChunkResult]:
        future: Future[ChunkResult] = Future()
        self.submitted, self.cost = (future, chunk), 0.0
        return future

    def advance(self) -> None:
        """Execute what was submitted."""
        if self.submitted is not None:
            future, chunk = self.submitted
            self.submitted = None
            future.set_result(work(chunk, self._tell, checkpoints=self.checkpoints, keep_weights=self.keep_weights))

    def _tell(self, cost: float) -> None:
        self.cost = cost
        self.beat()

    def running(self, slot: int) -> float:
        return self.cost

    def reap(self, slot: int) -> WorkerMonitor:
        raise AssertionError("a process does not see its own end")

    def close(self, kill: bool = False) -> None:
        pass


class ProcessEngine:
    """J slots, each a process of its own."""

    worker_errors: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __init__(self, size: int) -> None:
        self.size = size
        self.patience = self.timeout = math.inf
        """Seconds after which a chunk's process is ended: without a sign of monitor, and at all."""
        self.checkpoints: Path | None = None
        """The folder in which long chunks keep their state."""
        self.keep_weights = "none"
        """Which report replicas' final parameters are asked for."""
        self.home: Path | None = None
        """The folder that relative paths of plug-ins start at; where none is given, the current one."""
        self.runs_main = True
        """Whether workers import the caller's script, to know what it defines."""
        self.references: tuple[Reference, ...] = ()
        """Where workers find what the caller gave."""
        self.context = new_context()
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.monitors = [WorkerMonitor(self.context, self.folder / str(slot)) for slot in range(size)]
        self.pools: list[ProcessPoolExecutor | None] = [None] * size
        self.futures: list[Future[ChunkResult] | None] = [None] * size

    def agree(self, options: RunOptions) -> None:
        """Use a run's options for all further chunks."""
        self.patience, self.timeout = options.patience, options.timeout
        self.checkpoints, self.keep_weights = options.checkpoints, options.keep_weights

    def submit(self, slot: int, chunk: Chunk) -> Future[ChunkResult]:
        self.monitors[slot].begin()
        try:
            future = self._start(slot, chunk)
        except BrokenProcessPool:  # its process was killed: it gets a new one
            self.pools[slot] = None
            future = self._start(slot, chunk)
        self.futures[slot] = future
        return future

    def _start(self, slot: int, chunk: Chunk) -> Future[ChunkResult]:
        if chunk.device == "cuda" and (count := torch.cuda.device_count()) > 1:  # the devices in turn
            chunk = replace(chunk, device=f"cuda:{slot % count}")
        pool, monitor = self.pools[slot], self.monitors[slot]
        if pool is None:
            monitor.trace.unlink(missing_ok=True)
            begin = (monitor.pulse, monitor.signs, monitor.trace, self.home, os.environ.get(VARIABLE), self.references)
            pool = ProcessPoolExecutor(1, mp_context=self.context, initializer=_begin, initargs=begin)
            self.pools[slot] = pool
        with hiding_main(not self.runs_main):
            future = pool.submit(_work_here, chunk, self.checkpoints, self.keep_weights)
        (monitor.process,) = pool._processes.values()
        return future

    def advance(self) -> None:
        """End slots that hang; the others need no help."""
        for future, monitor in zip(self.futures, self.monitors, strict=True):
            if future is not None and not future.done():
                monitor.poll(self.patience, self.timeout)

    def reap(self, slot: int) -> WorkerMonitor:
        """The monitor of a slot's ended process; the next chunk gets a new process."""
        pool, self.pools[slot] = self.pools[slot], None
        if pool is not None:
            pool.shutdown(wait=True)  # it alone may ask how its process ended
        return self.monitors[slot]

    def running(self, slot: int) -> float:
        """Cost done so far of the chunk that is training in the slot."""
        return float(self.monitors[slot].pulse.value)

    def close(self, kill: bool = False) -> None:
        """End the processes; one that does not end by itself, because of a plug-in's threads, is killed."""
        if kill:
            kill_server()
        pools = [pool for pool in self.pools if pool is not None]
        processes = [process for pool in pools for process in (pool._processes or {}).values()]
        late = threading.Timer(0 if kill else GRACE, kill_all, [processes])
        late.start()
        for pool in pools:
            pool.shutdown(wait=True, cancel_futures=True)
        late.cancel()
        shutil.rmtree(self.folder, ignore_errors=True)


def engine(options: RunOptions, beat: Callable[[], None]) -> InProcessEngine | ProcessEngine:
    """The engine for a study's chunks on this machine."""
    if options.in_process:
        return InProcessEngine(beat, options.checkpoints, options.keep_weights)
    slots = ProcessEngine(options.jobs)
    slots.agree(options)
    slots.runs_main = any(one.module == MAIN for one in options.references)
    slots.references = options.references
    return slots


_pulse: Any = None
_signs: Any = None
_references: tuple[Reference, ...] = ()


def _begin(
    pulse: Any, signs: Any, trace: Path, home: Path | None, core: str | None, references: tuple[Reference, ...]
) -> None:
    """The start of a worker: it ignores Ctrl-C, which the coordinator handles, and ends when the coordinator dies."""
    global _pulse, _signs, _references
    _pulse, _signs, _references = pulse, signs, references
    if home is not None and home.is_dir():
        os.chdir(home)
    with suppress(OSError):  # if memory runs out, the system should end this process first
        Path("/proc/self/oom_score_adj").write_text("1000")
    os.environ.pop(VARIABLE, None)  # the server that forks workers may be older than the run
    if core is not None:
        os.environ[VARIABLE] = core
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_traces(trace)
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    coordinator = multiprocessing.parent_process()
    assert coordinator is not None
    coordinator.join()  # returns when its pipe closes; its process id may exist longer than that
    os._exit(1)


def _tell(cost: float) -> None:
    _pulse.value = cost


def _beat() -> None:
    _signs.value += 1


def _work_here(chunk: Chunk, checkpoints: Path | None, keep_weights: str) -> ChunkResult:
    _beat()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # as where a plug-in's file is loaded
            register(_references)
    except BaseException:  # a module that raises or exits costs its own chunks
        return ChunkResult({}, traceback.format_exc())
    try:
        return work(chunk, _tell, _beat, checkpoints, keep_weights)
    except KeyboardInterrupt:  # the plug-in's own: Ctrl-C is the coordinator's
        return ChunkResult({}, traceback.format_exc())
