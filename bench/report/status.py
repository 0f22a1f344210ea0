"""The progress of a run, whether it is running, killed or finished: cost so far, missing seeds, failures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import filelock
import pandas as pd

from bench.report.selection import select
from bench.report.warnings import unfinished
from bench.storage.run_folder import RunFolder
from bench.studies.cost import planned_cost
from bench.studies.study import Study


@dataclass(frozen=True)
class State:
    """Costs are in gradient evaluations; ``planned`` is the maximum, because trials may be stopped early."""

    going: bool
    planned: float
    spent: float
    seconds: float
    missing: list[str]
    """A line for each rule that is not finished on a game."""
    damaged: list[str]
    """Damaged chunks, which are trained again when the study is run again."""
    failed: dict[Path, str]
    """Tracebacks, each with its last line."""
    records: pd.DataFrame
    """The records of the intact chunks, with labels in place of spellings."""

    @property
    def finished(self) -> bool:
        return not self.missing and not self.damaged

    @property
    def word(self) -> str:
        """Whether it goes on, is finished, or stopped before its end."""
        return "goes on" if self.going else "finished" if self.finished else "stopped before its end"


def state(run: RunFolder) -> State:
    """The current state of a run's folder."""
    damaged: list[str] = []
    view = select(run)
    records = view.named(run.read_records(damaged))
    ends = records.drop_duplicates(["optimizer", "game", "phase", "trial", "seed"], keep="last")
    return State(
        going=_is_being_written(run.path),
        planned=sum(planned_cost(run.study).values()),
        spent=float(ends["ended"].sum()),
        seconds=float(ends["seconds"].sum()),
        missing=missing(records, view.study),
        damaged=damaged,
        failed=run.failures,
        records=records,
    )


def first_errors(run: RunFolder) -> dict[tuple[str, str], str]:
    """(rule, game) -> the last line of the first traceback of its trainings; of pairs that have one.

    A rule with a label goes by it.
    """
    lines, names = dict[tuple[str, str], str](), select(run).names
    for path, last in run.failures.items():
        if chunk := run.chunk(path.stem):
            lines.setdefault((names[chunk["optimizer"]], chunk["label"]), last)
    return lines


def missing(records: pd.DataFrame, study: Study) -> list[str]:
    """A line for each rule that lacks report seeds on a game."""
    begun, n = set(records.groupby(["optimizer", "game"], observed=True).groups), len(study.seeds)
    return [
        f"{rule} on {game}: {f'{done} of {n} seeds' if done else 'in tuning' if (rule, game) in begun else 'not begun'}"
        for (rule, game), done in unfinished(records, study).items()
    ]


def _is_being_written(path: Path) -> bool:
    """Whether a process is writing into the folder."""
    if not (path / ".holder").exists() or (path / ".lock").is_symlink():  # testing a lock would write to its file
        return False
    try:
        with filelock.FileLock(path / ".lock", timeout=0):
            return False
    except (filelock.Timeout, OSError):
        return True
