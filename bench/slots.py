"""Where chunks are executed: in this process, or in J slots of one process each.

A slot is a ProcessPoolExecutor of one worker: if it is killed, exactly its chunk is lost. Workers are forked from a
server that has torch loaded and its threads pinned, so that they start fast and do not fight; a worker whose parent
dies ends itself, one that hangs is ended. Workers return bytes; the coordinator alone writes.

A plug-in that any process finds trains in a slot of its own even where there is one job: it may end its process or
hang. What the caller's own program defines may be known to no other process; with one job it trains here.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contracts import nested
from bench.life import GRACE, Life, hiding_main, kill_all, kill_server, leave_traces, new_context
from bench.plan import Chunk
from bench.plugins import origin
from bench.registry import get_game, get_rule, metrics
from bench.spec import Study


@dataclass
class Done:
    """What became of a chunk: the bytes of its files, none where it failed; the traceback of what was raised."""

    files: dict[str, bytes]
    error: str = ""


def origins(study: Study) -> set[str]:
    """Where the rules, games and metrics of a study come from: ``bench.plugins.origin`` of each."""
    games = [get_game(game) for game in study.games]
    found: set[str] = set(map(origin, games))
    things: list[Any] = [get_rule(rule) for rule in study.optimizers]
    while things:
        found.add(origin(thing := things.pop()))
        things += nested(thing).values()
    known = (metrics[name] for name in metrics.names())
    return found | {origin(one.function) for one in known if any(map(one.judges, games))}


def work(chunk: Chunk, progress: Callable[[float], None], beat: Callable[[], None] = lambda: None) -> Done:
    """Execute one chunk; what it raises is a result, not a crash, be it ``sys.exit``: but not Ctrl-C."""
    import torch

    from bench.execute import execute
    from bench.store import pack

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums split over threads would change last bits from machine to machine
    try:
        result = execute(chunk, progress, beat)
        return Done(pack(chunk, result), "\n".join(result.errors.values()))
    except KeyboardInterrupt:
        raise
    except BaseException:
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
        self.patience = math.inf
        """Seconds without a sign of life after which a chunk's process is ended."""
        self.runs_main = True
        """Whether workers import the caller's script, to know what it defines."""
        self.context = new_context()
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.lives = [Life(self.context, self.folder / str(slot)) for slot in range(size)]
        self.pools: list[ProcessPoolExecutor | None] = [None] * size
        self.futures: list[Future[Done] | None] = [None] * size

    def submit(self, slot: int, chunk: Chunk) -> Future[Done]:
        self.lives[slot].begin()
        try:
            future = self._start(slot, chunk)
        except BrokenProcessPool:  # its process was killed: it gets a new one
            self.pools[slot] = None
            future = self._start(slot, chunk)
        self.futures[slot] = future
        return future

    def _start(self, slot: int, chunk: Chunk) -> Future[Done]:
        pool, life = self.pools[slot], self.lives[slot]
        if pool is None:
            life.trace.unlink(missing_ok=True)
            begin = (os.getpid(), life.pulse, life.signs, life.trace)
            pool = ProcessPoolExecutor(1, mp_context=self.context, initializer=_begin, initargs=begin)
            self.pools[slot] = pool
        with hiding_main(not self.runs_main):
            future = pool.submit(_work_here, chunk)
        (life.process,) = pool._processes.values()
        return future

    def advance(self) -> None:
        """The slots advance by themselves; one that hangs is ended."""
        for future, life in zip(self.futures, self.lives, strict=True):
            if future is not None and not future.done():
                life.look(self.patience)

    def bury(self, slot: int) -> Life:
        """The life of a slot's process that is gone; the next chunk gets a new one."""
        pool, self.pools[slot] = self.pools[slot], None
        if pool is not None:
            pool.shutdown(wait=True)  # it alone may ask how its process ended
        return self.lives[slot]

    def running(self, slot: int) -> float:
        """Cost done so far of the chunk that is training in the slot."""
        return float(self.lives[slot].pulse.value)

    def close(self, kill: bool = False) -> None:
        """End the processes; one that does not end by itself, for a plug-in's threads go on, is killed."""
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


def engine(known: set[str], jobs: int, patience: float, beat: Callable[[], None]) -> Here | Slots:
    """Where a study's chunks train; ``known`` says where its rules, games and metrics come from."""
    if jobs == 1 and ("own" in known or "outside" not in known):
        return Here(beat)
    slots = Slots(jobs)
    slots.patience, slots.runs_main = patience, "own" in known
    return slots


_pulse: Any = None
_signs: Any = None


def _begin(parent: int, pulse: Any, signs: Any, trace: Path) -> None:
    """A worker's first act: leave Ctrl-C to the coordinator, and end when the coordinator has died."""
    global _pulse, _signs
    _pulse, _signs = pulse, signs
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_traces(trace)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    coordinator = multiprocessing.parent_process()
    if coordinator is not None:  # it counts as there for as long as nobody has asked how it ended: its pipe tells more
        coordinator.join()
        os._exit(1)
    while True:
        time.sleep(1)
        try:
            os.kill(parent, 0)
        except OSError:
            os._exit(1)


def _tell(cost: float) -> None:
    _pulse.value = cost


def _beat() -> None:
    _signs.value += 1


def _work_here(chunk: Chunk) -> Done:
    _beat()
    try:
        return work(chunk, _tell, _beat)
    except KeyboardInterrupt:  # the plug-in's own: Ctrl-C is the coordinator's
        return Done({}, traceback.format_exc())
