"""Learning: what a replica reached and lost, and which rules learn at no step size that was tried."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.analysis.learning import learning, untrainable
from bench.contracts.collapse import of_modes
from bench.registry.description import GameDescription, MetricDescription

SCORE = MetricDescription("mode_error")
GAME = GameDescription("mode_error", 100.0, collapse=of_modes(8), learned=0.6)
COSTS = [0.0, 25.0, 50.0, 75.0, 100.0]


def replica(metric: str, values: list[float], **known: Any) -> list[dict[str, Any]]:
    """Records of one replica, an evaluation each."""
    first = {"optimizer": "a", "phase": "report", "trial": -1, "seed": 0, "outcome": "ok", "ended": COSTS[-1]}
    return [
        first | {"metric": metric, "cost": cost, "value": value} | known
        for cost, value in zip(COSTS, values, strict=False)
    ]


def test_once_is_enough_and_a_failure_is_no_score() -> None:
    values = np.array([[1, 0.6, 0.9], [1, 0.61, 0.9], [0.2, np.nan, np.nan]])
    for metric, sign in ((SCORE, 1.0), (MetricDescription("share", better="higher"), -1.0)):
        reached = metric.reaches(sign * values, sign * 0.6)
        assert reached.any(axis=1).tolist() == [True, False, True]
        assert not reached[np.isnan(values)].any()


def test_only_what_was_learned_can_collapse() -> None:
    rows = replica("mode_error", [1, 0.3, 0.9, 0.9, 0.9])
    rows += replica("mode_error", [1, 0.7, 0.9, 0.9, 0.9], seed=1)
    for seed in (0, 1):
        rows += replica("modes_strict", [0, 8, 1, 1, 1], seed=seed)
    what = learning(pd.DataFrame(rows), GAME, SCORE, 100.0)["a"]
    assert what.learned is not None
    assert what.collapse is not None
    assert what.learned.tolist() == [True, False]
    assert what.collapse.collapsed.tolist() == [True, False]
    assert what.collapse.onset.tolist() == [50, np.inf]


def tuned(ends: dict[tuple[int, int], float], phase: str = "tune", **known: Any) -> list[dict[str, Any]]:
    """(trial, seed) -> the last score of each."""
    return [
        row
        for (trial, seed), end in ends.items()
        for row in replica("mode_error", [1, 1, 1, 1, end], trial=trial, seed=seed, phase=phase, **known)
    ]


@pytest.mark.parametrize(
    ("ends", "again", "lost"),
    [
        ({(0, 0): 0.9, (0, 1): 0.9, (1, 0): 0.9, (1, 1): 0.7}, {(1, 2): 0.9, (1, 3): 0.9}, True),
        ({(0, 0): 0.5, (0, 1): 0.9, (1, 0): 0.9, (1, 1): 0.7}, {(1, 2): 0.9, (1, 3): 0.9}, False),  # half of a trial's
        ({(0, 0): 0.5, (0, 1): 0.9, (1, 0): 0.9, (1, 1): 0.7}, {(0, 2): 0.9, (0, 3): 0.9}, True),  # and of fresh ones
    ],
)
def test_a_rule_cannot_be_trained_where_it_learns_at_no_step_size(
    ends: dict[tuple[int, int], float], again: dict[tuple[int, int], float], lost: bool
) -> None:
    records = pd.DataFrame(tuned(ends) + tuned(again, "rerank"))
    assert untrainable(records, GAME, SCORE) == ({"a"} if lost else set())
    assert untrainable(pd.DataFrame(tuned(ends)), GAME, SCORE) == set()  # its tuning goes on
    assert untrainable(records, GameDescription("mode_error", 100.0), SCORE) == set()


def test_a_trial_given_up_early_and_one_that_failed_have_not_learned() -> None:
    again = tuned({(0, 2): 0.9}, "rerank")
    for outcome in ("interrupted", "diverged"):
        records = pd.DataFrame(tuned({(0, 0): 0.1}, outcome=outcome) + again)
        assert untrainable(records, GAME, SCORE) == {"a"}
