"""The interface of engines: an engine takes chunks and returns futures; the work of a worker is the same everywhere.

Every engine executes a chunk by `work` in a process whose threads are pinned to one, and hands the bytes of its files
to the coordinator, which alone writes records. So the engine decides none of a study's numbers.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.execution.references import Reference
from bench.studies.plan import Chunk

RETRIES = 2
"""A chunk that ended its worker more often than this is an error."""


class EngineLost(Exception):  # noqa: N818  a state of other machines rather than an error of a cell
    """The scheduler or the workers are gone or never connected; all finished chunks are stored."""


@dataclass
class ChunkResult:
    """The result of a chunk: the bytes of its files, none if it failed, and the traceback of its error.

    ``weights`` are the files of its replicas' parameters by seed, and ``state`` is that of the whole training at its
    end, where they were asked for.
    """

    files: dict[str, bytes]
    error: str = ""
    weights: dict[int, bytes] = field(default_factory=dict)
    state: bytes = b""


@dataclass(frozen=True)
class RunOptions:
    """How a run's chunks are executed.

    Args:
        origins: of the study's rules, games and metrics; see ``bench.execution.process_pool.origins``.
        jobs: chunks that train side by side.
        patience: seconds without a heartbeat after which a chunk's process is ended.
        timeout: seconds after which it is ended in any case.
        scheduler: an address, or a file that holds it; "" for none.
        checkpoints: the folder for the checkpoints of long chunks; None for no checkpoints.
        keep_weights: which report replicas' parameters stay: workers send them unless it is ``none``, and with ``all``
            the state of the training too.
        references: where worker processes find what the running program gave.
    """

    origins: frozenset[str]
    jobs: int = 1
    patience: float = math.inf
    timeout: float = math.inf
    scheduler: str = ""
    checkpoints: Path | None = None
    keep_weights: str = "none"
    references: tuple[Reference, ...] = ()

    @property
    def in_process(self) -> bool:
        """Whether chunks train in the coordinator's own process; one there cannot be ended."""
        alone = self.jobs == 1 and math.isinf(self.timeout)
        return alone and ("own" in self.origins or "outside" not in self.origins)


class WorkerExit(Protocol):
    """How a chunk's worker ended."""

    @property
    def final(self) -> bool:
        """Whether the chunk must not be tried again."""
        ...

    def describe(self, times: int) -> str:
        """How the worker ended, and its last stack trace, as text."""
        ...


class Engine(Protocol):
    """Where chunks are executed, in slots 0, 1, ..."""

    worker_errors: tuple[type[BaseException], ...]
    """What a future raises whose worker is gone."""

    @property
    def size(self) -> int:
        """Chunks that it takes at a time; may change."""
        ...

    def submit(self, slot: int, chunk: Chunk) -> Future[ChunkResult]:
        """Execute a chunk in a slot that is free."""
        ...

    def advance(self) -> None:
        """Called again and again while futures are waited for; raises EngineLost."""
        ...

    def running(self, slot: int) -> float:
        """Cost done so far of the chunk in the slot."""
        ...

    def reap(self, slot: int) -> WorkerExit:
        """How the slot's worker ended; the slot is free again."""
        ...

    def close(self, kill: bool = False) -> None:
        """End what was started; with ``kill`` in the midst of chunks."""
        ...


def work(
    chunk: Chunk,
    progress: Callable[[float], None],
    beat: Callable[[], None] = lambda: None,
    checkpoints: Path | None = None,
    keep_weights: str = "none",
) -> ChunkResult:
    """Execute one chunk; every exception becomes a result, also ``sys.exit``, but not Ctrl-C."""
    from bench.execution.checkpoints import Checkpoints, FinalState
    from bench.execution.training import execute
    from bench.numerics.runtime import one_thread
    from bench.storage.records import pack
    from bench.storage.weights import packed

    try:
        checkpointer = Checkpoints(checkpoints, chunk) if checkpoints is not None else None
        keeps_state = keep_weights == "all" and chunk.phase == "report"
        final_state = FinalState(chunk, checkpointer) if keeps_state else None
        with one_thread():
            result = execute(chunk, progress, beat, final_state or checkpointer)
        kept = result.weights if keep_weights != "none" else {}
        final = {seed: packed(chunk.id, seed, w) for seed, w in kept.items()}
        state = final_state.content if final_state else b""
        return ChunkResult(pack(chunk, result), "\n".join(result.errors.values()), final, state)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return ChunkResult({}, traceback.format_exc())
