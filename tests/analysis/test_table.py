"""The table: who is best."""

import numpy as np
import pandas as pd
import pytest

from bench.analysis.table import _stability, best
from bench.registry.description import MetricDescription
from bench.studies.study import Study

STUDY = Study.model_construct(optimizers=list("abc"), games=["g"])


@pytest.mark.parametrize(
    ("metric", "rows", "expected"),
    [
        ("distance", [(1, 0.5, 2), (2, 1.9, 3), (3, 2.1, 4)], {"a", "b"}),
        ("modes", [(8, 7, 8), (6, 5, 7.5), (3, 2, 4)], {"a", "b"}),
        ("distance", [(np.inf, np.inf, np.inf), (2, 1, np.inf), (3, 2, 4)], {"b", "c"}),
        ("distance", [(np.inf, np.inf, np.inf)] * 3, set()),
        ("modes", [(0, 0, 0)] * 3, set()),
    ],
)
def test_best_are_those_whose_interval_overlaps_the_bests(metric, rows, expected):
    found = pd.DataFrame(rows, columns=["iqm", "low", "high"]).assign(
        optimizer=list("abc"), metric=metric, game="g", untrainable=False
    )
    assert set(found["optimizer"][best(found, STUDY)]) == expected


def test_three_evaluations_are_enough_for_an_oscillation_and_what_follows_a_failure_is_none():
    metric = MetricDescription("score", "lower", np.inf)
    costs, nan = np.array([0.0, 1.0, 2.0]), np.nan
    assert _stability((costs, np.array([[2.0, 3.0, 2.0]])), metric) == {"best_last_gap": 0.0, "oscillation": 1.0}
    assert np.isnan(_stability((costs[:2], np.array([[2.0, 3.0]])), metric)["oscillation"])
    assert _stability((np.arange(4.0), np.array([[2.0, 3.0, nan, 1.0]])), metric)["best_last_gap"] == 1.0


def test_a_run_s_table_has_the_marks_of_the_best(reported):
    found = reported.table(full=True)
    assert found["best"].tolist() == best(found, reported.study).tolist()
    assert found["best"].any()
