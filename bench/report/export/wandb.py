"""A folder of offline runs, which `wandb sync` uploads when you ask it to: a run for each training.

Nothing is sent and no account is needed. A step is one gradient evaluation; metrics are drawn against ``cost`` or
``seconds``, because W&B's own clock counts from the export.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.report.trainings import Training, reported
from bench.storage.files import whole_folder
from bench.storage.names import filename
from bench.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import wandb

LONGEST = 128  # characters of a group's name


def export(run: RunFolder, to: Path | None = None) -> Path:
    """Write a folder of ``offline-run-...`` folders."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # must be set before the import
    import wandb

    path = run.path / "wandb" if to is None else to
    trainings = reported(run)
    content, project = json.dumps(run.manifest["study"], sort_keys=True), filename(run.path.resolve().name)
    # W&B's files contain the path of the folder that they are written in, so that is a temporary one.
    with whole_folder(path) as folder, TemporaryDirectory() as scratch:
        for training in trainings:
            run_id = hashlib.sha256(f"{content} {training.name}".encode()).hexdigest()[:12]
            _add(training, scratch, project, run_id, _settings())
        wandb.teardown()
        for offline_run in sorted(Path(scratch, "wandb").glob("offline-run-*")):
            shutil.rmtree(offline_run / "logs", ignore_errors=True)
            shutil.copytree(offline_run, folder / offline_run.name)
    return path


def _settings() -> wandb.Settings:
    """Offline, without any record of the machine or of other files in the folder."""
    import wandb

    return wandb.Settings(
        mode="offline", silent=True, console="off", disable_git=True, save_code=False, disable_code=True,
        x_disable_meta=True, x_disable_stats=True, x_disable_machine_info=True, x_save_requirements=False,
        host="", username="", program="bench",
    )  # fmt: skip


def _add(training: Training, scratch: str, project: str, run_id: str, settings: wandb.Settings) -> None:
    """Add one run. The same study and training have the same id, so syncing an export twice adds no second run."""
    import wandb

    group = training.name.rpartition(" / ")[0][:LONGEST]
    wandb_run = wandb.init(
        project=project, dir=scratch, id=run_id, name=training.name[:LONGEST], group=group, reinit="create_new",
        config=training.described() | {"metric": training.metric.name}, settings=settings,
    )  # fmt: skip
    wandb_run.define_metric("*", step_metric="cost")
    for point in training.points:
        wandb_run.log({"cost": point.cost, "seconds": point.seconds} | point.values, step=round(point.cost))
    wandb_run.summary.update(training.summary() | {"outcome": training.outcome})
    wandb_run.finish(exit_code=int(training.failed))
