"""The tuning as an SQLite file of studies, which optuna-dashboard opens.

It holds the Optuna study of each rule and game that `bench.studies.tuning` asked for its trials, made again from the
records: the same trials, values and attributes. `optuna.load_study` reads it. The value of a trial is the one that
tuning selects by: the interquartile mean over its tuning seeds. A trial more than a quarter of whose seeds
failed is a failed one in Optuna; a trial that was stopped early is a pruned one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.errors import UserError
from bench.storage.files import MARK, check_database, write_file
from bench.storage.run_folder import RunFolder
from bench.studies.plan import tunable
from bench.studies.study import Study
from bench.studies.tuning.judging import Judge, Judged
from bench.studies.tuning.search import Point

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial


def export(run: RunFolder, to: Path | None = None) -> Path:
    """Write the tuning as an SQLite file of Optuna studies, atomically; an earlier export is replaced."""
    path = run.path / "optuna.db" if to is None else to
    try:
        check_database(path)
        tunings = list(_tunings(run))
        if not tunings:
            raise UserError(f"{str(run.path)!r} has no tuning to export: nothing was tuned in it")
        write_file(path, _database(tunings))
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be written: {error.strerror}") from None
    return path


# --- the tunings, from the records -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tuning:
    """The tuning of one rule on one game."""

    study: Study
    game: str
    optimizer: str
    protocol: str
    begun: datetime
    records: pd.DataFrame
    chosen: dict[str, Any] | None
    """The frozen values; None if tuning has not finished."""

    @cached_property
    def judge(self) -> Judge:
        """What its trials are judged by."""
        return Judge.of(self.study, self.game)

    @cached_property
    def trials(self) -> dict[int, pd.DataFrame]:
        """Trial number -> its records, in order."""
        return self._by_trial("tune")

    @cached_property
    def points(self) -> dict[int, Point]:
        """Trial number -> its hyperparameters."""
        return {number: json.loads(records["hyperparameters"].iloc[0]) for number, records in self.trials.items()}

    def attributes(self) -> dict[str, Any]:
        """The attributes of the whole study."""
        from bench.studies.tuning.optuna_study import attributes, ending

        again = {number: self.judge.judge(records) for number, records in self._by_trial("rerank").items()}
        known = attributes(self.study, self.game, self.optimizer, self.protocol)
        return known | (ending(self.chosen, self.points, again) if self.chosen is not None else {})

    def judged(self, number: int) -> Judged:
        """How the seeds of a trial did."""
        return self.judge.judge(self.trials[number])

    def _by_trial(self, phase: str) -> dict[int, pd.DataFrame]:
        phase_records = self.records[self.records["phase"] == phase]
        return {int(number): records for number, records in phase_records.groupby("trial")}


def _tunings(run: RunFolder) -> Iterator[_Tuning]:
    """The tunings of a run, in the study's order."""
    records, study = run.records, run.study
    begun = datetime.fromtimestamp(int((run.path / "study.json").stat().st_mtime))
    frozen: dict[str, Any] | None = None
    for game in study.games:
        for optimizer in study.optimizers:
            pair_records = records[(records["game"] == game) & (records["optimizer"] == optimizer)]
            if not (pair_records["phase"] == "tune").any():
                continue
            report = pair_records.loc[pair_records["phase"] == "report", "hyperparameters"]
            if report.empty and frozen is None:  # after `bench tune`, or while it is running: the best values so far
                frozen = dict(run.hyperparameters())
            chosen = (frozen or {}).get(game, {}).get(optimizer) if report.empty else json.loads(report.iloc[0])
            yield _Tuning(study, game, optimizer, run.manifest["protocol"], begun, pair_records, chosen)


# --- Optuna's studies and trials -------------------------------------------------------------------------------------


def _database(tunings: list[_Tuning]) -> bytes:
    """The bytes of an SQLite file with the studies."""
    from optuna.storages import RDBStorage

    with TemporaryDirectory() as folder:
        file = Path(folder) / "optuna.db"
        # The connection is made here, because some characters of a path have a meaning in SQLAlchemy's URLs.
        storage = RDBStorage("sqlite://", engine_kwargs={"creator": partial(_connection, file)})
        try:
            for tuning in tunings:
                _add(storage, tuning)
        finally:
            storage.remove_session()
            storage.engine.dispose()
        return file.read_bytes()


def _connection(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file)
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"PRAGMA application_id = {int.from_bytes(MARK, 'big')}")
        cursor.execute("PRAGMA synchronous = OFF")  # each trial is a transaction; the file is flushed once, as a whole
    return connection


def _add(storage: RDBStorage, tuning: _Tuning) -> None:
    """One study with all its trials."""
    import optuna

    from bench.studies.tuning.optuna_study import described, direction, study_name

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    name = study_name(tuning.game, tuning.optimizer)
    study = optuna.create_study(storage=storage, study_name=name, direction=direction(tuning.judge))
    described(study, tuning.attributes())
    study.add_trials(list(_trials(tuning)))


def _trials(tuning: _Tuning) -> Iterator[FrozenTrial]:
    """The trials as finished Optuna trials.

    Records hold how long a training took, not when: each trial begins when the one before it ended.
    """
    from bench.studies.tuning.optuna_study import frozen

    spans, clock = _distributions(tuning), tuning.begun
    for number, trial_records in tuning.trials.items():
        point = {path: value for path, value in tuning.points[number].items() if path in spans}
        trial = frozen(number, tuning.judged(number), point, {path: spans[path] for path in point})
        seconds = trial_records.groupby("seed")["seconds"].max().sum()
        trial.datetime_start, clock = clock, clock + timedelta(seconds=float(seconds))
        trial.datetime_complete = clock
        yield trial


def _distributions(tuning: _Tuning) -> dict[str, BaseDistribution]:
    """Hyperparameter -> the distribution that the trials were drawn from; of one that the rule lacks, what was tried.

    It is widened to the values that were tried: they may be outside if the rule's file was edited since.
    """
    from optuna.distributions import FloatDistribution

    from bench.studies.tuning.optuna_study import distributions

    study = tuning.study
    spans: dict[str, Any] = dict(distributions(tunable(tuning.optimizer, study.tune), study.trials, study.sampler))
    found = dict[str, "BaseDistribution"]()
    for path in dict.fromkeys(path for point in tuning.points.values() for path in point):
        tried = [point[path] for point in tuning.points.values() if path in point]
        ends = [spans[path].low, spans[path].high] if path in spans else []
        log = bool(path in spans and spans[path].log)
        found[path] = FloatDistribution(min(tried + ends), max(tried + ends), log=log)
    return found
