"""The tuning as an SQLite file of studies, which optuna-dashboard opens.

It holds an Optuna study for each rule and game, which `optuna.load_study` reads. The value of a trial is the one that
tuning selects by: the median over its tuning seeds, failed replicas at the metric's worst. A trial without a finite
value is a failed one in Optuna; a trial that was stopped early is a pruned one.
"""

from __future__ import annotations

import json
import math
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.analysis.scores import final_scores, last_evaluations
from bench.errors import UserError
from bench.registry.description import MetricDescription
from bench.storage.files import MARK, check_database, write_file
from bench.storage.run_folder import RunFolder
from bench.studies.plan import tunable

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

    game: str
    optimizer: str
    track: str
    protocol: str
    begun: datetime
    metric: MetricDescription
    """The game's score."""
    records: pd.DataFrame
    chosen: dict[str, Any] | None
    """The frozen values; None if tuning has not finished."""

    @cached_property
    def trials(self) -> dict[int, pd.DataFrame]:
        """Trial number -> its records of the primary metric, in order."""
        trial_records = self.records[(self.records["phase"] == "tune") & (self.records["metric"] == self.metric.name)]
        return {int(number): records for number, records in trial_records.groupby("trial")}

    @cached_property
    def params(self) -> dict[int, dict[str, float]]:
        """Trial number -> its hyperparameters."""
        return {number: json.loads(records["hyperparameters"].iloc[0]) for number, records in self.trials.items()}

    def reranked(self) -> dict[str, dict[str, float | None]]:
        """trial -> seed -> its score in the second ranking, on fresh seeds; None for a failure."""
        rerank_records = self.records[self.records["phase"] == "rerank"]
        scores: dict[str, dict[str, float | None]] = {}
        for (trial, seed), score in final_scores(rerank_records, self.metric, ["trial", "seed"]).sort_index().items():
            scores.setdefault(str(trial), {})[str(seed)] = _finite(score)
        return scores

    def attributes(self) -> dict[str, Any]:
        """The attributes of the whole study."""
        attributes: dict[str, Any] = {"game": self.game, "optimizer": self.optimizer, "metric": self.metric.name}
        attributes |= {"protocol": self.protocol, "tuned": self.track, "re-rank scores": self.reranked()}
        if self.chosen is not None:
            attributes["chosen"] = self.chosen
            number = next((n for n, params in self.params.items() if params == self.chosen), None)
            attributes |= {} if number is None else {"chosen trial": number}  # none if the declared values were kept
        return attributes


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
            track, protocol = study.tune, run.manifest["protocol"]
            yield _Tuning(game, optimizer, track, protocol, begun, study.primary(game), pair_records, chosen)


def _curve(trial_records: pd.DataFrame, metric: MetricDescription) -> pd.DataFrame:
    """A trial's values, [costs, seeds]; the metric's worst from the cost at which a replica failed."""
    ends = trial_records.groupby("seed")[["outcome", "ended"]].first()
    values = trial_records.pivot_table(index="cost", columns="seed", values="value", observed=True, dropna=False)
    values = values.reindex(columns=ends.index)
    failed = ~ends["outcome"].isin(["ok", "interrupted"]).to_numpy()
    after_failure = failed & (values.index.to_numpy(float)[:, None] >= ends["ended"].to_numpy(float))
    return values.mask(after_failure).fillna(metric.worst)


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


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

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    directions = optuna.study.StudyDirection
    direction = directions.MAXIMIZE if tuning.metric.better == "higher" else directions.MINIMIZE
    name = f"{tuning.game} / {tuning.optimizer}"
    study = optuna.create_study(storage=storage, study_name=name, direction=direction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([tuning.metric.name])
    for key, value in tuning.attributes().items():
        study.set_user_attr(key, value)
    study.add_trials(list(_trials(tuning)))


def _trials(tuning: _Tuning) -> Iterator[FrozenTrial]:
    """The trials as finished Optuna trials.

    Records hold how long a training took, not when: each trial begins when the one before it ended.
    """
    distributions, clock = _distributions(tuning), tuning.begun
    for number, trial_records in tuning.trials.items():
        params = tuning.params[number]
        trial = _trial(number, trial_records, tuning.metric, params, {path: distributions[path] for path in params})
        seconds = trial_records.groupby("seed")["seconds"].max().sum()
        trial.datetime_start, clock = clock, clock + timedelta(seconds=float(seconds))
        trial.datetime_complete = clock
        yield trial


def _distributions(tuning: _Tuning) -> dict[str, BaseDistribution]:
    """Hyperparameter -> its declared range, widened to the values that were tried."""
    from optuna.distributions import FloatDistribution

    kinds, distributions = tunable(tuning.optimizer, tuning.track), dict[str, "BaseDistribution"]()
    for path in dict.fromkeys(path for params in tuning.params.values() for path in params):
        tried = [params[path] for params in tuning.params.values() if path in params]
        kind = kinds.get(path)  # none if the rule's file was edited since
        declared = [kind.low, kind.high] if kind else []
        distributions[path] = FloatDistribution(
            min(tried + declared), max(tried + declared), log=bool(kind and kind.log)
        )
    return distributions


def _trial(
    number: int,
    trial_records: pd.DataFrame,
    metric: MetricDescription,
    params: dict[str, float],
    distributions: dict[str, BaseDistribution],
) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    last = last_evaluations(trial_records, metric, ["seed"]).sort_index()
    curve = _curve(trial_records, metric)
    pruned = bool((last["outcome"] == "interrupted").any())
    scores = curve.iloc[-1] if pruned else last["value"].fillna(metric.worst)
    value = _finite(np.median(scores))
    medians = {round(cost): float(np.median(row)) for cost, row in zip(curve.index, curve.to_numpy(float), strict=True)}
    state = TrialState.PRUNED if pruned else TrialState.FAIL if value is None else TrialState.COMPLETE
    outcomes = {str(seed): str(outcome) for seed, outcome in last["outcome"].items()}
    return create_trial(
        state=state,
        value=value,
        params=params,
        distributions=distributions,
        intermediate_values={step: median for step, median in medians.items() if math.isfinite(median)},
        user_attrs={
            "trial": number,
            "outcome": _outcome(set(outcomes.values()), value),
            "outcomes": outcomes,
            "scores": {str(seed): _finite(score) for seed, score in scores.items()},
            "gradient evaluations": float(last["ended"].sum()),
        },
    )


def _outcome(outcomes: set[str], value: float | None) -> str:
    """The outcome of a trial, from its replicas': without a finite value it failed, even if a seed was ``ok``."""
    if "interrupted" in outcomes:
        return "interrupted"
    if "ok" in outcomes and value is not None:
        return "ok"
    return "error" if "error" in outcomes else "diverged"
