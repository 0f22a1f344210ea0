"""What counts as divergence though all numbers are finite: departing for good, samples that have left the data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from chunks import chunk, outcomes, rows
from torch import nn

import bench
from bench.contracts import Attainable, Located
from bench.execution.divergence import FAR, Departure, have_left
from bench.execution.training import Training, execute
from bench.registry import games, get_game
from bench.storage.records import Result

RING = "ring8[width=16,batch_size=16]"
SILENT: Any = (lambda cost: None, lambda: None)


# --- departing -------------------------------------------------------------------------------------------------------


def test_a_small_step_size_does_not_hide_divergence() -> None:
    """A spiral that grows by 10 % and more over the budget counts, one that grows by less may be an orbit."""
    for budget, kind in ((50.0, "ok"), (400.0, "diverged")):
        assert set(outcomes(execute(chunk("sgd", "dirac", budget, rows(0.05, 0.05)))).values()) == {(kind, budget)}
    for rule, step_sizes in (("alternating", (0.3, 1.0)), ("extragrad", (0.3, 0.9))):
        assert {kind for kind, _ in outcomes(execute(chunk(rule, "bilinear", 500, rows(*step_sizes)))).values()} == {
            "ok"
        }


@pytest.mark.parametrize("evaluations", [2, 4, 9])
def test_fewer_than_ten_evaluations_decide_nothing(evaluations: int) -> None:
    away = execute(chunk("sgd", "dirac", 400, rows(0.05, 0.05), evaluations))
    assert {kind for kind, _ in outcomes(away).values()} == {"ok"}


def test_four_evaluations_farther_and_farther_are_a_bounded_orbit() -> None:
    """Alternating descent, lr = 0.2, on dirac from seed 2; so it was called diverged."""
    departure = Departure(torch.tensor([2.308], dtype=torch.float64))
    for distance in (2.308, 2.325, 2.326, 2.350, 2.361):
        departure.evaluate(torch.tensor([distance], dtype=torch.float64), torch.tensor([0]), 1)
    assert not departure.departed(1).any()


@pytest.mark.parametrize("evaluations", [10, 13, 20])
@pytest.mark.parametrize(("game", "up_to"), [("dirac", 0.4), ("bilinear[dim=1]", 1.2), ("bilinear[dim=3]", 1.2)])
def test_a_bounded_orbit_never_departs(game: str, up_to: float, evaluations: int) -> None:
    """Of alternating descent, at step sizes and budgets of all kinds.

    On bilinear games it stays bounded for lr sigma < 2. On dirac longer steps, from 0.5 on, do spiral outwards.
    """
    for budget in (40, 113, 355, 710, 1000):
        step_sizes = [0.01 * 1.16**k for k in range(32)]
        ends = outcomes(execute(chunk("alternating", game, budget, rows(*step_sizes), evaluations, "tune")))
        assert {kind for seed, (kind, _) in ends.items() if step_sizes[seed] < up_to} == {"ok"}


def orbit(steps: int, evaluations: int, turn: float, longer: float = 1.6, growth: float = 1.0) -> bool:
    """Whether an ellipse, gone around by ``turn`` a step and growing by ``growth``, is said to depart."""
    angle = torch.arange(steps + 1, dtype=torch.float64) * turn
    distances = (1 + (longer**2 - 1) * torch.sin(angle) ** 2).sqrt() * growth ** torch.arange(steps + 1)
    departure, marks = Departure(distances[:1]), {round(steps * k / evaluations) for k in range(evaluations + 1)}
    for step, distance in enumerate(distances):
        if step:
            departure.step(distance[None])
        if step in marks:
            departure.evaluate(distance[None], torch.tensor([0]), 1)
    return bool(departure.departed(1))


def test_an_orbit_that_is_seen_once_a_turn_a_little_later_each_time_does_not_depart() -> None:
    steps, evaluations = 1000, 10
    each = math.pi / 2 / 11  # all evaluations are on the way out: a quarter turn lies between the first and the last
    assert not orbit(steps, evaluations, (math.pi + each) / 100)
    assert not orbit(steps, evaluations, (7 * math.pi + each) / 100)
    assert orbit(steps, evaluations, (math.pi + each) / 100, growth=1.01), "but one that grows does"
    assert orbit(steps, evaluations, 0.0, growth=1.1 ** (1.01 / steps))
    assert not orbit(steps, evaluations, 0.0, growth=1.1 ** (0.99 / steps))


def test_departing_survives_a_checkpoint_and_a_smaller_stack() -> None:
    straight = Training(chunk("sgd", "bilinear[dim=1]", 400, rows(0.03, 0.03, 0.03, 0.03)), *SILENT)
    ended = {record["seed"]: record["outcome"] for record in straight.run().records}
    assert set(ended.values()) == {"diverged"}
    half = Training(straight.chunk, *SILENT)
    for step in range(220):
        if step % 40 == 0:
            half._evaluate(step)
        half.advance()
    state = half.state_dict()
    again = Training(straight.chunk, *SILENT)
    again.load_state_dict(state)
    assert again.departure is not None
    assert half.departure is not None
    again.departure.keep_rows(torch.tensor([3, 1]))
    assert torch.equal(again.departure.nearest, half.departure.nearest[[3, 1]])
    for one, other in zip(again.departure.evaluated, half.departure.evaluated, strict=True):
        assert torch.equal(one, other)


# --- samples ---------------------------------------------------------------------------------------------------------


def flown(
    tmp_path: Path, game: str, step_sizes: tuple[float, ...], phase: str = "report", budget: float = 40
) -> Result:
    """A training by a rule that multiplies the parameters by 1 + lr a step."""
    (tmp_path / "flies.py").write_text(
        "from dataclasses import dataclass\nfrom bench import Oracle, StepSize, UpdateRule\n\n"
        "@dataclass(frozen=True)\nclass Flies(UpdateRule):\n    lr: StepSize = 0.0\n"
        "    def step(self, F, w, s):\n        return w * (1 + self.lr) + 0 * F(w), s\n"
    )
    return execute(chunk(f"{tmp_path}/flies.py:Flies", game, budget, rows(*step_sizes), phase=phase))


def test_a_replica_whose_samples_leave_the_data_has_diverged_there(tmp_path: Path) -> None:
    """It is frozen at that evaluation, which records nothing more of it; the others go on bit for bit."""
    result = flown(tmp_path, RING, (0.0, 0.5, 0.01, 0.15))
    ends, found = outcomes(result), pd.DataFrame(result.records)
    assert {seed: kind for seed, (kind, _) in ends.items()} == {0: "ok", 1: "diverged", 2: "ok", 3: "diverged"}
    assert 0 < ends[1][1] < ends[3][1] < 40, "the faster one first"
    for seed in (1, 3):
        assert ends[seed][1] in {4.0 * k for k in range(1, 10)}, "at an evaluation"
        assert found[found["seed"] == seed]["cost"].max() == ends[seed][1] - 4
    kept = flown(tmp_path, RING, (0.0, 0.15, 0.01, 0.0))
    others = pd.DataFrame(kept.records)
    for seed in (0, 2):
        one, other = (every[every["seed"] == seed].drop(columns="seconds").reset_index(drop=True)
                      for every in (found, others))  # fmt: skip
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_it_counts_in_tuning_too(tmp_path: Path) -> None:
    ends = outcomes(flown(tmp_path, RING, (0.0, 0.5), phase="tune"))
    assert [kind for kind, _ in ends.values()] == ["ok", "diverged"]


def test_images_are_bounded_and_never_leave(tmp_path: Path) -> None:
    """A tanh at the end: pixels stay within [-1, 1], however far the parameters go."""
    ends = outcomes(flown(tmp_path, "digits[width=16,batch_size=16]", (0.3, 0.3), budget=20))
    assert {kind for kind, _ in ends.values()} == {"ok"}


def test_far_is_a_hundred_times_the_datas_own() -> None:
    """Fifty radii off is far from ring8, and no divergence; a hundred is."""
    game = get_game("ring8")
    assert isinstance(game, Located)
    centre, reach = game.location()
    assert torch.allclose(centre, torch.zeros(2), atol=0.1)
    assert reach == pytest.approx(1.05, abs=0.1)
    samples = torch.zeros(6, 5, 2)
    samples[1, 3, 0], samples[2, 3, 1] = 50.0, -1.01 * FAR * reach
    samples[3, 0, 0], samples[4, 0, 1], samples[5, 1, 1] = math.nan, math.inf, -math.inf
    assert have_left(samples, centre, reach).tolist() == [False, False, True, True, True, True]


@pytest.mark.parametrize("name", [name for name in games.names() if isinstance(get_game(name), Located)])
def test_every_game_knows_where_its_data_lie(name: str) -> None:
    game: Any = get_game(name)
    if game.missing:
        pytest.skip(game.missing)
    centre, reach = game.location()
    seeds = torch.tensor([5, 6])
    drawn = isinstance(game, Attainable)
    real = game.perfect(seeds, 64) if drawn else game.real(seeds, 3).flatten(1, -2).transpose(1, 2)
    assert centre.shape == real.shape[2:]
    assert not have_left(real, centre, reach / 10).any(), "within ten times, by far"
    again = type(game)()
    assert (again.location()[0] == centre).all()
    assert again.location()[1] == reach


def own(data: Any) -> Any:
    generator = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    discriminator = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    return bench.gan_game(generator, discriminator, "hinge", data, batch_size=16)


def test_own_gans_know_it_from_their_data() -> None:
    corners = torch.tensor([[3.0, -1.0], [5.0, 1.0]])
    centre, reach = own(corners.repeat(50, 1)).location()
    assert torch.allclose(centre, torch.tensor([4.0, 0.0]), atol=0.2)
    assert reach == pytest.approx(1.0, abs=0.2)
    drawn = own(lambda generator, count: 7 + torch.rand(count, 2, generator=generator)).location()
    assert torch.allclose(drawn[0], torch.tensor([7.5, 7.5]), atol=0.1)
    assert drawn[1] == pytest.approx(0.5, abs=0.1)
    assert own(torch.ones(4, 2)).location()[1] == math.inf, "one point has no size to go by"
