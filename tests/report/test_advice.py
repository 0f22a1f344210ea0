"""The answer in words: the step sizes that are good around the chosen one, when most of the gain is there, how sure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from silent import silent_games

from bench.analysis.findings import findings
from bench.analysis.statistics import Array
from bench.analysis.table import table
from bench.registry.description import MetricDescription
from bench.report.advice import advice, good_range
from bench.studies.study import Study
from bench.studies.tuning.sensitivity import Trials

DISTANCE = MetricDescription("distance")
COSTS = (0.0, 25.0, 50.0, 75.0, 100.0)


def trials(steps: list[float], means: list[float], chosen: float) -> Trials:
    nothing: Array = np.full((len(steps), 1), np.nan)
    scores = np.array(means)
    return Trials(
        ("lr",), np.array(steps)[:, None], scores[:, None], scores, (chosen,), nothing, scores, np.arange(len(steps))
    )


@pytest.mark.parametrize(
    ("means", "chosen", "words"),
    [
        ([9, 1.9, 1.0, 1.5, np.inf], 0.01, " (good from 0.001 to 0.1)"),
        ([1.2, 5, 1.0, 5, 1.1], 0.01, ""),  # good again beyond what is bad: another range
        ([1.1, 1.2, 1.0, 5, 5], 0.01, " (good from 0.0001 to 0.01)"),
        ([np.inf] * 5, 0.01, ""),
        ([9, 9, 9, 9, 1], 0.01, ""),  # what was frozen is not good
    ],
)
def test_the_good_range_is_around_the_chosen_step_size(means: list[float], chosen: float, words: str) -> None:
    steps = [0.0001, 0.001, 0.01, 0.1, 1.0]
    assert good_range(trials(steps, means, chosen), DISTANCE) == words
    shuffled = [3, 1, 4, 0, 2]
    assert good_range(trials([steps[i] for i in shuffled], [means[i] for i in shuffled], chosen), DISTANCE) == words


def records(**curves: list[float]) -> pd.DataFrame:
    """Curves at COSTS on dirac by rule, for ten seeds whose scores differ a little."""
    return pd.DataFrame(
        {"optimizer": rule, "game": "dirac", "hyperparameters": '{"lr": 0.01}', "seed": seed, "phase": "report"}
        | {"trial": -1, "metric": "distance", "seconds": 0.1, "outcome": "ok", "ended": 100.0}
        | {"cost": cost, "value": value + 0.001 * seed}
        for rule, values in curves.items()
        for seed in range(10)
        for cost, value in zip(COSTS, values, strict=True)
    )


def said(not_learned: int | None = None, **curves: list[float]) -> str:
    long = records(**curves)
    study = Study.model_construct(optimizers=list(curves), games=["dirac"])
    with silent_games():
        score_table = table(long, study)
        if not_learned is not None:
            score_table["not_learned"] = not_learned
        answers = advice(findings(score_table, long, study), score_table, long, study, {})
    return answers.get("dirac", "")


def test_it_says_which_how_sure_and_how_many_evaluations_suffice() -> None:
    words = said(slow=[1.0, 0.9, 0.8, 0.7, 0.6], fast=[1.0, 0.3, 0.11, 0.1, 0.1])
    assert words == (
        "Train it with fast, lr=0.01: better than slow, the next, in 100 % of pairs; "
        "50 gradient evaluations suffice for 90 % of the gain."
    )


def test_nothing_is_advised_where_the_best_learned_nothing() -> None:
    curves = {"slow": [1.0, 0.9, 0.8, 0.7, 0.6], "fast": [1.0, 0.3, 0.11, 0.1, 0.1]}
    assert said(5, **curves) == said(0, **curves) == said(**curves)
    assert said(6, **curves) == (
        "Too early to say: of fast, the best rule, 6 of 10 replicas had learned nothing after 100 gradient "
        "evaluations; a larger --budget may tell."
    )


def test_a_gain_that_is_lost_again_does_not_count() -> None:
    words = said(one=[1.0, 0.1, 0.9, 0.5, 0.1], other=[1.0, 0.9, 0.9, 0.9, 0.9])
    assert "suffice" not in words


def test_what_is_not_told_apart_is_said() -> None:
    same = [1.0, 0.5, 0.2, 0.2, 0.2]
    assert "not told apart from b and 2 more" not in said(a=same, b=same)
    assert "not told apart from b, c and 1 more" in said(a=same, b=same, c=same, d=same)
