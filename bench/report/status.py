"""How far a run is, be it going on, killed or at its end: what is there, what is missing, what failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import filelock
import pandas as pd

from bench.report.warnings import unfinished
from bench.storage.run_folder import RunFolder
from bench.studies.cost import planned_cost
from bench.studies.study import Study


@dataclass(frozen=True)
class State:
    """Costs are in gradient evaluations; ``planned`` is the most, for trials may be given up early."""

    going: bool
    planned: float
    spent: float
    seconds: float
    missing: list[str]
    """In words, a line for each rule that is not finished on a game."""
    damaged: list[str]
    """Chunks that are there and not whole: they are done again when the study is run again."""
    failed: dict[Path, str]
    """Tracebacks, each with its last line."""
    records: pd.DataFrame
    """Those of the chunks that are whole."""

    @property
    def finished(self) -> bool:
        return not self.missing and not self.damaged


def state(run: RunFolder) -> State:
    """The state of a run's folder as it is now."""
    damaged: list[str] = []
    records = run.read_records(damaged)
    ends = records.drop_duplicates(["optimizer", "game", "phase", "trial", "seed"], keep="last")
    return State(
        going=_held(run.path),
        planned=sum(planned_cost(run.study).values()),
        spent=float(ends["ended"].sum()),
        seconds=float(ends["seconds"].sum()),
        missing=missing(records, run.study),
        damaged=damaged,
        failed=run.failures,
        records=records,
    )


def missing(records: pd.DataFrame, study: Study) -> list[str]:
    """A line for each rule that lacks report seeds on a game."""
    begun, n = set(records.groupby(["optimizer", "game"], observed=True).groups), len(study.seeds)
    return [
        f"{rule} on {game}: {f'{done} of {n} seeds' if done else 'in tuning' if (rule, game) in begun else 'not begun'}"
        for (rule, game), done in unfinished(records, study).items()
    ]


def _held(path: Path) -> bool:
    """Whether a process writes into the folder now."""
    if not (path / ".holder").exists() or (path / ".lock").is_symlink():  # to look at a lock is to write there
        return False
    try:
        with filelock.FileLock(path / ".lock", timeout=0):
            return False
    except (filelock.Timeout, OSError):
        return True
