"""From a study to a finished run: equal cost, the same records whatever happens, failures that stay alone."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import trim_mean

import bench
from bench.analysis.table import table
from bench.execution.process_pool import ProcessEngine
from bench.execution.training import execute
from bench.games.ring8 import Ring8
from bench.registry import get_metric, get_rule, rules
from bench.studies.cost import planned_cost
from bench.studies.plan import TUNING_SEED, Row, Task
from bench.studies.study import Study
from bench.studies.tuning.sensitivity import can_be_trained

RING = "ring8[width=16,batch_size=16]"
SMALL = {"seeds": "0-2", "trials": 4, "tuning_seeds": 2, "budget": 24, "evaluations": 4}
STUDY = bench.Study(optimizers="sgd,extragrad,ttur", games=f"dirac,bilinear[dim=2],{RING}", **SMALL)
PLUGIN = """
import os
import signal
from bench import UpdateRule, rule
from bench.contracts import StepSize


class Raises(UpdateRule):
    lr: StepSize = 0.25

    def step(self, F, w, s):
        raise ValueError("no step today")


class Explodes(UpdateRule):
    lr: StepSize = 0.25

    def step(self, F, w, s):
        return w + self.lr * 1e12 * F(w), s


@rule("decorated-killer")
class Kills(UpdateRule):
    lr: StepSize = 0.25

    def step(self, F, w, s):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return bench.run(STUDY, out=tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kept in ("plugins", "locations"):
        monkeypatch.setattr(rules, kept, dict(getattr(rules, kept)))
    (tmp_path / "plugin.py").write_text(PLUGIN)


def same(left, right):
    """The same records but for the seconds they took."""
    keys = ["game", "optimizer", "phase", "trial", "seed", "metric", "cost"]
    plain = [x.drop(columns="seconds").astype(dict.fromkeys(x.select_dtypes("category"), str)) for x in (left, right)]
    pd.testing.assert_frame_equal(*(x.sort_values(keys, ignore_index=True) for x in plain), check_exact=True)


def of(records, optimizer):
    return records[records["optimizer"] == optimizer]


# The interface


def test_import_alone_loads_nothing_heavy():
    heavy = "torch", "numpy", "pandas", "pydantic", "optuna", "matplotlib"
    code = f"import sys, bench; dir(bench); sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_is_there():
    assert len(bench.__all__) <= 20
    for name in bench.__all__:
        assert getattr(bench, name) is getattr(importlib.import_module(bench._HOME[name]), name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bench.nothing  # noqa: B018


def test_records(whole):
    columns = ["optimizer", "game", "hyperparameters", "seed", "phase", "cost", "seconds", "metric", "value", "outcome"]
    assert [name for name in whole.records if name not in ("trial", "ended")] == columns
    assert set(whole.records) == {*columns, "trial", "ended"}
    replicas = whole.records.groupby(["optimizer", "game", "phase"], observed=True)
    assert (replicas["seed"].nunique().unstack("phase") == {"tune": 2, "rerank": 2, "report": 3}).all(axis=None)
    assert (replicas["trial"].nunique().unstack("phase") == {"tune": 4, "rerank": 3, "report": 1}).all(axis=None)
    report = whole.records[whole.records["phase"] == "report"]
    assert set(report["cost"]) == {0, 6, 12, 18, 24}
    assert set(map(str, report.loc[report["game"] == RING, "metric"])) >= {"mode_error", "modes", "field_norm"}


def test_tuning_and_report_seeds_are_disjoint(whole):
    seeds = {str(phase): set(own["seed"]) for phase, own in whole.records.groupby("phase", observed=True)}
    assert seeds == {
        "report": {0, 1, 2}, "tune": {TUNING_SEED, TUNING_SEED + 1}, "rerank": {TUNING_SEED + 2, TUNING_SEED + 3},
    }  # fmt: skip
    with pytest.raises(ValueError, match="from 0 to 4294967295"):
        bench.Study(optimizers="sgd", seeds=[TUNING_SEED])


def test_every_rule_costs_what_was_planned(whole):
    replicas = whole.records.groupby(["optimizer", "game", "phase", "trial", "seed"], observed=True).first()
    tasks = replicas.groupby(["optimizer", "game"], observed=True)
    assert (24 * tasks.size()).to_dict() == planned_cost(STUDY)
    assert set(replicas.loc[replicas["outcome"] == "ok", "ended"]) == {24}
    calm = tasks["outcome"].agg(lambda outcomes: set(outcomes) == {"ok"})
    assert calm.any()
    spent = tasks["ended"].sum()
    assert set(spent[calm]) == set(planned_cost(STUDY).values())
    assert (spent[~calm] <= spent[calm].max()).all()


def test_the_best_trial_is_frozen(whole):
    for (optimizer, game), own in whole.records.groupby(["optimizer", "game"], observed=True):
        metric = get_metric(whole.study.game(game).score)
        finalists = own.loc[own["phase"] == "rerank", "trial"].unique()
        both = own[own["trial"].isin(finalists) & (own["metric"] == metric.name) & (own["phase"] != "report")]
        last = both.sort_values("cost").drop_duplicates(["trial", "seed"], keep="last")
        counted = last["value"].where(last["outcome"] == "ok", metric.worst)
        scores = counted.groupby(last["trial"]).agg(lambda values: trim_mean(values, 0.25))
        frozen = json.loads(own.loc[own["phase"] == "report", "hyperparameters"].iloc[0])
        if can_be_trained(own, whole.study, game):
            assert frozen == json.loads(last.loc[last["trial"] == scores.idxmin(), "hyperparameters"].iloc[0])
        else:
            assert frozen == {path: value for path, value in vars(get_rule(optimizer)).items() if path in frozen}
        assert set(frozen) == ({"lr_g", "lr_d"} if optimizer == "ttur" else {"lr"})


# The same records, whatever happens on the way


def test_again_executes_nothing(whole, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    before = whole.records
    monkeypatch.setattr("bench.execution.training.execute", fail)
    statuses = []
    same(bench.run(STUDY, out=whole.path, watch=statuses.append).records, before)
    assert statuses == []


@pytest.mark.parametrize("after", [40, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 400))])
def test_interrupted_and_continued(whole, tmp_path, after):
    calls = []

    def watch(status):
        calls.append(status)
        if len(calls) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.run(STUDY, out=tmp_path / "run", watch=watch)
    kept = bench.Run(tmp_path / "run")
    kept.table(full=True)  # what there is can be looked at
    calls.clear()
    after = -1
    found = bench.run(STUDY, out=tmp_path / "run", watch=watch)
    same(found.records, whole.records)
    pd.testing.assert_frame_equal(
        *(run.table(full=True).drop(columns=["seconds", "tuning_seconds"]) for run in (found, whole))
    )
    assert calls[-1].done + calls[-1].skipped == calls[-1].planned == sum(planned_cost(STUDY).values())
    assert (calls[0].skipped > 0) == (len(kept.records) > 0)


@pytest.mark.parametrize("games", [["dirac"], pytest.param(STUDY.games, marks=pytest.mark.slow, id="all")])
def test_workers_killed_midway_and_relative_plugins(whole, plugin, tmp_path, monkeypatch, games):
    """Two processes give the records of one, though one is killed; a rule that kills its own costs its own cells."""
    engines, killed = [], []
    begin = ProcessEngine.__init__
    monkeypatch.setattr(ProcessEngine, "__init__", lambda self, size: (engines.append(self), begin(self, size))[1])

    def watch(status):
        for slot in range(2):
            if not killed and engines[0].running(slot) > 0:
                (process,) = engines[0].pools[slot]._processes.values()
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)

    killer = "./plugin.py:Kills"
    study = STUDY.model_copy(update={"optimizers": [*STUDY.optimizers, killer], "games": games})
    run = bench.run(study, out=tmp_path / "run", jobs=2, watch=watch, errors="keep")
    assert killed
    same(run.records[run.records["optimizer"] != killer], whole.records[whole.records["game"].isin(games)])
    assert set(of(run.records, killer)["outcome"]) == {"error"}
    assert all("was killed 3 times" in path.read_text() for path in run.errors)


@pytest.mark.slow
def test_workers_are_ended_in_the_midst_of_a_chunk():
    (chunk,) = Task("sgd", "dirac", 1e6, 1, "cpu").chunks([Row(1, ())], "report")
    engine = ProcessEngine(1)
    future = engine.submit(0, chunk)
    end = time.monotonic() + 60
    while engine.running(0) == 0 and time.monotonic() < end:
        time.sleep(0.05)
    (process,) = engine.pools[0]._processes.values()
    start = time.monotonic()
    engine.close(kill=True)
    assert time.monotonic() - start < 3
    assert future.exception() is not None
    assert not process.is_alive()


# Failures stay alone


def test_a_rule_that_raises_costs_its_own_cells(whole, plugin, tmp_path):
    raises = "./plugin.py:Raises"
    study = STUDY.model_copy(update={"optimizers": [*STUDY.optimizers, raises]})
    run = bench.run(study, out=tmp_path / "run", errors="keep")
    same(run.records[run.records["optimizer"] != raises], whole.records)
    assert set(of(run.records, raises)["outcome"]) == {"error"}
    assert all("no step today" in path.read_text() for path in run.errors)
    rows = of(run.table(full=True), raises)
    assert list(rows["errors"]) == list(rows["n"]) == [3, 3, 3]
    worst = {game: get_metric(whole.study.game(game).score).worst for game in STUDY.games}
    assert dict(zip(rows["game"], rows["iqm"], strict=True)) == worst
    assert set(rows["hyperparameters"]) == {"lr=0.25"}  # no trial was any good: the declared default


def test_where_all_trials_diverge_the_default_is_frozen(plugin, tmp_path):
    run = bench.run(bench.Study(optimizers="./plugin.py:Explodes", games="dirac", **SMALL), out=tmp_path / "run")
    assert set(run.records["outcome"]) == {"diverged"}
    assert set(run.records["ended"]) == {1}
    (row,) = run.table(full=True).itertuples()
    assert (row.hyperparameters, row.diverged, row.n, row.cost) == ("lr=0.25", 3, 3, 1)


def test_an_edited_plugin_is_run_anew_and_its_past_is_left_out(plugin, tmp_path):
    study = bench.Study(optimizers="./plugin.py:Raises", games="dirac", **(SMALL | {"trials": 0}))
    assert bench.run(study, out="run", errors="keep").errors
    (tmp_path / "plugin.py").write_text(PLUGIN.replace('raise ValueError("no step today")', "return w - F(w), s"))
    code = f"import bench; bench.run(bench.Study(**{study.model_dump()}), out='run')"  # as a new session would
    subprocess.run([sys.executable, "-c", code], check=True)
    run = bench.Run("run")
    assert not run.errors
    assert "error" not in set(run.records["outcome"])
    assert list(run.table(full=True)["errors"]) == [0]


@pytest.mark.parametrize("game", ["dirac", "bilinear[dim=2]", RING])
@pytest.mark.parametrize("rule", ["sgd", "extragrad", "optimistic-adam"])
def test_replicas_that_blow_up_leave_the_others_alone(rule, game):
    task = Task(rule, game, 24.0, 4, "cpu")

    def records(lr):
        """Three calm replicas between two of another step size."""
        rows = [Row(seed, (("lr", lr if seed in (1, 9) else 0.01),)) for seed in (1, 2, 3, 4, 9)]
        (chunk,) = task.chunks(rows, "report")
        return pd.DataFrame(execute(chunk).records).drop(columns="seconds")

    calm, wild = records(0.01), records(1e9)
    left, right = (found[found["seed"].between(2, 4)].reset_index(drop=True) for found in (calm, wild))
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    lost = wild[~wild["seed"].between(2, 4)]
    if (rule, game) != ("extragrad", "dirac"):  # so far out there is no gradient for its second half-step
        assert set(lost["outcome"]) == {"diverged"}
        assert set(lost["ended"]) == {get_rule(rule).cost}
        assert set(lost["cost"]) == {0}


def test_one_seed_is_the_same_as_among_others(tmp_path):
    asked = {"optimizers": "adam", "games": RING} | SMALL | {"trials": 0}
    one = bench.run(bench.Study(**asked | {"seeds": 7}), out=tmp_path / "one")
    two = bench.run(bench.Study(**asked | {"seeds": "5,7"}), out=tmp_path / "two")
    same(one.records, two.records[two.records["seed"] == 7])
    (row,) = one.table(full=True).itertuples()
    assert row.low == row.iqm == row.high


def test_tiny_studies(tmp_path):
    asked = {"optimizers": "sgd", "games": "dirac", "seeds": "0", "trials": 0, "budget": 1, "evaluations": 1}
    run = bench.run(bench.Study(**asked), out=tmp_path / "run")
    assert run.table(full=True)["iqm"].notna().all()


# The table


def test_the_table_is_that_of_the_records(whole):
    found = whole.table(full=True)
    assert list(zip(found["game"], found["optimizer"], strict=True)) == [
        (game, rule) for game in STUDY.games for rule in STUDY.optimizers
    ]
    for row in found.itertuples():
        own = of(whole.records[whole.records["game"] == row.game], row.optimizer)
        own = own[(own["phase"] == "report") & (own["metric"] == row.metric)]
        last = own[own["cost"] == own.groupby("seed")["cost"].transform("max")]
        values = last["value"].where(last["outcome"] == "ok", np.inf)
        expected = np.inf if np.isinf(np.sort(values)[: 3 - 3 // 4]).any() else trim_mean(values, 0.25)
        assert row.iqm == pytest.approx(expected)
        assert row.low <= row.iqm <= row.high
        assert (row.n, row.diverged) == (3, (last["outcome"] == "diverged").sum())
        assert row.diverged_low <= row.diverged / 3 <= row.diverged_high


def synthetic(metric, values):
    """Records of the report seeds of rules on ring8: rule -> final values, None for a diverged replica."""
    return pd.DataFrame(
        {"optimizer": rule, "game": "ring8", "hyperparameters": "{}", "phase": "report", "metric": metric}
        | {"trial": -1, "seed": seed, "cost": cost, "seconds": 1.0, "ended": 2.0 if value is not None else 1.0}
        | {"value": (value if value is not None else 4.0) + 2 - cost}
        | {"outcome": "ok" if value is not None else "diverged"}
        for rule, finals in values.items()
        for seed, value in enumerate(finals)
        for cost in (0.0, 1.0, 2.0)[: 3 if value is not None else 2]
    )


@pytest.mark.parametrize(
    ("metric", "better", "worst", "first"),
    [("modes", "higher", 0, "adam"), ("sliced_wasserstein", "lower", np.inf, "sgd")],
)
def test_the_table_knows_which_way_is_better(monkeypatch, metric, better, worst, first):
    monkeypatch.setattr(Ring8, "score", metric)
    values = {"sgd": [1.0, 2.0, 2.0, 1.0], "adam": [8.0, 7.0, 8.0, 8.0], "ttur": [9.0, None, None, None]}
    found = table(synthetic(metric, values), Study.model_construct(games=["ring8"], optimizers=["sgd", "adam", "ttur"]))
    assert set(found["better"]) == {better}
    assert list(found["iqm"]) == [1.5, 8, worst]
    assert list(found["diverged"]) == [0, 0, 3]
    assert list(found["cost"]) == [2, 2, 1.25]
    assert list(found["optimizer"][found["best"]]) == [first]


def test_a_rule_whose_seeds_are_not_all_in_comes_later():
    records = synthetic("mode_error", {"sgd": [1.0, 2.0], "adam": [1.0]})
    asked = Study.model_construct(games=["ring8", "dirac"], optimizers=["sgd", "adam"])
    assert list(table(records, asked)["optimizer"]) == ["sgd"]
    assert table(records.iloc[:0], asked).empty


def test_the_callers_threads_are_given_back(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        bench.run(
            bench.Study(optimizers=["sgd"], games=["dirac"], trials=0, budget=4, evaluations=2), out=tmp_path / "run"
        )
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_report_is_as_good_as_the_records_it_was_made_of(tmp_path):
    study = bench.Study(optimizers=["sgd", "adam"], games=["dirac"], trials=0, budget=4, evaluations=4, seeds=[0, 1])
    run = bench.run(study, out=tmp_path / "run")
    assert not run.reported
    run.report()
    assert run.reported
    stub = next((run.path / "records").glob("*.json"))
    stub.unlink()  # as if the report had been written half-way through the run
    assert not bench.Run(run.path).reported
    again = bench.run(study, out=run.path)
    assert not again.reported
    again.report()
    assert again.reported
    (run.path / "report.html").unlink()
    assert not again.reported


def test_kernels_are_compiled_before_anything_trains_and_the_display_says_so(tmp_path):
    study, said = STUDY.model_copy(update={"optimizers": ["sgd"], "games": [RING], "trials": 0}), []

    def watch(status):
        said.append((status.running, status.done))

    run = bench.run(study, out=tmp_path / "run", watch=watch)
    assert said[0] == (["compiling"], 0.0)
    assert ["compiling"] not in [running for running, _ in said[1:]]
    said.clear()
    bench.run(study, out=run.path, watch=watch)  # finished: nothing is prepared
    assert said == []
