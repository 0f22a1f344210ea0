"""The tuning as an SQLite file of studies, which optuna-dashboard opens.

It holds an Optuna study for each rule and game, which `optuna.load_study` reads. A trial's value is the one that it was
chosen by: the median over its tuning seeds, failed replicas at the metric's worst. A trial that failed so, and has no
finite value, is a failed one there; a trial that was given up early is a pruned one.
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
    """Write the tuning as an SQLite file of Optuna studies, whole or not at all; an earlier export is replaced."""
    path = run.path / "optuna.db" if to is None else to
    try:
        check_database(path)
        tuned = list(_tuned(run))
        if not tuned:
            raise UserError(f"{str(run.path)!r} has no tuning to export: nothing was tuned in it")
        write_file(path, _database(tuned))
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be written: {error.strerror}") from None
    return path


# --- what was tuned, from the records --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tuned:
    """The tuning of one rule on one game."""

    game: str
    optimizer: str
    track: str
    protocol: str
    begun: datetime
    metric: MetricDescription
    """What the game is judged by."""
    records: pd.DataFrame
    chosen: dict[str, Any] | None
    """The values frozen; None where tuning has not come to an end."""

    @cached_property
    def trials(self) -> dict[int, pd.DataFrame]:
        """The records of the primary metric, by the trial's number in order."""
        own = self.records[(self.records["phase"] == "tune") & (self.records["metric"] == self.metric.name)]
        return {int(number): part for number, part in own.groupby("trial")}

    @cached_property
    def params(self) -> dict[int, dict[str, float]]:
        """What each trial tried."""
        return {number: json.loads(part["hyperparameters"].iloc[0]) for number, part in self.trials.items()}

    def reranked(self) -> dict[str, dict[str, float | None]]:
        """Scores on fresh seeds, trial -> seed -> score; None for a failure."""
        own = self.records[self.records["phase"] == "rerank"]
        found: dict[str, dict[str, float | None]] = {}
        for (trial, seed), score in final_scores(own, self.metric, ["trial", "seed"]).sort_index().items():
            found.setdefault(str(trial), {})[str(seed)] = _finite(score)
        return found

    def attributes(self) -> dict[str, Any]:
        """What is to be said of the whole study."""
        said: dict[str, Any] = {"game": self.game, "optimizer": self.optimizer, "metric": self.metric.name}
        said |= {"protocol": self.protocol, "tuned": self.track, "re-rank scores": self.reranked()}
        if self.chosen is not None:
            said["chosen"] = self.chosen
            number = next((n for n, params in self.params.items() if params == self.chosen), None)
            said |= {} if number is None else {"chosen trial": number}  # none where the declared values are kept
        return said


def _tuned(run: RunFolder) -> Iterator[_Tuned]:
    """What was tuned, in the study's order."""
    records, study = run.records, run.study
    begun = datetime.fromtimestamp(int((run.path / "study.json").stat().st_mtime))
    frozen: dict[str, Any] | None = None
    for game in study.games:
        for optimizer in study.optimizers:
            own = records[(records["game"] == game) & (records["optimizer"] == optimizer)]
            if not (own["phase"] == "tune").any():
                continue
            report = own.loc[own["phase"] == "report", "hyperparameters"]
            if report.empty and frozen is None:  # `bench tune`, or it goes on still: what would be frozen now
                frozen = dict(run.hyperparameters())
            chosen = (frozen or {}).get(game, {}).get(optimizer) if report.empty else json.loads(report.iloc[0])
            track, protocol = study.tune, run.manifest["protocol"]
            yield _Tuned(game, optimizer, track, protocol, begun, study.primary(game), own, chosen)


def _curve(own: pd.DataFrame, metric: MetricDescription) -> pd.DataFrame:
    """A trial's values, [costs, seeds]: from where a replica failed on the metric's worst."""
    ends = own.groupby("seed")[["outcome", "ended"]].first()
    wide = own.pivot_table(index="cost", columns="seed", values="value", observed=True, dropna=False)
    wide = wide.reindex(columns=ends.index)
    failed = ~ends["outcome"].isin(["ok", "interrupted"]).to_numpy()
    out = failed & (wide.index.to_numpy(float)[:, None] >= ends["ended"].to_numpy(float))
    return wide.mask(out).fillna(metric.worst)


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


# --- as Optuna has it ------------------------------------------------------------------------------------------------


def _database(tuned: list[_Tuned]) -> bytes:
    """An SQLite file of the studies."""
    from optuna.storages import RDBStorage

    with TemporaryDirectory() as folder:
        file = Path(folder) / "optuna.db"
        # The connection is made here, for in an address of SQLAlchemy's some letters of a path mean something.
        storage = RDBStorage("sqlite://", engine_kwargs={"creator": partial(_connection, file)})
        try:
            for one in tuned:
                _add(storage, one)
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


def _add(storage: RDBStorage, tuned: _Tuned) -> None:
    """One study with all its trials."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ways = optuna.study.StudyDirection
    direction = ways.MAXIMIZE if tuned.metric.better == "higher" else ways.MINIMIZE
    name = f"{tuned.game} / {tuned.optimizer}"
    study = optuna.create_study(storage=storage, study_name=name, direction=direction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([tuned.metric.name])
    for key, value in tuned.attributes().items():
        study.set_user_attr(key, value)
    study.add_trials(list(_trials(tuned)))


def _trials(tuned: _Tuned) -> Iterator[FrozenTrial]:
    """The trials as finished ones of Optuna's.

    Records know how long a training took, not when: each trial begins where the one before it ended.
    """
    shapes, clock = _distributions(tuned), tuned.begun
    for number, own in tuned.trials.items():
        params = tuned.params[number]
        trial = _trial(number, own, tuned.metric, params, {path: shapes[path] for path in params})
        seconds = own.groupby("seed")["seconds"].max().sum()
        trial.datetime_start, clock = clock, clock + timedelta(seconds=float(seconds))
        trial.datetime_complete = clock
        yield trial


def _distributions(tuned: _Tuned) -> dict[str, BaseDistribution]:
    """The declared ranges, as far out as tuning went."""
    from optuna.distributions import FloatDistribution

    kinds, found = tunable(tuned.optimizer, tuned.track), dict[str, "BaseDistribution"]()
    for path in dict.fromkeys(path for params in tuned.params.values() for path in params):
        tried = [params[path] for params in tuned.params.values() if path in params]
        kind = kinds.get(path)  # none where the rule's file was edited since
        declared = [kind.low, kind.high] if kind else []
        found[path] = FloatDistribution(min(tried + declared), max(tried + declared), log=bool(kind and kind.log))
    return found


def _trial(
    number: int,
    own: pd.DataFrame,
    metric: MetricDescription,
    params: dict[str, float],
    shapes: dict[str, BaseDistribution],
) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    last = last_evaluations(own, metric, ["seed"]).sort_index()
    curve = _curve(own, metric)
    pruned = bool((last["outcome"] == "interrupted").any())
    scores = curve.iloc[-1] if pruned else last["value"].fillna(metric.worst)
    value = _finite(np.median(scores))
    through = {round(cost): float(np.median(row)) for cost, row in zip(curve.index, curve.to_numpy(float), strict=True)}
    state = TrialState.PRUNED if pruned else TrialState.FAIL if value is None else TrialState.COMPLETE
    outcomes = {str(seed): str(outcome) for seed, outcome in last["outcome"].items()}
    return create_trial(
        state=state,
        value=value,
        params=params,
        distributions=shapes,
        intermediate_values={step: median for step, median in through.items() if math.isfinite(median)},
        user_attrs={
            "trial": number,
            "outcome": _outcome(set(outcomes.values()), value),
            "outcomes": outcomes,
            "scores": {str(seed): _finite(score) for seed, score in scores.items()},
            "gradient evaluations": float(last["ended"].sum()),
        },
    )


def _outcome(outcomes: set[str], value: float | None) -> str:
    """A trial's outcome by those of its replicas: without a finite value it failed, though a seed may have gone on."""
    if "interrupted" in outcomes:
        return "interrupted"
    if "ok" in outcomes and value is not None:
        return "ok"
    return "error" if "error" in outcomes else "diverged"
