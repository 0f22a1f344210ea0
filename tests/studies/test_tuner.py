"""Tuning as a study's part: what is granted, chosen and frozen, decided by the study's content alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bench
from bench.errors import UserError
from bench.registry import get_rule, rules
from bench.studies.plan import TUNING_SEED, Task, tunable
from bench.studies.request import make_request
from bench.studies.toml import read_toml
from bench.studies.tuning.tuner import MARKS, RERANKED, _Tuning, declared

RING = "ring8[width=16,batch_size=16]"
TINY: dict[str, Any] = {"games": "dirac", "seeds": "0-1", "tuning_seeds": 2, "budget": 40, "evaluations": 2}


def tried(run: bench.Run, optimizer: str) -> pd.DataFrame:
    """Of a rule's tuning, a row a replica."""
    own = run.records[(run.records["optimizer"] == optimizer) & (run.records["phase"] == "tune")]
    return own.drop_duplicates(["trial", "seed"], keep="last")


def frozen(run: bench.Run, optimizer: str, phase: str = "report") -> dict[str, float]:
    own = run.records[(run.records["optimizer"] == optimizer) & (run.records["phase"] == phase)]
    (values,) = own["hyperparameters"].unique()
    found: dict[str, float] = json.loads(values)
    return found


def files(run: bench.Run) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.records_path.iterdir()}


@pytest.mark.parametrize(("optimizer", "fewer"), [("sgd", 8), ("ttur", 16)])
def test_twice_as_many_trials_go_on_from_what_is_there(tmp_path: Path, optimizer: str, fewer: int) -> None:
    """A total and no addition; and the same as if they had been asked for at once."""
    first = bench.run(bench.Study(optimizers=optimizer, trials=fewer, **TINY), out=tmp_path / "run")
    before = files(first)
    tuned = {name for name in first.names() if '"phase": "tune"' in before[f"{name}.json"][1].decode()}
    more = bench.Study(optimizers=optimizer, trials=2 * fewer, **TINY)
    second = bench.run(more, out=tmp_path / "run")
    after = files(second)
    assert tuned
    assert all(after[name] == before[name] for name in before), "what was there was done again"
    assert tuned <= set(second.names()), "what was there is no part of the greater study"
    assert sorted(tried(second, optimizer)["trial"].unique()) == list(range(2 * fewer))
    straight = bench.run(more, out=tmp_path / "straight")
    timeless = [run.records.drop(columns="seconds") for run in (second, straight)]
    pd.testing.assert_frame_equal(*timeless)


def test_the_same_rule_under_two_names_is_the_same(tmp_path: Path) -> None:
    names = ["extraadam", rules["extraadam"].spelling]  # type: ignore[union-attr]
    study = bench.Study(optimizers=names, trials=8, **TINY | {"games": RING})
    run = bench.run(study, out=tmp_path)
    assert frozen(run, names[0]) == frozen(run, names[1])
    by_rule = [own.drop(columns=["optimizer", "seconds"]) for _, own in run.records.groupby("optimizer", observed=True)]
    order = ["phase", "trial", "seed", "cost", "metric"]
    pd.testing.assert_frame_equal(
        *(own.astype({"phase": str}).sort_values(order, ignore_index=True) for own in by_rule)
    )


def test_every_rule_is_granted_the_same_and_finalists_meet_seeds_of_their_own(tmp_path: Path) -> None:
    run = bench.run(bench.Study(optimizers="sgd,ttur,adam", trials=8, **TINY), out=tmp_path)
    tuning = run.records[run.records["phase"].isin(["tune", "rerank"])]
    replicas = tuning.groupby(["optimizer", "phase"], observed=True)[["trial", "seed"]]
    counts = replicas.apply(lambda own: len(own.drop_duplicates())).unstack()
    assert (counts == {"tune": 16, "rerank": 6}).all(axis=None)
    seeds = {str(phase): set(own["seed"]) for phase, own in tuning.groupby("phase", observed=True)}
    assert seeds == {"tune": {TUNING_SEED, TUNING_SEED + 1}, "rerank": {TUNING_SEED + 2, TUNING_SEED + 3}}
    again = tuning[tuning["phase"] == "rerank"].groupby("optimizer", observed=True)["trial"].nunique()
    assert set(again) == {RERANKED}


def test_tuning_alone_is_gone_on_from(tmp_path: Path) -> None:
    study = bench.Study(optimizers="sgd", trials=4, **TINY)
    alone = bench.api.run(study, out=tmp_path, only_tune=True)  # type: ignore[attr-defined]
    assert "report" not in set(alone.records["phase"])
    before = files(alone)
    values = alone.hyperparameters()
    whole = bench.run(study, out=tmp_path)
    assert all(files(whole)[name] == before[name] for name in before)
    assert values == whole.hyperparameters() == {"dirac": {"sgd": frozen(whole, "sgd")}}


def test_frozen_values_come_back_from_their_file(tmp_path: Path) -> None:
    tuned = bench.run(bench.Study(optimizers="sgd,ttur", trials=4, **TINY), out=tmp_path / "tuned")
    path = tuned.freeze()
    order = make_request({"optimizers": "sgd,ttur", "hyperparameters": path} | TINY)
    again = bench.run(order.study, out=tmp_path / "again")
    assert set(again.records["phase"]) == {"report"}
    columns = ["optimizer", "hyperparameters", "seed", "cost", "metric", "value", "outcome"]
    report = tuned.records[tuned.records["phase"] == "report"].reset_index(drop=True)
    left, right = (r[columns].astype(str).sort_values(columns, ignore_index=True) for r in (again.records, report))
    pd.testing.assert_frame_equal(left, right)


def test_every_mistake_in_frozen_values_at_once(tmp_path: Path) -> None:
    path = tmp_path / "frozen.toml"
    path.write_text("[dirac]\nsgd = {lr = -1, lx = 3}\nadma = {lr = 1}\n[ring9]\n")
    with pytest.raises(UserError) as error:
        make_request({"optimizers": "sgd,ttur", "games": "dirac", "hyperparameters": path})
    for said in ("no values for ttur", "lr of sgd is -1", "sgd has no 'lx'", "'adma'; did you mean adam", "'ring9'"):
        assert said in str(error.value)
    with pytest.raises(UserError, match="nowhere"):
        make_request({"optimizers": "sgd", "hyperparameters": tmp_path / "nowhere.toml"})


def test_tracks(tmp_path: Path) -> None:
    """Step sizes; every number but whole ones, within its bounds; nothing; and the declared defaults beside."""
    adam = "adam"
    assert set(tunable(adam)) == {"lr"}
    assert set(tunable(adam, "full")) > {"lr", "direction.beta1"}
    assert "steps" not in tunable("lookahead", "full")  # of whole numbers a stack has one
    assert set(tunable("adam[beta1=0.9]", "full")) == set(tunable(adam, "full")) - {"direction.beta1"}
    full = bench.run(bench.Study(optimizers=adam, tune="full", trials=8, untuned=True, **TINY), out=tmp_path / "full")
    assert set(frozen(full, adam)) == set(tunable(adam, "full"))
    for path, kind in tunable(adam, "full").items():
        values = [json.loads(text)[path] for text in tried(full, adam)["hyperparameters"]]
        assert kind.least <= min(values) < max(values) <= kind.most
    row = full.table().iloc[0]
    assert frozen(full, adam, "untuned") == {}
    assert row["untuned_low"] <= row["untuned_iqm"] <= row["untuned_high"]
    none = bench.run(bench.Study(optimizers=adam, tune="none", **TINY), out=tmp_path / "none")
    assert none.table()["iqm"].iloc[0] == row["untuned_iqm"]


@pytest.mark.parametrize("option", ["sampler=TPESampler", "sampler=RandomSampler", "pruner=MedianPruner"])
def test_optunas_own(tmp_path: Path, option: str) -> None:
    key, _, value = option.partition("=")
    run = bench.run(bench.Study(optimizers="sgd", trials=12, **TINY | {key: value}), out=tmp_path)
    assert tried(run, "sgd")["hyperparameters"].nunique() == 12
    assert run.hyperparameters()["dirac"]["sgd"] == frozen(run, "sgd")


@pytest.mark.parametrize("option", ["sampler=TPSampler", "pruner=Medianpruner", "sampler=GridSampler"])
def test_optunas_that_are_none(option: str) -> None:
    key, _, value = option.partition("=")
    with pytest.raises(UserError, match=rf"{key}.*(did you mean|{value})"):
        make_request({"optimizers": "sgd", key: value})


PLUGIN = '''
from bench.games.dirac import Dirac
from bench.registry import game, metric

@metric("nothing", on=Dirac)
def nothing(game, w, F):
    """No number at all."""
    return w[:, 0] * float("nan")

@game("unmeasurable")
class Unmeasurable(Dirac):
    """A game whose score is never a number."""
    score = "nothing"
'''


@pytest.mark.slow
def test_a_rule_that_cannot_be_tuned_says_so_and_the_study_goes_on(tmp_path: Path) -> None:
    (tmp_path / "plug.py").write_text(PLUGIN)
    arguments = ["run", "--optimizers", "sgd", "--games", "./plug.py:Unmeasurable,dirac", "--trials", "4"]
    arguments += ["--budget", "40", "--seeds", "0-1", "--out", "run", "--jobs", "1"]
    done = subprocess.run([sys.executable, "-m", "bench", *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "run" / "report.html").read_text()
    assert "untunable there: every trial failed" in page
    lines = (tmp_path / "run" / "table.csv").read_text().splitlines()
    found = pd.DataFrame([line.split(",")[:5] for line in lines[1:]], columns=lines[0].split(",")[:5]).set_index("game")
    assert found["iqm"].astype(float).map(np.isinf).to_dict()["./plug.py:Unmeasurable"]
    assert declared(get_rule("sgd"), tunable("sgd")) == {"lr": get_rule("sgd").lr}  # type: ignore[attr-defined]


def test_tune_by_command(tmp_path: Path) -> None:
    arguments = ["tune", "--optimizers", "sgd", "--games", "dirac", "--trials", "4", "--budget", "40", "--jobs", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--out", "run"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    path = tmp_path / "run" / "hyperparameters.toml"
    assert str(Path("run") / "hyperparameters.toml") in done.stdout
    assert set(read_toml(path)["dirac"]["sgd"]) == {"lr"}
    assert path.read_text().strip() in done.stdout


def told(tuning: Any, scores: dict[int, list[float]], phase: str) -> pd.DataFrame:
    """Records of trials that ended with these scores, inf for one that diverged."""
    rows = [
        {"trial": trial, "seed": seed, "cost": cost, "metric": tuning.metric.name, "phase": phase, "value": value}
        | {"outcome": "ok" if np.isfinite(value) else "diverged"}
        for trial, values in scores.items()
        for seed, value in enumerate(values)
        for cost in (0.0, *range(1, MARKS + 1))
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("fresh", "chosen"),
    [
        ([[1, 1, 1], [2, 2, 2], [3, 3, 3]], 0),
        ([[np.inf] * 3, [2, 2, 2], [np.inf] * 3], 1),
        ([[np.inf] * 3] * 3, 4),  # at the edge of a cliff: of the others, the best that never failed
    ],
)
def test_a_trial_at_a_cliff_is_not_chosen(fresh: list[list[float]], chosen: int) -> None:
    """The first three do best by their medians, and one seed in three was lost."""
    study = bench.Study(optimizers="sgd", games="dirac", trials=8, tuning_seeds=3)
    tuning = _Tuning(Task("sgd", "dirac", 10, 1, "cpu"), study, tunable("sgd"))
    at_cliff, tried = [[1.0, 1.0, np.inf], [1.1, np.inf, 1.1], [np.inf, 1.2, 1.2]], 0
    rest = [[6.0, 6.0, np.inf], [5.0, 5.0, 5.0], [9.0, 9.0, 9.0], [np.inf] * 3, [8.0, 8.0, 8.0]]
    while chunks := tuning.ask():
        count = len({row.trial for chunk in chunks for row in chunk.rows})
        tuning.tell(told(tuning, dict(enumerate([*at_cliff, *rest][tried : tried + count], tried)), "tune"))
        tried += count
    assert tuning.finalists == [0, 1, 2]
    assert tuning.chosen(told(tuning, dict(enumerate(fresh)), "rerank")) == chosen
