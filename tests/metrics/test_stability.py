"""Stability: closed forms on vectors, known games, rows that fail alone."""

from __future__ import annotations

import math

import pytest
import torch

from bench.contracts import Oracle
from bench.metrics.evaluation import Evaluator
from bench.metrics.stability import (
    MOST,
    PATH,
    _length,
    averaging_gain,
    cosine,
    field_cosine,
    path_angle,
    relative_generator_gradient,
    running_average,
)
from bench.registry import get_game

NAN, INF = math.nan, math.inf


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
    found = path_angle(Evaluator(game, seeds), start, end, (0.0, 1.0))
    assert found.abs().max() <= 1
    assert found[0, 0] == cosine(Evaluator(game, seeds)(start), end - start)[0]
    end[1], end[2] = NAN, start[2]
    beside = path_angle(Evaluator(game, seeds), start, end, (0.0, 1.0))
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


def test_a_length_neither_overflows_nor_vanishes() -> None:
    vectors = torch.tensor([[3e-200, 4e-200], [3e200, -4e200], [0, 0], [0.3, 0.4]], dtype=torch.float64)
    torch.testing.assert_close(
        _length(vectors), torch.tensor([5e-200, 5e200, 0, 0.5], dtype=torch.float64), rtol=1e-12, atol=0
    )
