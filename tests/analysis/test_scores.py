"""Scores of replicas, from the records."""

import numpy as np
import pandas as pd
import pytest

import bench
from bench.analysis.scores import final_scores
from bench.registry import get_metric


def test_final_scores_take_the_last_value_and_the_worst_for_failures():
    nan = float("nan")
    outcomes = {0: ("ok", [3.0, 1.0]), 1: ("diverged", [3.0, 2.0]), 2: ("ok", [3.0, nan]), 3: ("ok", [9.0, 0.0])}
    rows = [
        {"trial": 0, "seed": seed, "cost": 10.0 * k, "metric": "distance", "value": value, "outcome": outcome}
        for seed, (outcome, values) in outcomes.items()
        for k, value in enumerate(values)
    ]
    worst = get_metric("distance").worst
    for order in (rows, rows[::-1]):
        found = final_scores(pd.DataFrame(order), get_metric("distance"), ["trial", "seed"])
        assert found.sort_index().tolist() == [1.0, worst, worst, 0.0]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    study = bench.Study(
        optimizers=["sgd[lr=50]", "adam"], games=["ring8", "dirac"], trials=4, tuning_seeds=2, seeds="1,2,0", budget=40
    )
    return bench.run(study, out=tmp_path_factory.mktemp("runs") / "scores")


def test_a_diverged_replicas_last_value_is_no_score(run):
    """The last value of dirac's sgd is of its start, which looks better than where adam ends."""
    records = run.records[(run.records["metric"] == "distance") & (run.records["phase"] == "report")]
    trap = records.groupby(["optimizer", "seed"], observed=True)["value"].last()
    assert trap["sgd[lr=50]", 2] == records[(records["cost"] == 0) & (records["seed"] == 2)]["value"].iloc[0]
    scores = run.scores()
    scores = scores[scores["game"] == "dirac"].set_index(["optimizer", "seed"])
    assert set(scores.loc["sgd[lr=50]", "outcome"]) == {"diverged"}
    assert (scores.loc["sgd[lr=50]", "score"] == np.inf).all()
    assert (scores.loc["sgd[lr=50]", "cost"] == 1).all()
    assert scores["score"]["adam", 2] == trap["adam", 2] < np.inf


def test_a_row_a_replica_in_the_order_of_the_study_and_as_the_table_has_it(run):
    scores = run.scores()
    assert list(scores) == ["game", "optimizer", "seed", "metric", "score", "outcome", "cost"]
    expected = [(game, rule, seed) for game in run.study.games for rule in run.study.optimizers for seed in (0, 1, 2)]
    assert list(scores[["game", "optimizer", "seed"]].itertuples(index=False, name=None)) == expected
    assert dict(zip(scores["game"], scores["metric"], strict=True)) == {
        "ring8": "mode_error",
        "dirac": "distance",
    }
    table = run.table(full=True).set_index(["game", "optimizer"])
    for (game, rule), part in scores.groupby(["game", "optimizer"]):
        assert table["diverged"][game, rule] == (part["outcome"] == "diverged").sum()
        if (part["outcome"] == "ok").all():
            assert part["score"].min() <= table["iqm"][game, rule] <= part["score"].max()


def test_the_docstring_of_the_records_says_how_to_read_them():
    assert "no score" in bench.Run.records.__doc__
    assert "scores()" in bench.Run.records.__doc__
