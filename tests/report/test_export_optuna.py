"""A run's tuning as other tools read it: what Optuna and its dashboard find is what the records say."""

import json
import math
import os
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

import bench
from bench.api import Run
from bench.contracts import hyperparameters
from bench.errors import UserError
from bench.games.ring8 import Ring8
from bench.registry import get_rule
from bench.report.export import export
from bench.report.export import optuna as module
from bench.studies.plan import PROTOCOL, TUNING_SEED
from bench.studies.study import Study

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

RULES = ["sgd", "ttur", "extragrad"]
STUDY = {"games": "dirac", "seeds": "0-1", "tuning_seeds": 3, "budget": 60, "evaluations": 3}
HOSTILE = 'it\'s; DROP TABLE trials-- 100%20 "ü" ?#&.py'
NUDGE = """
from bench import UpdateRule
from bench.contracts import StepSize

class Nudge(UpdateRule):
    '''w+'''

    lr: StepSize = 0.1

    def step(self, F, w, s):
        return w - self.lr * F(w), s
"""


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A run in whose tuning some trials came through, some failed, some were given up."""
    return bench.run(bench.Study(optimizers=RULES, trials=8, **STUDY), out=tmp_path_factory.mktemp("tuned") / "run")


@pytest.fixture(scope="module")
def file(tuned):
    return export(tuned, "optuna")


@contextmanager
def opened(path):
    """Optuna's storage of a file, whatever letters its path has, let go of at the end."""
    storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": partial(sqlite3.connect, path)})
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def studies(path):
    """name -> (study, its trials)."""
    with opened(path) as storage:
        loaded = {
            name: optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)
        }
        return {
            name: SimpleNamespace(
                trials=study.trials,
                attributes=study.user_attrs,
                direction=study.direction.name,
                metrics=study.metric_names,
                best=study.best_trial if any(trial.state is TrialState.COMPLETE for trial in study.trials) else None,
            )
            for name, study in loaded.items()
        }


def replicas(run, phase):
    """(rule, trial) -> seed -> that replica's records in order, read from the files."""
    frame = pd.concat([pd.read_parquet(path) for path in (run.path / "records").glob("*.parquet")])
    own = frame[(frame["phase"] == phase) & (frame["metric"] == "distance")].sort_values("cost", kind="stable")
    found = {}
    for row in own.astype({"optimizer": str, "outcome": str, "hyperparameters": str}).to_dict("records"):
        found.setdefault((row["optimizer"], row["trial"]), {}).setdefault(row["seed"], []).append(row)
    return found


def score(rows, at=math.inf):
    """What a replica stood at by a cost: infinite once it failed."""
    last = [row for row in rows if row["cost"] <= at][-1]
    failed = last["outcome"] not in ("ok", "interrupted") and last["ended"] <= at
    return math.inf if failed else last["value"]


# What stands in the file


def test_a_study_for_each_rule(file, tuned):
    assert file == tuned.path / "optuna.db"
    assert list(studies(file)) == [f"dirac / {rule}" for rule in RULES]
    for study in studies(file).values():
        assert (study.direction, study.metrics) == ("MINIMIZE", ["distance"])


def test_every_trial_is_what_the_records_say(file, tuned):
    found, states = studies(file), set()
    recorded = replicas(tuned, "tune")
    assert sum(len(study.trials) for study in found.values()) == len(recorded) == 24
    for (rule, number), seeds in recorded.items():
        trial = found[f"dirac / {rule}"].trials[number]
        assert trial.number == trial.user_attrs["trial"] == number
        assert [trial.params] == [json.loads(text) for text in {rows[0]["hyperparameters"] for rows in seeds.values()}]
        outcomes = [rows[0]["outcome"] for rows in seeds.values()]
        value = statistics.mean(map(score, seeds.values()))
        expected = TrialState.PRUNED if "interrupted" in outcomes else TrialState.COMPLETE
        expected = TrialState.FAIL if value == math.inf else expected
        assert trial.state is expected
        assert trial.value == (pytest.approx(value, rel=1e-12) if math.isfinite(value) else None)
        costs = sorted({row["cost"] for rows in seeds.values() for row in rows})
        through = {round(cost): statistics.mean(score(rows, cost) for rows in seeds.values()) for cost in costs}
        finite = {step: x for step, x in through.items() if math.isfinite(x)}
        assert trial.intermediate_values == pytest.approx(finite, rel=1e-12)
        states.add(trial.state)
    assert states == {TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL}, "a state is not tried by this run"


def test_what_a_trial_says_of_its_seeds(file, tuned):
    found = studies(file)
    for (rule, number), seeds in replicas(tuned, "tune").items():
        trial = found[f"dirac / {rule}"].trials[number]
        said = trial.user_attrs
        assert said["outcomes"] == {str(seed): rows[0]["outcome"] for seed, rows in seeds.items()}
        scores = {str(seed): score(rows) for seed, rows in seeds.items()}
        assert said["scores"] == {seed: x if math.isfinite(x) else None for seed, x in scores.items()}
        assert said["gradient evaluations"] == sum(rows[0]["ended"] for rows in seeds.values())
        spent = sum(max(row["seconds"] for row in rows) for rows in seeds.values())
        assert trial.duration.total_seconds() == pytest.approx(spent, abs=2e-6)
        assert (trial.state is TrialState.PRUNED) == (said["outcome"] == "interrupted")
        assert (trial.state is TrialState.FAIL) == (said["outcome"] == "diverged")
        curves = {
            str(round(cost)): [score(seeds[seed], cost) for seed in sorted(seeds)]
            for cost in sorted({row["cost"] for rows in seeds.values() for row in rows})
        }
        assert said["curves"] == {
            step: [x if math.isfinite(x) else None for x in scores] for step, scores in curves.items()
        }


def test_the_best_trial_is_the_best_tuned(file, tuned):
    found = studies(file)
    for rule in RULES:
        own = {n: seeds for (name, n), seeds in replicas(tuned, "tune").items() if name == rule}
        whole = {
            n: statistics.mean(map(score, seeds.values()))
            for n, seeds in own.items()
            if all(rows[0]["outcome"] != "interrupted" for rows in seeds.values())
        }
        best = min(whole, key=whole.get)
        came = found[f"dirac / {rule}"].best
        assert (came.number if came else None) == (best if whole[best] < math.inf else None)


def test_ranges_hold_what_was_tried_and_what_was_declared(file):
    for name, study in studies(file).items():
        kinds = hyperparameters(get_rule(name.removeprefix("dirac / ")))
        for trial in study.trials:
            for path, value in trial.params.items():
                kind, shape = kinds[path][0], trial.distributions[path]
                assert shape.low <= min(kind.low, value)
                assert max(kind.high, value) <= shape.high
                assert shape.log == kind.log


def test_what_a_study_says_of_its_end(file, tuned):
    again = replicas(tuned, "rerank")
    for name, study in studies(file).items():
        rule, said = name.removeprefix("dirac / "), study.attributes
        report = tuned.records.query("phase == 'report' and optimizer == @rule")["hyperparameters"]
        assert said["chosen"] == json.loads(report.iloc[0])
        if "chosen trial" in said:
            assert study.trials[said["chosen trial"]].params == said["chosen"]
        assert (said["game"], said["optimizer"], said["metric"]) == ("dirac", rule, "distance")
        assert said["protocol"] == PROTOCOL
        expected = {}
        for (own, trial), seeds in again.items():
            if own == rule:
                scores = {str(seed): score(rows) for seed, rows in seeds.items()}
                expected[str(trial)] = {seed: x if math.isfinite(x) else None for seed, x in scores.items()}
        assert said["re-rank scores"] == expected
    assert any("chosen trial" in study.attributes for study in studies(file).values())


@pytest.mark.parametrize("keys", [{}, {"sampler": "TPESampler"}, {"games": "ring8[width=16,batch_size=16]"}])
def test_it_is_the_very_study_that_was_asked(tmp_path, monkeypatch, keys):
    """Trial by trial and attribute by attribute; what a clock says is all that differs."""
    made = []
    create = optuna.create_study

    def kept(*arguments, **settings):
        made.append(create(*arguments, **settings))
        return made[-1]

    monkeypatch.setattr(optuna, "create_study", kept)
    run = bench.run(bench.Study(optimizers="sgd,ttur", trials=8, **STUDY | keys), out=tmp_path / "run")
    asked = {study.study_name: study for study in made if " / " in study.study_name}
    monkeypatch.undo()
    exported = studies(export(run, "optuna"))
    assert list(exported) == list(asked)
    for name, study in exported.items():
        assert study.attributes == asked[name].user_attrs
        assert study.direction == asked[name].direction.name
        for one, other in zip(study.trials, asked[name].trials, strict=True):
            for part in ("number", "state", "value", "params", "distributions", "intermediate_values", "user_attrs"):
                assert getattr(one, part) == getattr(other, part), (name, one.number, part)


def test_the_same_again(file, tuned, tmp_path):
    with closing(sqlite3.connect(file)) as database:
        before = list(database.iterdump())
    again = export(Run(tuned.path), "optuna", tmp_path / "again.db")
    assert export(tuned, "optuna") == file  # in the place of the first one
    for path in (file, again):
        with closing(sqlite3.connect(path)) as database:
            assert list(database.iterdump()) == before


def test_tuning_alone_says_what_it_would_freeze(tmp_path):
    run = bench.run(bench.Study(optimizers="extragrad", trials=4, **STUDY), out=tmp_path / "run", only_tune=True)
    (study,) = studies(export(run, "optuna")).values()
    assert study.attributes["chosen"] == run.hyperparameters()["dirac"]["extragrad"]
    assert study.trials[study.attributes["chosen trial"]].params == study.attributes["chosen"]


# Records as they seldom are


def record(trial, seed, value, outcome="ok", cost=10.0, ended=10.0, **others):
    given = {"optimizer": "sgd", "game": "ring8", "phase": "tune", "metric": "modes", "seconds": 0.5}
    tried = {"hyperparameters": json.dumps({"lr": 10.0**trial}), "trial": trial, "seed": TUNING_SEED + seed}
    return given | tried | {"value": value, "outcome": outcome, "cost": cost, "ended": ended} | others


def exported(tmp_path, records):
    """The studies of a run with these records."""
    (tmp_path / "study.json").write_text("{}")
    study = Study.model_construct(games=["ring8"], optimizers=["sgd"])
    frame = pd.DataFrame(records).astype({"optimizer": "category", "game": "category", "outcome": "category"})
    manifest = {"protocol": PROTOCOL}
    run = SimpleNamespace(path=tmp_path, records=frame, study=study, manifest=manifest, hyperparameters=dict)
    return studies(export(run, "optuna"))


@pytest.fixture
def judged_by_modes(monkeypatch):
    """More is better, and a failure is as bad as 0, which is a number."""
    monkeypatch.setattr(Ring8, "score", "modes")


@pytest.mark.usefixtures("judged_by_modes")
def test_where_more_is_better_and_the_worst_is_a_number(tmp_path):
    records = [record(0, 0, 3.0), record(0, 1, 5.0), record(1, 0, 7.0), record(1, 1, 8.0, "diverged")]
    records += [record(2, seed, 6.0, "diverged", ended=4.0) for seed in (0, 1)]
    (study,) = exported(tmp_path, records).values()
    assert study.direction == "MAXIMIZE"
    assert [(trial.state.name, trial.value) for trial in study.trials] == [
        ("COMPLETE", 4.0), ("FAIL", None), ("FAIL", None)
    ]  # fmt: skip
    assert [trial.user_attrs["outcome"] for trial in study.trials] == ["ok", "diverged", "diverged"]
    assert [trial.intermediate_values for trial in study.trials] == [{10: 4.0}, {}, {}]
    assert study.trials[1].user_attrs["scores"] == {str(TUNING_SEED): 7.0, str(TUNING_SEED + 1): None}
    assert study.best.number == 0
    assert "chosen" not in study.attributes  # tuning goes on still


def test_errors_and_trials_that_are_not_in_yet(tmp_path):
    failed = {"metric": "mode_error", "cost": 0.0, "ended": 0.0, "seconds": 0.0}
    records = [record(2, seed, math.nan, "error", **failed) for seed in (0, 1)]
    records += [record(5, seed, 1.0 + seed, metric="mode_error") for seed in (0, 1)]
    records += [record(6, seed, math.nan, metric="mode_error") for seed in (0, 1)]
    (study,) = exported(tmp_path, records).values()
    assert [trial.user_attrs["trial"] for trial in study.trials] == [2, 5, 6]
    assert [trial.user_attrs["outcome"] for trial in study.trials] == ["error", "ok", "diverged"]
    assert [(trial.state.name, trial.value) for trial in study.trials] == [
        ("FAIL", None), ("COMPLETE", 1.5), ("FAIL", None)
    ]  # fmt: skip
    assert [trial.intermediate_values for trial in study.trials] == [{}, {10: 1.5}, {}]


def test_a_value_past_the_declared_range_widens_it(tmp_path):
    (study,) = exported(tmp_path, [record(n, 0, 1.0, metric="mode_error") for n in (-9, 0, 4)]).values()
    kind = hyperparameters(get_rule("sgd"))["lr"][0]
    for trial in study.trials:
        shape = trial.distributions["lr"]
        assert (shape.low, shape.high, shape.log) == (min(kind.low, 1e-9), max(kind.high, 1e4), True)


# Names that would do harm


def test_hostile_names(tmp_path):
    (tmp_path / HOSTILE).write_text(NUDGE, "utf-8")
    rule = f"{tmp_path / HOSTILE}:Nudge"
    run = bench.run(bench.Study(optimizers=[rule], trials=4, **STUDY), out=tmp_path / "run")
    place = tmp_path / "100%20 {x} ?mode=memory#&'ü'.db"
    assert export(run, "optuna", place) == place
    found = studies(place)
    assert list(found) == [f"dirac / {rule}"]
    assert len(found[f"dirac / {rule}"].trials) == 4
    assert {path.name for path in tmp_path.iterdir()} == {HOSTILE, "run", place.name}


# Whole or not at all


def test_whole_or_not_at_all(file, tuned, tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("no more room")

    place = Path(shutil.copy(file, tmp_path / "kept.db"))
    before = place.read_bytes()
    monkeypatch.setattr(module, "_trials", fails)
    for path in (place, tmp_path / "new.db"):
        with pytest.raises(RuntimeError, match="no more room"):
            export(tuned, "optuna", path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.db"]
    assert place.read_bytes() == before


def test_no_connection_is_left_open(tuned, tmp_path, monkeypatch):
    made, connect = [], module._connection
    monkeypatch.setattr(module, "_connection", lambda file: made.append(connect(file)) or made[-1])
    export(tuned, "optuna", tmp_path / "new.db")
    assert made
    for connection in made:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


def test_nothing_of_somebody_elses_is_replaced(tuned, tmp_path):
    with closing(sqlite3.connect(tmp_path / "own.db")) as database:
        database.execute("CREATE TABLE studies (study_id INTEGER)")
    (tmp_path / "table.csv").write_text("game,optimizer\n")
    (tmp_path / "empty.db").write_text("")
    for name in ("own.db", "table.csv"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(UserError, match="is there and no export of bench; name another file"):
            export(tuned, "optuna", tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    assert len(studies(export(tuned, "optuna", tmp_path / "empty.db"))) == len(RULES)


# The command


def test_the_command_prints_the_path(tuned, file, call, tmp_path):
    assert call("export", tuned.path, "optuna") == (0, f"{file}\n", "")
    assert call("export", tuned.path, "optuna", "--to", "here.db") == (0, "here.db\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["here.db"]
    assert list(studies(tmp_path / "here.db")) == list(studies(file))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["{run}", "optunna"], "unknown target 'optunna'; did you mean optuna?"),
        (["{run}", "csv"], "unknown target 'csv'; known: baseline, mlflow, optuna, tensorboard, wandb"),
        (["{run}", "optuna", "--to", "no/where.db"], "'no/where.db' cannot be written: No such file"),
        (["{run}", "optuna", "--to", "."], "'.' is a folder; name a file"),
        (["{run}"], "Missing argument"),
        (["nowhere", "optuna"], "'nowhere' is no run's folder"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(call, tuned, tmp_path, args, says):
    before = sorted(path.name for path in tuned.path.iterdir())
    code, out, err = call("export", *(arg.format(run=tuned.path) for arg in args))
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("bench: ")
    assert says in line
    assert list(tmp_path.iterdir()) == []
    assert sorted(path.name for path in tuned.path.iterdir()) == before


def test_a_run_without_tuning_is_refused(call, tmp_path):
    bench.run(bench.Study(optimizers="sgd", trials=0, **STUDY), out=tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))
    assert call("export", "run", "optuna") == (2, "", "bench: 'run' has no tuning to export: nothing was tuned in it\n")
    assert sorted(tmp_path.rglob("*")) == before


# optuna-dashboard

DASHBOARD = shutil.which(
    "optuna-dashboard", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
)


@contextmanager
def dashboard(path, log):
    """A dashboard of a file on a free port, ended in any case; yields (its address, its process)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [DASHBOARD, f"sqlite:///{path}", "--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref"]
    with open(log, "w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=log.parent)
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def asked(address):
    """What an address answers; no proxy of the environment's stands between."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.skipif(DASHBOARD is None, reason="optuna-dashboard is not installed")
def test_the_dashboard_shows_the_studies(file, tuned, tmp_path):
    log, end = tmp_path / "log", time.monotonic() + 60
    with dashboard(file, log) as (address, process):
        while True:
            try:
                listed = asked(f"{address}/api/studies")["study_summaries"]
                break
            except OSError:  # it does not listen yet
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
        assert [study["study_name"] for study in listed] == [f"dirac / {rule}" for rule in RULES]
        for study, whole in zip(listed, studies(file).values(), strict=True):
            shown = asked(f"{address}/api/studies/{study['study_id']}")
            assert shown["directions"] == ["minimize"]
            assert shown["objective_names"] == ["distance"]
            assert shown["has_intermediate_values"]
            assert [trial["state"].upper() for trial in shown["trials"]] == [t.state.name for t in whole.trials]
            assert [trial.get("values") for trial in shown["trials"]] == [t.values for t in whole.trials]
            assert [trial["number"] for trial in shown["best_trials"]] == ([whole.best.number] if whole.best else [])
            attributes = {item["key"]: item["value"] for item in shown["user_attrs"]}
            assert json.loads(attributes["chosen"]) == whole.attributes["chosen"]
    assert process.poll() is not None
