"""Curves through training: gaps, oscillation, costs to targets, areas, by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import INF, NAN, quick, sample

from bench.analysis import statistics


def test_best_last_gap_by_hand():
    curves = [[5, 1, 2, 4], [4, 3, 2, 1], [5, 1, 3, NAN], [2, NAN, NAN, NAN], [1, 2, INF, NAN], [INF] * 4, [NAN] * 4]
    assert statistics.best_last_gap(curves).tolist() == [3, 0, 2, 0, INF, 0, INF]
    assert statistics.best_last_gap(-np.array(curves), higher=True).tolist() == [3, 0, 2, 0, INF, 0, INF]
    assert statistics.best_last_gap(curves[0], higher=True) == 1
    assert statistics.best_last_gap(np.zeros((2, 3, 4))).shape == (2, 3)


def test_oscillation_by_hand():
    t = np.arange(40)
    swing = np.where(t % 2, 1.5, -1.5)
    expected = math.sqrt(np.mean((np.diff(swing[-10:]) - np.diff(swing[-10:]).mean()) ** 2))
    assert statistics.oscillation(3.0 * t) == pytest.approx(0, abs=1e-12)
    assert statistics.oscillation(swing) == pytest.approx(expected)
    assert statistics.oscillation(swing + 3 * t) == pytest.approx(expected)
    assert statistics.oscillation(swing[:9], tail=1) == pytest.approx(3)  # eight differences of +-3
    assert statistics.oscillation(np.where(t < 25, swing, 0)) == 0  # looks at the end alone
    assert statistics.oscillation(np.where(t < 25, 0, swing)) > 2
    assert statistics.oscillation([0, 0, 0, 0, 1, 0]) == pytest.approx(
        1
    )  # a quarter is short of three points: three are taken


def test_oscillation_ignores_what_was_not_measured():
    x = sample(16)
    padded = np.append(x, [NAN] * 7)
    assert statistics.oscillation(padded) == pytest.approx(statistics.oscillation(x))
    assert statistics.oscillation(padded) == pytest.approx(np.std(np.diff(x[-4:])))
    rows = [padded, np.append(x[::-1], [NAN] * 7), np.full(23, NAN), np.append([1.0, 2.0], [NAN] * 21)]
    assert statistics.oscillation(rows)[:2] == pytest.approx(
        [float(statistics.oscillation(row)) for row in (x, x[::-1])]
    )
    assert statistics.oscillation(rows)[2:].tolist() == [INF, INF]
    assert statistics.oscillation([1, 2, 3, INF]) == INF


def test_cost_to_target_by_hand():
    costs, curve = [0, 10, 20, 30], [[9, 5, 3, 4], [9, 9, 9, 9], [9, 2, NAN, NAN], [1, 9, 9, 9]]
    assert statistics.cost_to_target(costs, curve, 4).tolist() == [20, INF, 10, 0]
    assert statistics.cost_to_target(costs, curve, 3)[0] == 20  # reached is at or better
    assert statistics.cost_to_target(costs, -np.array(curve), -4, higher=True).tolist() == [20, INF, 10, 0]
    assert statistics.cost_to_target(costs, curve[0], 4) == 20


def test_area_under_curve_by_hand():
    costs, area = [0, 10, 40], statistics.area_under_curve
    assert area(costs, [4, 2, 2]) == pytest.approx((30 + 60) / 40)
    assert area(costs, [5, 5, 5]) == 5
    assert area([7], [3]) == 3
    curves = [[4, 2, NAN], [NAN] * 3, [1, INF, 2], [1, 1, 1]]
    assert area(costs, curves).tolist() == [INF, INF, INF, 1]
    assert area(costs, -np.array(curves), higher=True).tolist() == [-INF, -INF, -INF, -1]
    assert area(costs, [8, 8, NAN], higher=True, worst=0) == pytest.approx((80 + 120) / 40)
    assert area(costs, [NAN] * 3, higher=True, worst=0) == 0
    assert area([0, 1], [1e308, 1e308]) == 1e308


@quick
@given(st.lists(st.tuples(st.integers(1, 50), st.floats(-9, 9)), min_size=2, max_size=12), st.floats(-9, 9))
def test_area_under_curve_is_trapezoids_over_the_width(points, shift):
    widths, curve = np.array(points, dtype=float).T
    costs = np.cumsum(widths)
    expected = np.trapezoid(curve, costs) / np.ptp(costs)
    found = statistics.area_under_curve(costs, [curve, curve + shift])
    assert found[0] == pytest.approx(expected, abs=1e-9)
    assert found[1] == pytest.approx(expected + shift, abs=1e-9)
    assert curve.min() <= found[0] <= curve.max()
    assert statistics.area_under_curve(5 * costs - 3, curve) == pytest.approx(expected, abs=1e-9)
