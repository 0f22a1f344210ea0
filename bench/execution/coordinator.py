"""From a study to a finished run: tasks tune and report in parallel; a chunk is stored once and never repeated."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis.representatives import ordered, representatives
from bench.execution.checkpoints import FOLDER, Checkpoints, forget
from bench.execution.engine import RETRIES, ChunkResult, Engine, EngineLost
from bench.registry import get_game
from bench.storage import states, weights
from bench.storage.files import write_file
from bench.storage.records import Result, pack
from bench.storage.run_folder import RunFolder
from bench.storage.states import States
from bench.storage.weights import USUAL
from bench.storage.writer import RunWriter
from bench.studies.plan import Chunk, Task, Values, report_rows, rounded_rows
from bench.studies.study import Study
from bench.studies.tuning.tuner import tune

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


@dataclass
class Status:
    """What a progress display shows."""

    planned: float
    done: float = 0.0
    skipped: float = 0.0
    running: list[str] = field(default_factory=list)


Watch = Callable[[Status], None]
Begin = Callable[[Callable[[], None]], Engine]
ChunkRounds = Generator[list[Chunk], pd.DataFrame, None]
"""Yields the chunks of a round, and is sent their records once all are stored."""


def task_chunks(task: Task, study: Study, only_tune: bool = False, storage: BaseStorage | None = None) -> ChunkRounds:
    """All rounds of one rule on one game: tuning, then the report seeds at the frozen values, unless tuning is all."""
    values = yield from tune(task, study, storage)
    if only_tune:
        return
    yield report_chunks(task, study, values)


def report_chunks(task: Task, study: Study, values: Values) -> list[Chunk]:
    """The chunks of the report at the frozen values, one group of seeds after another.

    Seeds that are added later never join a stack that is there.
    """
    return [chunk for seeds in study.seed_groups for chunk in _chunks_of_group(task, study, seeds, values)]


def _chunks_of_group(task: Task, study: Study, seeds: list[int], values: Values) -> list[Chunk]:
    chunks = task.chunks(report_rows(seeds, values), "report")
    if study.untuned:
        chunks += task.chunks(report_rows(seeds, {}), "untuned")
    return chunks + task.chunks(rounded_rows(seeds, values, study.roundings), "rounded")


def study_rounds(
    study: Study, device: str, only_tune: bool = False, storage: BaseStorage | None = None
) -> list[ChunkRounds]:
    """The rounds of every rule on every game of a study."""
    return [task_chunks(study.task(rule, game, device), study, only_tune, storage) for rule, game in study.pairs]


class Coordinator:
    """Submits the chunks of all tasks to the slots; the only writer of the run.

    Args:
        study: what the chunks are of.
        writer: of the folder that they are stored in, opened.
        tasks: each yields rounds of chunks and is sent their records.
        planned: gradient evaluations of all tasks.
        watch: is told the status.
        begin: starts the engine, once there is something to train.
        keep_weights: whose trained networks stay.
    """

    def __init__(
        self,
        study: Study,
        writer: RunWriter,
        tasks: Sequence[ChunkRounds],
        planned: float,
        watch: Watch | None,
        begin: Begin,
        keep_weights: str = USUAL,
    ) -> None:
        self.keep_weights = keep_weights
        self.study, self.writer, self.watch, self.begin = study, writer, watch, begin
        self.folder = writer.folder
        self.earlier = States(RunFolder(study.source)) if study.source is not None else None
        self.engine: Engine | None = None
        self.status = Status(planned)
        self.tasks = tasks
        self.queue: list[tuple[int, Chunk]] = []
        self.rounds: dict[int, list[Chunk]] = {}
        self.missing: dict[int, set[str]] = {}
        self.busy: dict[Future[ChunkResult], tuple[int, int, Chunk]] = {}
        self.attempts: dict[str, int] = {}
        self.planned: list[str] = []

    def run(self) -> None:
        self.writer.forget_errors()  # the same command again tries what failed
        try:
            for index, task in enumerate(self.tasks):
                self._plan(index, next(task, None))
            self.writer.plan(self.planned)
            while self.queue or self.busy:
                self._fill()
                self._collect()
        except BaseException:
            self._close(kill=True)
            raise
        self._close(kill=False)

    def _close(self, kill: bool) -> None:
        if self.engine is not None:
            self.engine.close(kill)

    def _plan(self, index: int, chunks: list[Chunk] | None) -> None:
        """A task's next round: stored chunks are skipped, and a complete round starts the next."""
        while chunks is not None:
            self.rounds[index] = chunks
            self.planned += [chunk.id for chunk in chunks]
            missing = [chunk for chunk in chunks if not self.folder.has(chunk)]
            self.missing[index] = {chunk.id for chunk in missing}
            self.status.skipped += sum(chunk.cost for chunk in chunks) - sum(chunk.cost for chunk in missing)
            if missing:
                self.queue += [(index, chunk) for chunk in missing]
                # One game after another, so that early results can be compared; the rules of a game in parallel.
                self.queue.sort(key=lambda planned: self.study.games.index(planned[1].label))
                return
            chunks = self._next(index)

    def _next(self, index: int) -> list[Chunk] | None:
        records = pd.concat([self.folder.load(chunk) for chunk in self.rounds[index]], ignore_index=True)
        try:
            return self.tasks[index].send(records)
        except StopIteration:
            self._drop_weights(index, records)
            return None

    def _drop_weights(self, index: int, records: pd.DataFrame) -> None:
        """Delete what is not kept of a finished task's weights: its last round is the report's.

        Each group of seeds keeps its own, so that more seeds ask for nothing that was dropped.
        """
        chunks = [chunk for chunk in self.rounds[index] if chunk.phase == "report"]
        if self.keep_weights == "all" or not chunks:
            return
        states.drop(self.folder, [chunk.id for chunk in chunks])
        seeds: set[int] = set()
        if self.keep_weights == "median":
            metric = self.study.primary(chunks[0].label)
            groups = (ordered(records, metric, group) for group in self.study.seed_groups)
            seeds = set().union(*map(representatives, groups))
        weights.drop(self.folder, [chunk.id for chunk in chunks], seeds)

    def _fill(self) -> None:
        if self.engine is None:
            self.engine = self.begin(self._show)
            self._prepare()
        taken = {slot for slot, _, _ in self.busy.values()}
        for slot in range(self.engine.size):
            if slot not in taken and self.queue:
                index, chunk = self.queue.pop(0)
                self._continue(chunk)
                self.busy[self.engine.submit(slot, chunk)] = (slot, index, chunk)

    def _continue(self, chunk: Chunk) -> None:
        """Let a chunk go on from where the run that it continues has ended, if it has not begun."""
        name = self.earlier.earlier(chunk) if self.earlier is not None else None
        checkpoints = Checkpoints(self.folder.path / FOLDER, chunk)
        if self.earlier is None or name is None or checkpoints.begun:
            return
        with suppress(OSError):
            checkpoints.continue_from(self.earlier.read(name), name)

    def _prepare(self) -> None:
        """Compile once what the games need, before every worker would."""
        if self.watch is not None:
            self.watch(replace(self.status, running=["compiling"]))
        for name in self.study.games:
            self.study.plugins.game(name).prepare()

    def _collect(self) -> None:
        assert self.engine is not None
        self._show()
        self.engine.advance()
        done, _ = wait(self.busy, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            slot, index, chunk = self.busy.pop(future)
            outcome = self._outcome(future, slot, chunk)
            if outcome is None:
                self.queue.insert(0, (index, chunk))
                continue
            self._keep(chunk, outcome)
            self.missing[index].discard(chunk.id)
            if not self.missing[index]:
                self._plan(index, self._next(index))
                self.writer.plan(self.planned)
        self._show()

    def _outcome(self, future: Future[ChunkResult], slot: int, chunk: Chunk) -> ChunkResult | None:
        """The result of a chunk; None if its process is gone and the chunk is to be tried again."""
        assert self.engine is not None
        try:
            return future.result()
        except CancelledError:
            raise EngineLost("the scheduler has dropped what it was sent") from None
        except self.engine.worker_errors:
            worker_exit = self.engine.reap(slot)
            times = self.attempts[chunk.id] = self.attempts.get(chunk.id, 0) + 1
            if times <= RETRIES and not worker_exit.final:
                return None
            return ChunkResult({}, worker_exit.describe(times))

    def _keep(self, chunk: Chunk, outcome: ChunkResult) -> None:
        if outcome.error:
            (self.folder.path / "errors").mkdir(exist_ok=True)
            text = f"{chunk}\n\n{outcome.error}".encode(errors="backslashreplace")  # errors may hold any characters
            write_file(self.folder.path / "errors" / f"{chunk.id}.txt", text)
        self.writer.save(chunk, outcome.files or pack(chunk, failed(chunk)), outcome.weights, outcome.state)
        if outcome.files:  # a failed chunk keeps its checkpoint, and resumes from it at the next try
            forget(self.folder.path / FOLDER, chunk.id)
        self.status.done += chunk.cost

    def _show(self) -> None:
        if self.watch is None or self.engine is None:
            return
        self.status.running = [
            f"{'tuning' if chunk.phase == 'tune' else 'training'} {chunk.optimizer} on {chunk.label}"
            for _, _, chunk in self.busy.values()
        ]
        running_cost = sum(self.engine.running(slot) for slot, _, _ in self.busy.values())
        self.watch(replace(self.status, done=self.status.done + running_cost))


def failed(chunk: Chunk) -> Result:
    """Records of a chunk that raised: every replica is there, as an error with nothing measured."""
    nothing = {"outcome": "error", "ended": 0.0, "cost": 0.0, "seconds": 0.0, "value": float("nan")}
    nothing["metric"] = get_game(chunk.game).score
    return Result([nothing | {"row": r, "seed": row.seed, "trial": row.trial} for r, row in enumerate(chunk.rows)])
