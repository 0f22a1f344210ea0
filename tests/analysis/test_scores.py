"""Scores of replicas, from the records."""

import pandas as pd

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
