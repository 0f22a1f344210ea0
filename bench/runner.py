"""From a study to a finished run: contests tune and report side by side; a chunk is stored once and never redone."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from bench.checkpoints import FOLDER, forget
from bench.engines import begin, check
from bench.execute import Result, execute
from bench.places import read_plain, write_file
from bench.plan import Chunk, Contest, Values, report_rows
from bench.provenance import manifest
from bench.records import pack
from bench.registry import get_game
from bench.slots import origins
from bench.spec import PATIENCE, Frozen, Study, check_device, to_toml
from bench.spelling import SpecError
from bench.store import Folder
from bench.tune import Rounds, replicas, tune
from bench.work import RETRIES, Done, Engine, EngineLost, Terms


@dataclass
class Status:
    """What a progress display shows."""

    planned: float
    done: float = 0.0
    skipped: float = 0.0
    running: list[str] = field(default_factory=list)


Watch = Callable[[Status], None]
Begin = Callable[[Callable[[], None]], Engine]


class Run:
    """A run's folder: its records, its table, its report.

    Args:
        path: the folder that ``bench run`` wrote.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.folder = Folder(self.path)
        self.manifest = self.folder.vetted()
        self._records: pd.DataFrame | None = None

    @property
    def records(self) -> pd.DataFrame:
        """Long records: optimizer, game, hyperparameters, seed, phase, cost, seconds, metric, value, outcome, ..."""
        if self._records is None:
            self._records = self.folder.records()
        return self._records

    def table(self) -> pd.DataFrame:
        """A row for each rule and game: interquartile mean with interval, diverged k of n, cost, seconds."""
        from bench.table import table

        return table(self.records, self.study)

    def report(self) -> Path:
        """Write ``table.csv``, ``tuning.csv`` and ``report.html`` into the folder; returns the report's path."""
        from bench.report import write_report
        from bench.table import to_csv

        found = self.table()
        write_file(self.path / "table.csv", to_csv(found).encode())
        path = write_report(self, found)
        write_file(self.path / ".reported", self._mark())
        return path

    @property
    def reported(self) -> bool:
        """Whether all that `report` writes is there and made of the records that are there now."""
        try:
            return read_plain(self.path / ".reported") == self._mark()
        except OSError:
            return False

    def _mark(self) -> bytes:
        """Hashes of the records and of what was made of them."""
        made = [self.path / name for name in ("table.csv", "tuning.csv", "report.html")]
        made += sorted((self.path / "figures").glob("*.svg"))
        hashes = (f"{path.name} {hashlib.sha256(read_plain(path)).hexdigest()}" for path in made)
        return "\n".join([self.folder.digest(), *hashes]).encode()

    @property
    def study(self) -> dict[str, Any]:
        """The study as it was asked for."""
        found: dict[str, Any] = self.manifest["study"]
        return found

    def tensors(self) -> list[tuple[dict[str, Any], dict[str, Tensor]]]:
        """What there is to look at: (chunk, {"path": [T, R, 2], "samples": [T, N, ...], ...})."""
        return list(self.folder.tensors())

    def hyperparameters(self) -> Frozen:
        """The frozen values, game -> rule -> hyperparameter -> value, of all rules whose tuning is there."""
        study, found = Study(**self.study), Frozen()
        for game in study.games:
            for rule in study.optimizers:
                contest = Contest(rule, game, study.cost_of(game), study.evaluations, self.manifest["device"])
                with suppress(SpecError):  # of what is not there yet
                    found.setdefault(game, {})[rule] = self._found(tune(contest, study))
        return found

    def _found(self, tuning: Rounds) -> Values:
        try:
            chunks = next(tuning)
            while True:
                chunks = tuning.send(pd.concat([self.folder.load(chunk) for chunk in chunks], ignore_index=True))
        except StopIteration as end:
            values: Values = end.value
            return values

    def freeze(self) -> Path:
        """Write ``hyperparameters.toml`` into the folder, which ``--hyperparameters`` reads; returns its path."""
        path = self.path / "hyperparameters.toml"
        write_file(path, to_toml(self.hyperparameters()).encode())
        return path

    @property
    def errors(self) -> list[Path]:
        """Tracebacks of the chunks that failed."""
        found = (self.path / "errors" / f"{name}.txt" for name in self.folder.names())
        return [path for path in found if path.is_file() and not path.is_symlink()]

    @property
    def failures(self) -> dict[Path, str]:
        """The last line of each traceback."""
        return {path: path.read_text("utf-8", "replace").strip().rpartition("\n")[2] for path in self.errors}


def run(
    study: Study,
    out: str | Path | None = None,
    jobs: int = 1,
    device: str = "cpu",
    watch: Watch | None = None,
    patience: float = PATIENCE,
    only_tune: bool = False,
    engine: str = "local",
    scheduler: str = "",
    timeout: float = math.inf,
) -> Run:
    """Tune, freeze, compare: execute what of a study is not yet in its folder.

    Args:
        study: what to compare.
        out: the run's folder; ``results/<name>`` of the study where none is given.
        jobs: chunks that train side by side, each in a process of its own; 1 trains in this process, but for plug-ins
            by path or entry point.
        device: ``cpu``, ``cuda`` or ``cuda:i``.
        watch: called with a Status now and then.
        patience: seconds without a sign of life after which a chunk in a process of its own is ended as an error.
        only_tune: stop once the hyperparameters are found; the same study goes on from there.
        engine: where chunks train: ``local``, ``dask`` or ``slurm``.
        scheduler: the address of a scheduler of dask's, or a file that holds it.
        timeout: seconds after which a chunk is ended as an error, in a process of its own too.

    Returns:
        The finished run. Raises SpecError for wrong use, InUse where another process holds the folder, EngineLost
        where a scheduler is gone: what was finished is kept.
    """
    check_device(device, engine)
    check(engine, scheduler)
    lacking = [missing for name in study.games if (missing := get_game(name).missing)]
    if lacking:
        raise SpecError("\n".join(dict.fromkeys(lacking)))
    known = origins(study)  # loads all plug-ins: one that cannot be imported is told before anything is written
    folder = Folder(Path(out) if out is not None else Path("results") / study.name)
    folder.open(manifest(study, device))
    try:
        keeps = folder.path.absolute() / FOLDER
        terms = Terms(frozenset(known), jobs, patience, timeout, scheduler, keeps)
        _Coordinator(study, folder, device, watch, partial(begin, engine, terms), only_tune).run()
    finally:
        folder.close()
    return Run(folder.path)


def contest_chunks(
    contest: Contest, study: Study, only_tune: bool = False
) -> Generator[list[Chunk], pd.DataFrame, None]:
    """All rounds of one rule on one game: tuning, then the report seeds at the frozen values, unless tuning is all."""
    values = yield from tune(contest, study)
    if only_tune:
        return
    chunks = contest.chunks(report_rows(study.seeds, values), "report")
    if study.untuned:
        chunks += contest.chunks(report_rows(study.seeds, {}), "untuned")
    yield chunks


def planned_cost(study: Study) -> dict[tuple[str, str], float]:
    """Gradient evaluations planned for each (rule, game), tuning included."""
    replicas = {rule: planned_replicas(study, rule) for rule in study.optimizers}
    return {(rule, game): count * study.cost_of(game) for rule, count in replicas.items() for game in study.games}


def planned_replicas(study: Study, rule: str) -> int:
    """Trainings of one rule on one game: tuning, where there is a step size to tune, and the report."""
    return replicas(study, rule) + len(study.seeds) * (1 + study.untuned)


class _Coordinator:
    """Feeds the slots from all contests at once; the only one who writes."""

    def __init__(
        self, study: Study, folder: Folder, device: str, watch: Watch | None, begin: Begin, only_tune: bool
    ) -> None:
        self.study, self.folder, self.watch, self.begin = study, folder, watch, begin
        self.engine: Engine | None = None
        self.status = Status(sum(planned_cost(study).values()))
        self.contests = [
            contest_chunks(Contest(rule, game, study.cost_of(game), study.evaluations, device), study, only_tune)
            for game in study.games
            for rule in study.optimizers
        ]
        self.queue: list[tuple[int, Chunk]] = []
        self.rounds: dict[int, list[Chunk]] = {}
        self.missing: dict[int, set[str]] = {}
        self.busy: dict[Future[Done], tuple[int, int, Chunk]] = {}
        self.attempts: dict[str, int] = {}
        self.planned: list[str] = []

    def run(self) -> None:
        self.folder.forget_errors()  # the same command again tries what failed
        try:
            for index, contest in enumerate(self.contests):
                self._plan(index, next(contest, None))
            self.folder.plan(self.planned)
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
        """A contest's next round: what is stored is skipped; a round that is whole leads on to the next."""
        while chunks is not None:
            self.rounds[index] = chunks
            self.planned += [chunk.id for chunk in chunks]
            missing = [chunk for chunk in chunks if not self.folder.has(chunk)]
            self.missing[index] = {chunk.id for chunk in missing}
            self.status.skipped += sum(chunk.cost for chunk in chunks) - sum(chunk.cost for chunk in missing)
            if missing:
                self.queue += [(index, chunk) for chunk in missing]
                # A game at a time, so that what is there early can be compared; the rules of a game side by side.
                self.queue.sort(key=lambda planned: planned[0] // len(self.study.optimizers))
                return
            chunks = self._next(index)

    def _next(self, index: int) -> list[Chunk] | None:
        records = pd.concat([self.folder.load(chunk) for chunk in self.rounds[index]], ignore_index=True)
        try:
            return self.contests[index].send(records)
        except StopIteration:
            return None

    def _fill(self) -> None:
        if self.engine is None:
            self.engine = self.begin(self._show)
        taken = {slot for slot, _, _ in self.busy.values()}
        for slot in range(self.engine.size):
            if slot not in taken and self.queue:
                index, chunk = self.queue.pop(0)
                self.busy[self.engine.submit(slot, chunk)] = (slot, index, chunk)

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
                self.folder.plan(self.planned)
        self._show()

    def _outcome(self, future: Future[Done], slot: int, chunk: Chunk) -> Done | None:
        """What a chunk gave; None where its process is gone and it is to be tried again."""
        assert self.engine is not None
        try:
            return future.result()
        except CancelledError:
            raise EngineLost("the scheduler has dropped what it was sent") from None
        except self.engine.deaths:
            death = self.engine.bury(slot)
            times = self.attempts[chunk.id] = self.attempts.get(chunk.id, 0) + 1
            if times <= RETRIES and not death.final:
                return None
            return Done({}, death.epitaph(times))

    def _keep(self, chunk: Chunk, outcome: Done) -> None:
        if outcome.error:
            (self.folder.path / "errors").mkdir(exist_ok=True)
            text = f"{chunk}\n\n{outcome.error}".encode(errors="backslashreplace")  # it may say anything
            write_file(self.folder.path / "errors" / f"{chunk.id}.txt", text)
        self.folder.save(chunk, outcome.files or pack(chunk, failed(chunk)))
        if outcome.files:  # what was ended before its time goes on from its checkpoint when it is tried again
            forget(self.folder.path / FOLDER, chunk.id)
        self.status.done += chunk.cost

    def _show(self) -> None:
        if self.watch is None or self.engine is None:
            return
        self.status.running = [
            f"{'tuning' if chunk.phase == 'tune' else 'training'} {chunk.optimizer} on {chunk.label}"
            for _, _, chunk in self.busy.values()
        ]
        now = sum(self.engine.running(slot) for slot, _, _ in self.busy.values())
        self.watch(replace(self.status, done=self.status.done + now))


def failed(chunk: Chunk) -> Result:
    """Records of a chunk that raised: every replica is there, as an error with nothing measured."""
    nothing = {"outcome": "error", "ended": 0.0, "cost": 0.0, "seconds": 0.0, "value": float("nan")}
    nothing["metric"] = get_game(chunk.game).score
    return Result([nothing | {"row": r, "seed": row.seed, "trial": row.trial} for r, row in enumerate(chunk.rows)])


def estimate(study: Study, device: str = "cpu") -> tuple[int, float, float]:
    """(cells, cost, seconds on one job) of a study, by a short trial of the first rule on each game."""
    planned = planned_cost(study)
    cells = sum(planned_replicas(study, rule) for rule in study.optimizers) * len(study.games)
    seconds = 0.0
    for game in study.games:
        pace, judging = _pace(Contest(study.optimizers[0], game, min(60.0, study.cost_of(game)), 1, device))
        seconds += pace * sum(cost for (_, other), cost in planned.items() if other == game)
        seconds += judging * (study.evaluations + 1) * len(study.seeds) * len(study.optimizers)
    return cells, sum(planned.values()), seconds


def _pace(trial: Contest, replicas: int = 24) -> tuple[float, float]:
    """Seconds of a gradient evaluation and of judging once, each for one replica of a stack."""
    (chunk, *_) = trial.chunks(report_rows(range(replicas), {}), "report")
    execute(chunk)  # once to warm up
    start = time.perf_counter()
    records = execute(chunk).records
    whole = (time.perf_counter() - start) / len(chunk.rows)
    training = max(record["seconds"] for record in records)
    return training / chunk.budget, max(0.0, whole - training) / (chunk.marks + 1)
