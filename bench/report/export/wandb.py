"""A folder of offline runs, which `wandb sync` uploads when you ask it to: a run for each training.

Nothing is sent and no account is asked for. A step is one gradient evaluation; metrics are drawn against ``cost`` or
``seconds``, for W&B's own clock counts from the export.
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

LONGEST = 128  # letters of a group's name


def export(run: RunFolder, to: Path | None = None) -> Path:
    """Write ``offline-run-...`` folders into a folder."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # before it is imported
    import wandb

    path = run.path / "wandb" if to is None else to
    found = reported(run)
    content, project = json.dumps(run.study, sort_keys=True), filename(run.path.resolve().name)
    # Its own files speak of the folder they are written in: so that is one that means nothing.
    with whole_folder(path) as folder, TemporaryDirectory() as scratch:
        for training in found:
            key = hashlib.sha256(f"{content} {training.name}".encode()).hexdigest()[:12]
            _add(training, scratch, project, key, _settings())
        wandb.teardown()
        for made in sorted(Path(scratch, "wandb").glob("offline-run-*")):
            shutil.rmtree(made / "logs", ignore_errors=True)
            shutil.copytree(made, folder / made.name)
    return path


def _settings() -> wandb.Settings:
    """Offline, and nothing of the machine or of what else is in the folder is noted down."""
    import wandb

    return wandb.Settings(
        mode="offline", silent=True, console="off", disable_git=True, save_code=False, disable_code=True,
        x_disable_meta=True, x_disable_stats=True, x_disable_machine_info=True, x_save_requirements=False,
        host="", username="", program="bench",
    )  # fmt: skip


def _add(training: Training, scratch: str, project: str, key: str, settings: wandb.Settings) -> None:
    """One run; the same study and training have the same id, so that syncing an export twice gives no second run."""
    import wandb

    group = training.name.rpartition(" / ")[0][:LONGEST]
    made = wandb.init(
        project=project, dir=scratch, id=key, name=training.name[:LONGEST], group=group, reinit="create_new",
        config=training.described() | {"metric": training.metric.name}, settings=settings,
    )  # fmt: skip
    made.define_metric("*", step_metric="cost")
    for point in training.points:
        made.log({"cost": point.cost, "seconds": point.seconds} | point.values, step=round(point.cost))
    made.summary.update(training.summary() | {"outcome": training.outcome})
    made.finish(exit_code=int(training.failed))
