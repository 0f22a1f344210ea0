"""An SQLite file, which `mlflow ui --backend-store-uri sqlite:///FILE` opens: a run for each training.

An experiment is a game, a step one gradient evaluation. Records hold how long a training took, not when: the start of
each is that of the run.
"""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.errors import UserError
from bench.report.trainings import Training, reported
from bench.storage.files import MARK, check_database, write_file
from bench.storage.run_folder import RunFolder
from bench.studies.study import Study

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
AT_ONCE = 1000  # the most metrics in one call to a store
LONGEST = 250  # characters of a parameter's name; its value may have 6000


def export(run: RunFolder, to: Path | None = None) -> Path:
    """Write the file atomically."""
    path = run.path / "mlflow.db" if to is None else to
    try:
        check_database(path)
        trainings = reported(run)
        begun = int((run.path / "study.json").stat().st_mtime * 1000)
        with _quiet():
            write_file(path, _database(trainings, run.study, begun))
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be written: {error.strerror}") from None
    return path


@contextmanager
def _quiet() -> Iterator[None]:
    """Turn off MLflow's telemetry, and the flush after every call: the file is flushed once. Both are restored."""
    from sqlalchemy import Engine, event

    previous = {key: os.environ.get(key) for key in QUIET}
    os.environ.update(QUIET)
    event.listen(Engine, "connect", _disable_sync)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow's packages warn about one another
            yield
    finally:
        event.remove(Engine, "connect", _disable_sync)
        for key, value in previous.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})


def _disable_sync(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")


def _database(trainings: list[Training], study: Study, begun: int) -> bytes:
    """The bytes of an SQLite file with the trainings; ``begun`` is in milliseconds since 1970."""
    import logging

    from mlflow.tracking import MlflowClient

    for package in ("mlflow", "alembic"):
        logging.getLogger(package).setLevel(logging.WARNING)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "mlflow.db"
        client = MlflowClient(f"sqlite:///{file}")
        # No files are stored with a run, and this folder is temporary, so the artifact location has no path.
        names = dict.fromkeys(training.game for training in trainings)
        experiments = {name: client.create_experiment(name, artifact_location="mlflow-artifacts:/") for name in names}
        for training in trainings:
            _add(client, experiments[training.game], training, begun)
        _close(client)
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(f"PRAGMA application_id = {int.from_bytes(MARK, 'big')}")
            connection.commit()
        return file.read_bytes()


def _close(client: MlflowClient) -> None:
    """Close the connections to the file."""
    client._tracking_client.store.engine.dispose()


def _add(client: MlflowClient, experiment: str, training: Training, begun: int) -> None:
    from mlflow.entities import Metric, Param, RunTag

    mlflow_run = client.create_run(experiment, start_time=begun, run_name=training.name)
    run_id = mlflow_run.info.run_id
    params = [Param(_key(key), str(value)) for key, value in training.described().items()]
    tags = [RunTag("outcome", training.outcome), RunTag("metric", training.metric.name)]
    metrics = [
        Metric(_key(tag), value, begun + round(seconds * 1000), round(cost))
        for cost, seconds, values in training.points_and_end
        for tag, value in values.items()
    ]
    client.log_batch(run_id, metrics[:AT_ONCE], params, tags)
    for start in range(AT_ONCE, len(metrics), AT_ONCE):
        client.log_batch(run_id, metrics[start : start + AT_ONCE])
    status = "FAILED" if training.failed else "FINISHED"
    client.set_terminated(run_id, status, begun + round(training.points[-1].seconds * 1000))


def _key(name: str) -> str:
    """A name with only the characters that MLflow allows."""
    return "".join(c if (c.isalnum() and c.isascii()) or c in "_-./ :" else "_" for c in name)[:LONGEST]
