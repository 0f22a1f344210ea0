"""Many machines: the workers of a scheduler of dask's, one slot for each of their threads.

Rocklin 2015 (Proc. 14th Python in Science Conf.). What dask does is left to it: a chunk whose worker is lost goes to
another, up to the scheduler's ``allowed-failures``; an exception is not tried again (``retries=0``), and no chunk is
taken for another (``pure=False``). A worker's thread only hosts a slot, a process of its own as on one machine
(`bench.execution.process_pool`), so that a chunk that hangs, exits or runs out of memory costs neither the worker nor
its neighbours.
"""

from __future__ import annotations

import math
import multiprocessing.process
import multiprocessing.util
import os
import platform
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from bench.errors import UserError
from bench.execution.engine import RETRIES, ChunkResult, EngineLost, RunOptions
from bench.execution.process_pool import ProcessEngine
from bench.numerics.kernels.core import core
from bench.numerics.runtime import version
from bench.studies.plan import PROTOCOL, Chunk

distributed: Any = import_module("distributed")  # untyped

REACHED = 30.0
"""Seconds in which a scheduler is to answer, and after which one that was lost is given up."""
TOLD = 1.0  # seconds between a worker's reports of progress
GOING_ON = ("released", "waiting", "executing", "long-running", "resumed", "ready", "constrained")

Versions = dict[str, str]


@dataclass(frozen=True)
class Home:
    """The run's environment on the client: what a worker on another machine needs to reproduce it."""

    topic: str  # of the progress events
    folder: Path  # relative paths of plug-ins start there
    data: str | None
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Lost:
    """A chunk whose workers were lost one after the other."""

    text: str
    final = True

    def describe(self, times: int) -> str:
        return f"its workers were lost: {self.text}"


class Dask:
    """The workers of one scheduler.

    Args:
        client: connected to the scheduler.
        options: how chunks are executed; those on a worker of another machine are as patient.
        alone: seconds without any worker after which the run is given up.
        cluster: what is to be closed with it.
    """

    worker_errors: tuple[type[BaseException], ...] = (distributed.scheduler.KilledWorker,)

    def __init__(self, client: Any, options: RunOptions, alone: float, cluster: Any = None) -> None:
        self.client, self.options, self.alone, self.cluster = client, options, alone, cluster
        self.executor = client.get_executor(pure=False, retries=0)
        topic = f"bench-{client.id}"
        self.home = Home(topic, Path.cwd(), os.environ.get("BENCH_DATA"), tuple(versions().items()))
        self.told: dict[str, float] = {}
        self.slots: dict[int, tuple[str, Future[ChunkResult]]] = {}
        self.seen = time.monotonic()
        self.where = str(client.scheduler.address)
        client.subscribe_topic(topic, self._hear)

    @property
    def size(self) -> int:
        """Threads of all workers; one before any has connected, whose chunk waits."""
        return max(1, sum(self._threads()))

    def _threads(self) -> list[int]:
        workers: dict[str, Any] = self.client.scheduler_info(n_workers=-1).get("workers", {})
        return [worker["nthreads"] for worker in workers.values()]  # nothing is known of a scheduler that is gone

    def submit(self, slot: int, chunk: Chunk) -> Future[ChunkResult]:
        self.told.pop(chunk.id, None)
        future: Future[ChunkResult] = self.executor.submit(host, chunk, self.options, self.home)
        self.slots[slot] = (chunk.id, future)
        return future

    def advance(self) -> None:
        """Raise EngineLost if the scheduler is gone, or no worker connects in time."""
        if self.client.status not in ("running", "connecting"):
            raise EngineLost(f"the scheduler at {self.where} is gone")
        time_now = time.monotonic()
        connected = self.client.status == "running"
        if connected and self._threads():
            self.seen = time_now
        elif time_now - self.seen > (self.alone if connected else REACHED):
            what = "has no worker" if connected else "is gone"
            raise EngineLost(f"the scheduler at {self.where} {what}")

    def running(self, slot: int) -> float:
        return self.told.get(self.slots[slot][0], 0.0)

    def reap(self, slot: int) -> Lost:
        _, future = self.slots[slot]
        return Lost(str(future.exception()))

    def close(self, kill: bool = False) -> None:
        with suppress(Exception):  # what is gone already is closed
            if not kill:
                self.client.run(release, wait=False, on_error="ignore")
        with suppress(Exception):
            self.executor.shutdown(wait=False)
        with suppress(Exception):
            self.client.close(timeout=2)
        if self.cluster is not None:
            self.cluster.close(timeout=10)

    def _hear(self, event: tuple[float, Any]) -> None:
        chunk, cost = event[1]
        self.told[chunk] = cost


def engine(options: RunOptions, beat: Callable[[], None]) -> Dask:
    """The scheduler that is named; where none is, one of this machine alone, with as many workers as there are jobs."""
    refuse_own(options)
    if options.scheduler:
        return Dask(connected(options.scheduler), options, alone=600.0)
    cluster = distributed.LocalCluster(
        n_workers=options.jobs, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, processes=True
    )
    return Dask(distributed.Client(cluster), options, alone=60.0, cluster=cluster)


def refuse_own(options: RunOptions) -> None:
    """Refuse plug-ins that the caller's program defines: workers cannot import them."""
    if "own" in options.origins:
        raise UserError("a rule, game or metric of this very program is known to no worker: put it into a file")


def connected(scheduler: str) -> Any:
    """A client of the scheduler at an address, or at the one that its file holds."""
    named = {"address": scheduler} if "://" in scheduler else {"scheduler_file": scheduler}
    if "scheduler_file" in named and not Path(scheduler).is_file():
        raise UserError(f"scheduler is {scheduler!r}; an address, e.g. tcp://127.0.0.1:8786, or a file is allowed")
    try:
        return distributed.Client(**named, timeout=REACHED)
    except (OSError, ValueError, distributed.TimeoutError) as error:
        reason = str(error).partition("\n")[0]
        raise EngineLost(f"no scheduler answers at {scheduler}: {reason}") from None


def versions() -> Versions:
    """The versions that determine the last bits: workers must have the same."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"bench": version(), "protocol": PROTOCOL, "torch": torch.__version__, "python": python, **core()}


# What follows is done on a worker


_idle: dict[Path, list[ProcessEngine]] = {}
_lock = threading.Lock()


def host(chunk: Chunk, options: RunOptions, home: Home) -> ChunkResult:
    """Execute a chunk in a slot of this worker, and report its progress."""
    installed = versions()
    differ = ((name, installed.get(name), value) for name, value in home.versions)
    other = [f"{name} {found}, not {value}" for name, found, value in differ if found != value]
    if other:
        raise UserError(
            f"worker {distributed.get_worker().address} has {'; '.join(other)}: its results would be others"
        )
    with _lock:
        free = _idle.setdefault(home.folder, [])
        slots = free.pop() if free else None
    slots = slots or _new_slot(home)
    slots.agree(options)
    done = _alone(slots, chunk, home.topic)
    with _lock:
        _idle.setdefault(home.folder, []).append(slots)
    return done


def release() -> None:
    """End the idle slots."""
    with _lock:
        slots = [one for free in _idle.values() for one in free]
        _idle.clear()
    for one in slots:
        one.close()


def _new_slot(home: Home) -> ProcessEngine:
    if home.data is not None:
        os.environ.setdefault("BENCH_DATA", home.data)
    # A nanny makes its worker a daemon, which may have no children: ours end by themselves when the worker does.
    multiprocessing.process.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    multiprocessing.util.Finalize(None, release, exitpriority=10)  # before it waits for them
    slots = ProcessEngine(1)
    slots.runs_main, slots.home = False, home.folder
    return slots


def _alone(slots: ProcessEngine, chunk: Chunk, topic: str) -> ChunkResult:
    """One chunk from start to end, tried again where its process dies."""
    times, worker_exit = 0, None
    while times <= RETRIES and not (worker_exit and worker_exit.final):
        future = slots.submit(0, chunk)
        _attend(slots, future, chunk, topic)
        try:
            return future.result()
        except BrokenProcessPool:
            times, worker_exit = times + 1, slots.reap(0)
    assert worker_exit is not None
    return ChunkResult({}, worker_exit.describe(times))


def _attend(slots: ProcessEngine, future: Future[ChunkResult], chunk: Chunk, topic: str) -> None:
    """Wait for a slot's chunk, and end it if it is no longer requested."""
    worker, last = distributed.get_worker(), -math.inf
    key = worker.get_current_task()
    while not future.done():
        wait([future], timeout=0.2)
        slots.advance()
        task = worker.state.tasks.get(key)
        if task is None or task.state not in GOING_ON or worker.status.name not in ("running", "paused"):
            slots.close(kill=True)
            raise RuntimeError("nobody waits for this chunk any more")
        time_now = time.monotonic()
        if time_now - last > TOLD:
            last = time_now
            worker.log_event(topic, (chunk.id, slots.running(0)))
