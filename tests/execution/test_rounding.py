"""Trainings with every gradient rounded at random."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import bench
from bench.analysis.changes import gap
from bench.contracts import Oracle, hyperparameters
from bench.execution.rounding import RoundingOracle, rounded
from bench.registry import get_game, get_rule

SEEDS = [5, 2, 9]
GAMES = ["bilinear[dim=3]", "dirac", "ring8[width=8,batch_size=16,latent=2]"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_rounding_is_the_next_number_up_or_down_and_zero_stays(dtype: torch.dtype) -> None:
    x = torch.randn(3, 1000, dtype=dtype, generator=torch.Generator().manual_seed(0))
    x[:, ::5] = 0
    once = rounded(x, torch.tensor(SEEDS), "test")
    nearby = [torch.nextafter(x, torch.full_like(x, side)) for side in (-torch.inf, torch.inf)]
    nonzero = x != 0
    assert ((once == nearby[0]) | (once == nearby[1]))[nonzero].all()
    assert torch.equal(once[~nonzero], x[~nonzero])
    up = ((once > x) & nonzero).sum() / nonzero.sum()
    assert 0.45 < up < 0.55


@pytest.mark.parametrize("spec", GAMES)
def test_every_answer_is_rounded_anew_and_decided_by_seed_and_draw(spec: str) -> None:
    game = get_game(spec)
    w = game.init(torch.tensor(SEEDS))

    def answers(draws: list[int]) -> list[torch.Tensor]:
        F = RoundingOracle(game, SEEDS, draws)
        field, push, pull = F.linear(w)
        return [F(w), F(w), F(w, 1), F.cross(w), F.loss_gradient(w, 0), field, push(w), pull(w)]

    first, again = answers([0, 0, 0]), answers([0, 0, 0])
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], first[1])
    others = [answers([0, draw, 0]) for draw in range(1, 9)]  # some: two numbers may be rounded alike by chance
    for a, *drawn in zip(first, *others, strict=True):
        assert all(torch.equal(a[[0, 2]], b[[0, 2]]) for b in drawn)
        assert any(not torch.equal(a[1], b[1]) for b in drawn)
    F, plain = RoundingOracle(game, SEEDS, [0, 0, 0]), Oracle(game, SEEDS)
    assert torch.allclose(F(w), plain(w), rtol=2 * torch.finfo(w.dtype).eps, atol=0)
    assert (F.cost, F.draws) == (plain.cost, plain.draws)
    part = RoundingOracle(game, SEEDS, [0, 1, 2]).select(torch.tensor([0, 2]))
    assert torch.equal(part(w[[0, 2]]), RoundingOracle(game, [5, 9], [0, 2])(w[[0, 2]]))


def test_a_study_trains_its_report_again_and_its_results_stay(tmp_path: Path) -> None:
    asked = bench.Study(optimizers="sgd", games="dirac", trials=0, budget=10, seeds="0-3", evaluations=2)
    plain = bench.run(asked, out=tmp_path / "run")
    before, table = plain.records, plain.table(full=True)
    more = bench.run(asked.model_copy(update={"roundings": 2}), out=tmp_path / "run")  # the same folder goes on
    drawn = more.records[more.records["phase"] == "rounded"]
    assert set(zip(drawn["seed"], drawn["trial"], strict=True)) == {(s, d) for s in range(4) for d in range(2)}
    assert set(drawn["metric"]) == {"distance"}
    assert len(more.records) == len(before) + len(drawn)
    # what a table says of the report is what it said; only the work that was spent is more
    assert (
        more.table(full=True)
        .drop(columns=["total_cost", "total_seconds"], errors="ignore")
        .equals(table.drop(columns=["total_cost", "total_seconds"], errors="ignore"))
    )
    report = before[before["metric"] == "distance"].set_index(["seed", "cost"])["value"]
    for _, part in drawn.groupby("trial"):
        gaps = gap(report, part.set_index(["seed", "cost"])["value"])
        assert 0 < gaps.max() < 1e-14


def test_frozen_values_are_trained_with_roundings_too(tmp_path: Path) -> None:
    name = next(path for path, (kind, _) in hyperparameters(get_rule("sgd")).items() if kind.step_size)
    asked = bench.Study(
        optimizers="sgd",
        games="dirac",
        budget=10,
        evaluations=2,
        seeds="0-1",
        roundings=1,
        hyperparameters={"dirac": {"sgd": {name: 0.3}}},
    )
    records = bench.run(asked, out=tmp_path / "run").records
    assert set(records["hyperparameters"]) == {'{"lr": 0.3}'}
