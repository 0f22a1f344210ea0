"""Verification of a run: its records are checked, and a random sample of its replicas is trained again.

`cells` finds the recorded replicas and draws the sample, `audit` checks what records say of themselves, `replay` trains
again and compares, `result` is what comes out. The run's folder is only read: what is trained is in a folder of its
own that is deleted.

    verify(RunFolder("results/RUN"), cells=20).verified

It may import the rest of `execution` and what is below it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis.comparison import same_platform
from bench.errors import UserError
from bench.execution.coordinator import Watch
from bench.execution.estimate import pace
from bench.execution.verification.audit import audit, present_code
from bench.execution.verification.cells import Cell, Recorded, draw, recorded, sample_size
from bench.execution.verification.replay import Comparer, chunks_of, train
from bench.execution.verification.result import COLUMNS, Verification
from bench.registry.description import Descriptions
from bench.storage.baseline import Baseline
from bench.storage.manifest import manifest
from bench.storage.run_folder import RunFolder
from bench.studies.plan import PROTOCOL
from bench.studies.request import check_device, make_request
from bench.studies.study import Study

__all__ = ["Price", "Verification", "price", "verify"]


@dataclass(frozen=True)
class Price:
    """What a verification would train: replicas, gradient evaluations, and seconds on one job by a short trial."""

    cells: int
    replicas: int
    cost: float
    seconds: float


def verify(
    run: RunFolder | Baseline,
    cells: int | None = None,
    sample: str | None = None,
    seed: int = 0,
    jobs: int = 1,
    watch: Watch | None = None,
) -> Verification:
    """Check a run's records, train a random sample of its replicas again, and compare.

    Args:
        run: the run, or a baseline that was exported from one; it is not changed.
        cells: how many replicas are trained again; 20 where neither this nor ``sample`` is given.
        sample: which share of all replicas, for example ``5%``.
        seed: of the sample.
        jobs: how many chunks train at the same time.
        watch: is told the status.

    Raises:
        UserError: the run has no records, is of another protocol, needs a plug-in, data or a device that is not here.
    """
    asked = _Asked(run, cells, sample, seed)
    found = audit(run, asked.study, asked.recorded, asked.codes)
    with tempfile.TemporaryDirectory(prefix="bench-verify-") as scratch:
        out = RunFolder(Path(scratch) / "run")
        replayed = train(asked.chunks, asked.of_sample, asked.manifest, out, jobs, watch)
        return _compared(asked, replayed, found)


def price(run: RunFolder | Baseline, cells: int | None = None, sample: str | None = None, seed: int = 0) -> Price:
    """What `verify` would train with the same arguments, and for how long."""
    asked = _Asked(run, cells, sample, seed)
    seconds = 0.0
    for rule, game in dict.fromkeys(cell.pair for cell in asked.drawn):
        training, judging = pace(asked.study.task(rule, game, asked.device))
        for chunk in asked.chunks:
            if (chunk.optimizer, chunk.label) == (rule, game):
                rows = len(chunk.rows) + len(chunk.rows) % 2  # an odd stack has a copy of its first row
                seconds += rows * (training * chunk.budget + judging * (chunk.evaluations + 1))
    cost = sum(chunk.cost for chunk in asked.chunks)
    return Price(len(asked.drawn), asked.replicas, cost, seconds)


class _Asked:
    """A run, and the replicas of it that are to be trained again."""

    def __init__(self, run: RunFolder | Baseline, cells: int | None, share: str | None, seed: int) -> None:
        if (protocol := run.manifest["protocol"]) != PROTOCOL:
            raise UserError(
                f"{str(run.path)!r} is of protocol {protocol}; this version trains protocol {PROTOCOL} and can verify "
                "runs of that alone"
            )
        self.run, self.seed, self.device = run, seed, str(run.manifest["device"])
        check_device(self.device)
        self.codes = cache(present_code)  # for this verification alone: files may be edited after it
        self.study = make_request(run.manifest["study"]).study
        lacking = [missing for game in self.study.games if (missing := self.study.plugins.game(game).missing)]
        if lacking:
            raise UserError("\n".join(dict.fromkeys(lacking)))
        self.recorded: Recorded = recorded(run, self.study)
        trained = [cell for cell in self.recorded.cells if self._can_be_trained(cell)]
        self.replicas = len(trained)
        count = sample_size(self.replicas, cells, share)
        self.drawn: list[Cell] = draw(trained, count, seed)
        pairs = {cell.pair for cell in self.drawn}
        games = [game for game in self.study.games if any(game == other for _, other in pairs)]
        self.of_sample = self.study.of_games(games)
        self.manifest = manifest(self.study, self.device, Descriptions().plain())
        self.exact = same_platform(run, _Present(run.path, self.manifest, self.study, pd.DataFrame()))
        self.chunks = chunks_of(self.drawn, self.exact, self.codes)

    def _can_be_trained(self, cell: Cell) -> bool:
        """Whether there is a result to train to again.

        There is none of an error, nor of a training with rounded gradients, which stands in no table.
        """
        if cell.chunk.phase == "rounded" or self.recorded.outcome(cell) in ("", "error"):
            return False
        with suppress(UserError):  # which is found already
            self.codes(cell.chunk.rule, cell.chunk.game)
            return True
        return False


@dataclass
class _Present:
    """What this machine would record, as far as a comparison of platforms asks."""

    path: Path
    manifest: dict[str, Any]
    study: Study
    records: pd.DataFrame


def _compared(asked: _Asked, replayed: RunFolder, found: Sequence[str]) -> Verification:
    known = asked.run.manifest.get("descriptions", {}).get("metrics")
    metrics = None if known is None or isinstance(asked.run, Baseline) else set(known)
    comparer = Comparer(replayed, asked.study, asked.exact, metrics)
    rows = []
    for cell in asked.drawn:
        verdict, difference = comparer.compare(cell, asked.recorded.of([cell.key]))
        rule, game, phase, trial, seed, values = cell.key
        named = {"game": game, "optimizer": rule, "phase": phase, "trial": trial, "seed": seed}
        rows.append(named | {"hyperparameters": values, "verdict": verdict} | difference)
    return Verification(
        pd.DataFrame(rows, columns=COLUMNS),
        list(found),
        asked.exact,
        machine(asked.manifest["environment"]),
        asked.run.manifest["protocol"],
        asked.seed,
        asked.replicas,
        asked.run.digest() if isinstance(asked.run, RunFolder) else "",
        [cell.name for cell in asked.drawn],
    )


def machine(environment: dict[str, Any]) -> str:
    """An environment of a manifest in words: the processor, its vectors, the core, torch and numba."""
    parts = [
        environment["processor"],
        environment["system"],
        f"torch {environment['torch']}",
        f"core {environment['core']}",
    ]
    parts += [f"numba {environment['numba']}"] if "numba" in environment else []
    return ", ".join(map(str, parts))
