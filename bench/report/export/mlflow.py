"""An SQLite file, which `mlflow ui --backend-store-uri sqlite:///FILE` opens: a run for each training.

An experiment is a game, a step one gradient evaluation. Records know how long a training took, not when: each is shown
as begun when the run's folder was.
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
AT_ONCE = 1000  # metrics that a store takes in one call
LONGEST = 250  # letters of a parameter's name; of its value MLflow takes 6000


def export(run: RunFolder, to: Path | None = None) -> Path:
    """Write the file, whole or not at all."""
    path = run.path / "mlflow.db" if to is None else to
    try:
        check_database(path)
        found = reported(run)
        begun = int((run.path / "study.json").stat().st_mtime * 1000)
        with _quiet():
            write_file(path, _database(found, run.study, begun))
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be written: {error.strerror}") from None
    return path


@contextmanager
def _quiet() -> Iterator[None]:
    """No word to its makers, no flush after every call: the file is flushed once, as a whole. All is undone."""
    from sqlalchemy import Engine, event

    before = {key: os.environ.get(key) for key in QUIET}
    os.environ.update(QUIET)
    event.listen(Engine, "connect", _unhurried)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its parts warn of one another
            yield
    finally:
        event.remove(Engine, "connect", _unhurried)
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})


def _unhurried(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")


def _database(found: list[Training], study: Study, begun: int) -> bytes:
    """An SQLite file of the trainings; ``begun`` in milliseconds since 1970."""
    import logging

    from mlflow.tracking import MlflowClient

    for talkative in ("mlflow", "alembic"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "mlflow.db"
        client = MlflowClient(f"sqlite:///{file}")
        # No file of a run is ever stored, and the folder that this is written in is soon gone: so no path is named.
        names = dict.fromkeys(training.game for training in found)
        experiments = {name: client.create_experiment(name, artifact_location="mlflow-artifacts:/") for name in names}
        for training in found:
            _add(client, experiments[training.game], training, begun)
        _let_go(client)
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(f"PRAGMA application_id = {int.from_bytes(MARK, 'big')}")
            connection.commit()
        return file.read_bytes()


def _let_go(client: MlflowClient) -> None:
    """Close the file."""
    client._tracking_client.store.engine.dispose()


def _add(client: MlflowClient, experiment: str, training: Training, begun: int) -> None:
    from mlflow.entities import Metric, Param, RunTag

    made = client.create_run(experiment, start_time=begun, run_name=training.name)
    identity = made.info.run_id
    params = [Param(_key(key), str(value)) for key, value in training.described().items()]
    tags = [RunTag("outcome", training.outcome), RunTag("metric", training.metric.name)]
    metrics = [
        Metric(_key(tag), value, begun + round(seconds * 1000), round(cost))
        for cost, seconds, values in training.told
        for tag, value in values.items()
    ]
    client.log_batch(identity, metrics[:AT_ONCE], params, tags)
    for start in range(AT_ONCE, len(metrics), AT_ONCE):
        client.log_batch(identity, metrics[start : start + AT_ONCE])
    status = "FAILED" if training.failed else "FINISHED"
    client.set_terminated(identity, status, begun + round(training.points[-1].seconds * 1000))


def _key(name: str) -> str:
    """A name of letters that MLflow takes."""
    return "".join(c if (c.isalnum() and c.isascii()) or c in "_-./ :" else "_" for c in name)[:LONGEST]
