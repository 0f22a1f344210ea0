"""Collapse: by hand, of replicas that diverged, in either direction."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.analysis.collapse import collapses
from bench.analysis.statistics import survival, wilson
from bench.contracts import Collapse
from bench.contracts.collapse import of_classes, of_modes

NAN, INF = math.nan, math.inf
COSTS = list(range(0, 101, 5))  # 21 evaluations of a budget of 100
WHAT = of_modes(8)  # below 4


def outcome(curve: list[float]) -> tuple[bool, float]:
    found = collapses(WHAT, COSTS, [curve], 100)
    return bool(found.collapsed[0]), float(found.onset[0])


def test_collapse_by_hand() -> None:
    spared = (False, INF)
    assert outcome([0] * 8 + [8] * 13) == spared  # late, and not collapsed
    assert outcome([0] * 20 + [8]) == spared  # very late
    assert outcome([4] * 21) == spared  # half of the modes is not less than half
    assert outcome([0] * 4 + [8] * 5 + [1] * 5 + [8] * 7) == spared  # a dip
    assert outcome([8] * 19 + [1] * 2) == spared  # from 95 on: shorter than a tenth
    assert outcome([8] * 18 + [1] * 3) == (True, 90)
    assert outcome([0] * 4 + [8] * 5 + [1] * 12) == (True, 45)
    assert outcome([8, 1, 8] + [1] * 18) == (True, 15)  # the last fall counts
    assert outcome([1] * 21) == spared  # what it never had it cannot lose


def test_collapse_of_replicas_that_diverged() -> None:
    gone = [NAN]
    assert outcome([8] * 4 + gone * 17) == (False, INF)
    assert outcome([8] * 4 + [1] * 2 + gone * 15) == (False, INF)  # 20 to 25
    assert outcome([8] * 4 + [1] * 3 + gone * 14) == (True, 20)
    assert outcome([1] * 13 + gone * 8) == (False, INF)
    assert outcome(gone * 21) == (False, INF)


def test_collapse_of_many_replicas_at_once_and_in_either_direction() -> None:
    rows = [[8] * 21, [8] * 10 + [2] * 11, [1] * 21]
    found = collapses(WHAT, COSTS, rows, 100)
    assert found.collapsed.tolist() == [False, True, False]
    assert found.onset.tolist() == [INF, 50, INF]
    missing = collapses(of_classes(10), COSTS, [[4] * 5 + [5] * 16, [4] * 21, [0] * 10 + [INF] * 11], 100)
    assert missing.collapsed.tolist() == [True, False, True]
    assert collapses(WHAT, [0], [[1]], 100).collapsed.tolist() == [False]


def test_thresholds() -> None:
    assert of_modes(25).beyond([12, 13]).tolist() == [True, False]
    assert of_classes(10).beyond([4, 5]).tolist() == [False, True]
    assert of_classes(1000).beyond([499, 500]).tolist() == [False, True]
    assert Collapse("class_entropy", below=1.0).beyond([NAN, 0.9, 1.0]).tolist() == [True, True, False]
    for wrong in ({}, {"below": 1.0, "above": 2.0}):
        with pytest.raises(ValueError, match="exactly one is finite"):
            Collapse("modes", **wrong)
    with pytest.raises(ValueError, match="rising"):
        collapses(WHAT, [1, 1], [[0, 0]], 100)


def test_the_rate_and_the_survival_curve_come_from_it() -> None:
    found = collapses(WHAT, COSTS, [[8] * 21] * 6 + [[8] * 10 + [2] * 11] * 3 + [[1] * 12 + [NAN] * 9], 100)
    assert found.collapsed.sum() == 3
    band = survival(found.onset, np.array([100] * 9 + [57.0]), [0, 50, 100])
    assert band.value.tolist() == pytest.approx([1, 0.7, 0.7])
    assert wilson(int(found.collapsed.sum()), 10).value == pytest.approx(0.3)
