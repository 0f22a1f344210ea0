"""A run's trainings as TensorBoard, MLflow and W&B read them: what the records say, and no network is asked."""

from __future__ import annotations

import importlib
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.errors import UserError
from bench.report.export import targets
from bench.report.trainings import trainings
from bench.storage.files import NOTE

RULES = ["sgd[lr=0.1]", "sgd[lr=3]", "extragrad[lr=0.3]"]  # the second diverges on both games
GAMES = ["dirac", "quadratic"]
STUDY = {"seeds": "0-1", "trials": 0, "budget": 400, "evaluations": 3}
OFFLINE = ["unshare", "-rn"]  # a process of its own without any network, not even this machine's own
EXTRA = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}

Key = tuple[str, str, int]
Values = dict[str, list[tuple[int, float]]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return bench.run(bench.Study(optimizers=RULES, games=GAMES, **STUDY), out=tmp_path_factory.mktemp("of") / "run")


def isolated() -> list[str]:
    """What runs a command without network, where this system lets one be cut off."""
    if shutil.which("unshare") and subprocess.run([*OFFLINE, "true"], check=False, capture_output=True).returncode == 0:
        return OFFLINE
    return []


@pytest.fixture(scope="module")
def exported(run: bench.Run) -> dict[str, Path]:
    """Each target that is installed, written by the command."""
    found = {}
    for target, package in EXTRA.items():
        if importlib.util.find_spec(package) is None:
            continue
        command = [*isolated(), sys.executable, "-m", "bench", "export", str(run.path), target]
        settings = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB", "MLFLOW"))}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=settings, timeout=240)
        assert (done.returncode, done.stderr) == (0, ""), done
        found[target] = Path(done.stdout.strip())
    return found


def at(exported: dict[str, Path], target: str) -> Path:
    if target not in exported:
        pytest.skip(f"{EXTRA[target]} is not installed")
    return exported[target]


def recorded(run: bench.Run) -> dict[Key, Values]:
    """What the files of records say: training -> metric -> (step, value)."""
    frame = pd.concat([pd.read_parquet(path) for path in (run.path / "records").glob("*.parquet")])
    found: dict[Key, Values] = {}
    for row in frame.astype({"game": str, "optimizer": str, "metric": str}).sort_values("cost").itertuples():
        own = found.setdefault((row.game, row.optimizer, row.seed), {})
        own.setdefault(row.metric, []).append((round(row.cost), row.value))
    return found


def same(found: dict[Key, Values], expected: dict[Key, Values], rel: float) -> None:
    """All trainings, metrics, steps and values are there, and no others."""
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert found[key].keys() == values.keys()
        for metric, points in values.items():
            own = found[key][metric]
            assert [step for step, _ in own] == [step for step, _ in points]
            assert [value for _, value in own] == pytest.approx([value for _, value in points], rel=rel, nan_ok=True)


def ended(run: bench.Run) -> dict[Key, bool]:
    """Which trainings failed, by the records."""
    frame = run.records.drop_duplicates(["game", "optimizer", "seed"])
    return {(row.game, row.optimizer, row.seed): row.outcome != "ok" for row in frame.itertuples()}


def test_some_fail_and_some_do_not(run: bench.Run) -> None:
    assert set(ended(run).values()) == {True, False}


# Each tool


def test_tensorboard_reads_what_the_records_say(run: bench.Run, exported: dict[str, Path]) -> None:
    path = at(exported, "tensorboard")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

        found: dict[Key, Values] = {}
        for file in path.rglob("events.out.tfevents.*"):
            events = EventAccumulator(str(file.parent), size_guidance={"scalars": 0})
            events.Reload()
            plugin = events.SummaryMetadata("_hparams_/session_start_info").plugin_data
            session = HParamsPluginData.FromString(plugin.content).session_start_info
            given = {key: value.string_value or value.number_value for key, value in session.hparams.items()}
            key = (str(given["game"]), str(given["optimizer"]), int(given["seed"]))
            scalars = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
            values = {tag: [(event.step, event.value) for event in own] for tag, own in scalars.items()}
            assert [bool(value) for _, value in values["final/failed"]] == [ended(run)[key]]
            found[key] = {tag: own for tag, own in values.items() if not tag.startswith("final/")}
            times = [event.wall_time for event in scalars["distance"]]
            assert times == sorted(times)
    same(found, recorded(run), rel=1e-6)


def test_mlflow_reads_what_the_records_say(run: bench.Run, exported: dict[str, Path]) -> None:
    path = at(exported, "mlflow")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.tracking import MlflowClient

        client = MlflowClient(f"sqlite:///{path}")
        found: dict[Key, Values] = {}
        for experiment in client.search_experiments():
            for made in client.search_runs([experiment.experiment_id]):
                params = made.data.params
                assert params["game"] == experiment.name
                key = (params["game"], params["optimizer"], int(params["seed"]))
                assert (made.info.status == "FAILED") is ended(run)[key]
                found[key] = {}
                for metric in set(made.data.metrics):
                    history = client.get_metric_history(made.info.run_id, metric)
                    if not metric.startswith("final/"):
                        found[key][metric] = sorted((point.step, point.value) for point in history)
        client._tracking_client.store.engine.dispose()
    expected = recorded(run)
    for values in expected.values():  # its store has no infinity
        for own in values.values():
            own[:] = [(step, math.copysign(sys.float_info.max, x) if math.isinf(x) else x) for step, x in own]
    same(found, expected, rel=1e-12)


def test_wandb_reads_what_the_records_say(run: bench.Run, exported: dict[str, Path]) -> None:
    path = at(exported, "wandb")
    found: dict[Key, Values] = {}
    for file in path.glob("offline-run-*/run-*.wandb"):
        config: dict[str, object] = {}
        values: Values = {}
        for record in wandb_records(file.read_bytes()):
            for item in record.run.config.update:
                config[item.key] = json.loads(item.value_json)
            row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            for metric in row.keys() - {"cost", "seconds"}:
                if not metric.startswith("_"):
                    values.setdefault(metric, []).append((round(row["cost"]), float(row[metric])))
            assert record.run.host == "", "whose machine it was is nobody's business"
            if record.WhichOneof("record_type") == "exit":
                failed = record.exit.exit_code != 0
        key = (str(config["game"]), str(config["optimizer"]), int(str(config["seed"])))
        assert failed is ended(run)[key]
        found[key] = values
    same(found, recorded(run), rel=1e-12)


def wandb_records(content: bytes) -> Iterator[object]:
    """The records of a W&B file, which is a log as LevelDB writes it after a head of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    place, part = 7, b""
    while place + 7 <= len(content):
        if (left := 32768 - place % 32768) < 7:  # a head is never broken in two
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        part += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or a last part
            yield Record.FromString(part)
            part = b""


# What is written, and where


def test_the_same_records_give_tensorboard_the_same_bytes(
    run: bench.Run, exported: dict[str, Path], tmp_path: Path
) -> None:
    from bench.report.export import export

    first = at(exported, "tensorboard")
    second = export(run, "tensorboard", tmp_path / "again")
    files = [
        {path.relative_to(to): path.read_bytes() for path in to.rglob("*") if path.is_file()} for to in (first, second)
    ]
    assert files[0] == files[1]
    assert len(files[0]) == len(RULES) * len(GAMES) * 2 + 1
    assert export(run, "tensorboard", second) == second  # what was written here is replaced
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again"]


def test_nothing_of_somebody_elses_is_replaced(run: bench.Run, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from bench.report.export import export

    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    for place, says in (("own", "was not written by bench"), ("own/notes.txt", "is a file; name a folder")):
        with pytest.raises(UserError, match=says):
            export(run, "tensorboard", tmp_path / place)
    assert [path.name for path in tmp_path.rglob("*")] == ["own", "notes.txt"]
    assert not (tmp_path / "own" / NOTE).exists()


@pytest.mark.parametrize("target", EXTRA)
def test_without_the_package_the_extra_is_named(
    run: bench.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str
) -> None:
    from bench.report.export import export

    for name in [name for name in sys.modules if name.partition(".")[0] == EXTRA[target]]:
        monkeypatch.delitem(sys.modules, name)

    class Absent:
        def find_spec(self, name: str, *_: object) -> None:
            if name.partition(".")[0] == EXTRA[target]:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with pytest.raises(UserError, match=rf"needs {EXTRA[target]}, .* pip install 'gan-optimizer-bench\[export\]'"):
        export(run, target, tmp_path / "there")
    assert list(tmp_path.iterdir()) == []


def test_every_target_says_what_it_writes() -> None:
    assert targets().keys() == {"baseline", "optuna", *EXTRA}
    assert all(len(text.split()) > 3 and text.endswith(".") for text in targets().values())


# Trainings


def test_trainings_are_the_records_in_order(run: bench.Run) -> None:
    found = list(trainings(run.records, run.study))
    assert [(one.game, one.optimizer, one.seed) for one in found] == [
        (game, rule, seed) for game in GAMES for rule in RULES for seed in (0, 1)
    ]
    expected = recorded(run)
    for one in found:
        values: Values = {}
        for point in one.points:
            for metric, value in point.values.items():
                values.setdefault(metric, []).append((round(point.cost), value))
        same(
            {(one.game, one.optimizer, one.seed): values},
            {(one.game, one.optimizer, one.seed): expected[one.game, one.optimizer, one.seed]},
            0,
        )
        assert one.failed is ended(run)[one.game, one.optimizer, one.seed]
        assert math.isinf(one.score) is one.failed


def test_what_was_frozen_is_described(tmp_path: Path) -> None:
    study = bench.Study(
        optimizers="extragrad", games="dirac", trials=4, tuning_seeds=2, budget=60, untuned=True, seeds="0-1"
    )
    run = bench.run(study, out=tmp_path / "run")
    found = list(trainings(run.records, run.study))
    assert [one.phase for one in found] == ["report", "report", "untuned", "untuned"]
    lr = run.hyperparameters()["dirac"]["extragrad"]["lr"]
    assert [one.described().get("lr") for one in found] == [lr, lr, None, None]
    assert found[2].name == "dirac / extragrad (untuned) / seed 0"
