"""Stability and collapse: closed forms on curves and vectors, known games, rows that fail alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bench.analysis.collapse import collapses
from bench.analysis.statistics import survival, wilson
from bench.contracts import Collapse, Oracle
from bench.contracts.collapse import of_classes, of_modes
from bench.metrics.evaluation import Judge
from bench.metrics.stability import (
    MOST,
    PATH,
    averaging_gain,
    cosine,
    field_cosine,
    path_angle,
    relative_generator_gradient,
    running_average,
)
from bench.numerics.support import pair_radius, support
from bench.registry import get_game

NAN, INF = math.nan, math.inf


# --- vectors ---------------------------------------------------------------------------------------------------------


def test_cosines_by_hand() -> None:
    a = torch.tensor([[1.0, 0], [1, 1], [1, 0], [0, 0], [NAN, 1], [1e30, 0], [1e-30, 0]])
    b = torch.tensor([[2.0, 0], [1, 0], [-3, 0], [1, 0], [1, 1], [1e30, 1e30], [1e-30, 1e-30]])
    half = math.sqrt(0.5)
    assert cosine(a, b).tolist() == pytest.approx([1, half, -1, 0, 0, half, half])
    assert field_cosine(a, b).tolist() == pytest.approx([1, half, -1, 0, -1, half, half])
    assert field_cosine(b, a)[4] == -1
    huge = torch.tensor([[1e300, 1e300]], dtype=torch.float64)
    assert cosine(huge, huge * torch.tensor([1.0, 0])).item() == pytest.approx(half)


def test_descent_on_a_bilinear_game_turns_the_field_by_its_step() -> None:
    game = get_game("bilinear[dim=3,condition=1]")
    F = Oracle(game, [0, 1])
    w = game.init(torch.tensor([0, 1]))
    for step in (0.1, 1.0):
        found = field_cosine(F(w), F(w - step * F(w)))
        assert found.tolist() == pytest.approx([math.cos(math.atan(step))] * 2)


def test_path_angle_of_a_bowl_turns_sign_at_its_bottom_and_of_a_rotation_nowhere() -> None:
    start, end = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.zeros(2, 2)
    bowl = path_angle(lambda w: 2 * w, start, end, (0, 0.5, 1, 1.3))
    assert bowl.shape == (4, 2)
    assert bowl.T.tolist() == [pytest.approx([-1, -1, 0, 1])] * 2
    turning = path_angle(lambda w: torch.stack([w[:, 1], -w[:, 0]], dim=1), start, end)
    assert len(turning) == len(PATH)
    assert turning.abs().max() < 1e-6
    aslant = path_angle(lambda w: torch.stack([w[:, 0] + w[:, 1], w[:, 1] - w[:, 0]], dim=1), start, end, (0.9, 1.1))
    assert aslant.T.tolist() == [pytest.approx([-math.sqrt(0.5), math.sqrt(0.5)])] * 2


def test_path_angle_on_a_judge_and_of_failed_or_resting_replicas() -> None:
    game = get_game("ring8[width=8,batch_size=16]")
    seeds = torch.tensor([0, 1, 2, 3])
    start = game.init(seeds)
    end = start + 0.1 * torch.randn(start.shape, generator=torch.Generator().manual_seed(0))
    found = path_angle(Judge(game, seeds), start, end, (0.0, 1.0))
    assert found.abs().max() <= 1
    assert found[0, 0] == cosine(Judge(game, seeds)(start), end - start)[0]
    end[1], end[2] = NAN, start[2]
    beside = path_angle(Judge(game, seeds), start, end, (0.0, 1.0))
    assert torch.equal(beside[:, [0, 3]], found[:, [0, 3]])
    assert (beside[:, [1, 2]] == 0).all()


def test_relative_generator_gradient_by_hand() -> None:
    field = torch.tensor([[3.0, 4, 10], [0, 0, 1], [1, 0, 0], [0, 0, 0], [NAN, 1, 1], [1, 1, INF], [1e30, 0, 1e30]])
    found = relative_generator_gradient(field, [slice(0, 2), slice(2, 3)])
    assert found.tolist() == pytest.approx([0.5, 0, MOST, 1, 0, 0, 1])


def test_the_running_average_is_the_mean_and_a_failed_row_fails_alone() -> None:
    iterates = torch.randn(7, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    iterates[3, 1] = NAN
    average = torch.zeros(3, 4, dtype=torch.float64)
    for count, w in enumerate(iterates):
        average = running_average(average, w, count)
    assert torch.allclose(average[[0, 2]], iterates.mean(dim=0)[[0, 2]])
    assert average[1].isnan().all()


def test_averaging_gains_where_the_iterate_turns_about_the_solution() -> None:
    game = get_game("bilinear[dim=2,condition=1]")
    seeds = torch.tensor([0, 1])
    F, w = Oracle(game, seeds), game.init(seeds)
    average, angle = w, math.tau / 50
    for count in range(1, 200):  # four turns: F is a quarter turn where all singular values are 1
        w = math.cos(angle) * w - math.sin(angle) * F(w)
        average = running_average(average, w, count)
    raw, averaged = w.norm(dim=1), average.norm(dim=1)
    assert averaging_gain(raw, averaged, "lower").tolist() == pytest.approx(raw.tolist())
    assert torch.equal(averaging_gain(raw, averaged, "higher"), averaged - raw)
    with pytest.raises(ValueError, match="allowed 'lower' or 'higher'"):
        averaging_gain(raw, averaged, "")
    failing = averaging_gain(torch.tensor([NAN, 1.0, INF, INF]), torch.tensor([1.0, NAN, INF, 2.0]), "lower")
    assert failing.tolist() == [INF, -INF, -INF, INF]


# --- collapse --------------------------------------------------------------------------------------------------------

COSTS = list(range(0, 101, 5))  # 21 evaluations of a budget of 100
WHAT = of_modes(8)  # below 4


def outcome(curve: list[float]) -> tuple[bool, float, bool]:
    found = collapses(WHAT, COSTS, [curve], 100)
    return bool(found.collapsed[0]), float(found.onset[0]), bool(found.fell[0])


def test_collapse_by_hand() -> None:
    spared = (False, INF, False)
    assert outcome([0] * 8 + [8] * 13) == spared  # late, and not collapsed
    assert outcome([0] * 20 + [8]) == spared  # very late
    assert outcome([4] * 21) == spared  # half of the modes is not less than half
    assert outcome([0] * 4 + [8] * 5 + [1] * 5 + [8] * 7) == spared  # a dip
    assert outcome([8] * 19 + [1] * 2) == spared  # from 95 on: shorter than a tenth
    assert outcome([8] * 18 + [1] * 3) == (True, 90, True)
    assert outcome([0] * 4 + [8] * 5 + [1] * 12) == (True, 45, True)
    assert outcome([8, 1, 8] + [1] * 18) == (True, 15, True)  # the last fall counts
    assert outcome([1] * 21) == (True, 50, False)  # never had them: half of the budget was its time to learn


def test_collapse_of_replicas_that_diverged() -> None:
    gone = [NAN]
    assert outcome([8] * 4 + gone * 17) == (False, INF, False)
    assert outcome([8] * 4 + [1] * 2 + gone * 15) == (False, INF, False)  # 20 to 25
    assert outcome([8] * 4 + [1] * 3 + gone * 14) == (True, 20, True)
    assert outcome([1] * 8 + gone * 13) == (False, INF, False)  # it still had time to learn
    assert outcome([1] * 13 + gone * 8) == (True, 50, False)
    assert outcome(gone * 21) == (False, INF, False)


def test_collapse_of_many_replicas_at_once_and_in_either_direction() -> None:
    rows = [[8] * 21, [8] * 10 + [2] * 11, [1] * 21]
    found = collapses(WHAT, COSTS, rows, 100)
    assert found.collapsed.tolist() == [False, True, True]
    assert found.onset.tolist() == [INF, 50, 50]
    assert found.fell.tolist() == [False, True, False]
    missing = collapses(of_classes(10), COSTS, [[5] * 21, [4] * 21, [0] * 10 + [INF] * 11], 100)
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


# --- support ---------------------------------------------------------------------------------------------------------


def test_the_support_of_equally_frequent_things_is_their_number() -> None:
    generator = torch.Generator().manual_seed(0)
    for number in (1, 10, 400):
        things = 10.0 * torch.arange(number)[:, None].expand(number, 2)
        drawn = things[torch.randint(number, (2, 2000), generator=generator)]
        near = drawn + 0.01 * torch.rand(drawn.shape, generator=generator)
        assert support(near, 0.1).tolist() == pytest.approx([number] * 2, rel=0.1)


def test_the_support_counts_pairs() -> None:
    samples = torch.tensor([[[0.0], [0], [5], [6]], [[0], [1], [2], [3]], [[0], [0], [0], [0]], [[NAN], [0], [0], [0]]])
    assert support(samples, 0.5).tolist() == [6, 6, 1, 0]  # no pair says: at least 6
    assert support(samples, 1.0).tolist() == [3, 2, 1, 0]
    assert torch.equal(support(samples[:2], 1.0), support(samples, 1.0)[:2])
    with pytest.raises(ValueError, match="N >= 2"):
        support(samples[:, :1], 1.0)


def test_the_datas_own_support_is_the_unit() -> None:
    data = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    radius = pair_radius(data, share=1e-3)
    assert support(data[None], radius).item() == pytest.approx(1000, rel=0.03)
    copies = data[torch.arange(400) % 20]
    assert support(copies[None], radius).item() < 25
    with pytest.raises(ValueError, match="allowed finite"):
        pair_radius(data[:1])
