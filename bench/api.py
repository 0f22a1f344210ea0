"""A study run from start to end, and a run to look at: what `bench.run` and `bench.Run` are."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from bench.errors import UserError
from bench.execution.checkpoints import FOLDER
from bench.execution.coordinator import Coordinator, Watch
from bench.execution.engine import RunOptions
from bench.execution.engines import begin, check
from bench.execution.process_pool import origins
from bench.registry import get_game
from bench.storage.files import read_regular, write_file
from bench.storage.manifest import manifest
from bench.storage.run_folder import RunFolder
from bench.storage.writer import RunWriter
from bench.studies.request import PATIENCE, check_device
from bench.studies.study import Study
from bench.studies.toml import to_toml


class Run(RunFolder):
    """A finished or unfinished run: its records, its table, its report.

    Args:
        path: the folder that ``bench run`` wrote; UserError where it is none.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        _ = self.manifest  # a folder that holds no run is told at once

    def table(self) -> pd.DataFrame:
        """A row for each rule and game: interquartile mean with interval, diverged k of n, cost, seconds."""
        from bench.analysis.table import table

        return table(self.records, self.study)

    def report(self) -> Path:
        """Write ``table.csv``, ``tuning.csv`` and ``report.html`` into the folder; returns the report's path."""
        from bench.analysis.table import to_csv
        from bench.report.page import write_report

        found = self.table()
        write_file(self.path / "table.csv", to_csv(found).encode())
        path = write_report(self, found)
        write_file(self.path / ".reported", self._mark())
        return path

    @property
    def reported(self) -> bool:
        """Whether all that `report` writes is there and made of the records that are there now."""
        try:
            return read_regular(self.path / ".reported") == self._mark()
        except OSError:
            return False

    def _mark(self) -> bytes:
        """Hashes of the records and of what was made of them."""
        made = [self.path / name for name in ("table.csv", "tuning.csv", "report.html")]
        made += sorted((self.path / "figures").glob("*.svg"))
        hashes = (f"{path.name} {hashlib.sha256(read_regular(path)).hexdigest()}" for path in made)
        return "\n".join([self.digest(), *hashes]).encode()

    def freeze(self) -> Path:
        """Write ``hyperparameters.toml`` into the folder, which ``--hyperparameters`` reads; returns its path."""
        path = self.path / "hyperparameters.toml"
        write_file(path, to_toml(self.hyperparameters()).encode())
        return path


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
        The finished run. Raises UserError for wrong use, InUse where another process holds the folder, EngineLost
        where a scheduler is gone: what was finished is kept.
    """
    check_device(device, engine)
    check(engine, scheduler)
    lacking = [missing for name in study.games if (missing := get_game(name).missing)]
    if lacking:
        raise UserError("\n".join(dict.fromkeys(lacking)))
    known = origins(study)  # loads all plug-ins: one that cannot be imported is told before anything is written
    writer = RunWriter(RunFolder(out if out is not None else Path("results") / study.name))
    writer.open(manifest(study, device))
    try:
        keeps = writer.path.absolute() / FOLDER
        options = RunOptions(frozenset(known), jobs, patience, timeout, scheduler, keeps)
        Coordinator(study, writer, device, watch, partial(begin, engine, options), only_tune).run()
    finally:
        writer.close()
    return Run(writer.path)


def merge(runs: Sequence[RunFolder], out: Path) -> Run:
    """Write runs as one into a new folder; UserError where they cannot be one, and then nothing is written."""
    from bench.storage.merge import merge

    return Run(merge(runs, out).path)
