"""Event files, which `tensorboard --logdir` opens: a run for each training, its metrics against cost.

A step is one gradient evaluation. The time of an event is the seconds of training so far, counted from 1970, because
records hold how long a training took, not when; the relative axis shows them. The same records give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.report.trainings import Training, reported
from bench.storage.files import whole_folder
from bench.storage.names import filename
from bench.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event

FILE = "events.out.tfevents.0.bench"


def export(run: RunFolder, to: Path | None = None) -> Path:
    """Write a folder with an event file in each ``GAME/RULE/seed-N``."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    path = run.path / "tensorboard" if to is None else to
    trainings = reported(run)
    with whole_folder(path) as folder:
        for training in trainings:
            rule = filename(training.optimizer) + "-untuned" * (training.phase == "untuned")
            training_folder = folder / filename(training.game) / rule / f"seed-{training.seed}"
            training_folder.mkdir(parents=True)
            with open(training_folder / FILE, "wb") as file:
                writer = RecordWriter(file)
                for event in _events(training):
                    writer.write(event.SerializeToString(deterministic=True))
                writer.flush()
    return path


def _events(training: Training) -> Iterator[Event]:
    """The header of a file, the hyperparameters, then the metrics in the order of cost."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from torch.utils.tensorboard.summary import hparams

    yield Event(wall_time=0.0, file_version="brain.Event:2")
    for summary in hparams(training.described(), training.summary()):  # type: ignore[no-untyped-call]
        plugin_data = summary.value[0].metadata.plugin_data
        plugin_data.content = HParamsPluginData.FromString(plugin_data.content).SerializeToString(deterministic=True)
        yield Event(wall_time=0.0, step=0, summary=summary)
    for point in training.points_and_end:
        yield _scalars(point.cost, point.seconds, point.values)


def _scalars(cost: float, seconds: float, values: dict[str, float]) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    tag_values = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return Event(wall_time=seconds, step=round(cost), summary=Summary(value=tag_values))
