"""The training loop: what is frozen, what has diverged, what is recorded."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import torch

from bench.execute import Result, execute, stacked
from bench.plan import Chunk, Contest, Row
from bench.registry import get_game, get_rule


def chunk(optimizer: str, game: str, budget: float, rows: list[Row], phase: str = "report") -> Chunk:
    (found,) = Contest(optimizer, game, budget, marks=10, device="cpu").chunks(rows, phase)
    return found


def rows(*step_sizes: float) -> list[Row]:
    return [Row(seed, (("lr", lr),)) for seed, lr in enumerate(step_sizes)]


def outcomes(result: Result) -> dict[int, tuple[str, float]]:
    return {record["seed"]: (record["outcome"], record["ended"]) for record in result.records}


def test_a_replica_that_escapes_is_frozen_where_it_was_and_the_others_go_on() -> None:
    mixed = execute(chunk("extragrad", "bilinear", 400, rows(0.5, 1.2, 0.5)))
    kept = execute(chunk("extragrad", "bilinear", 400, [Row(0, (("lr", 0.5),)), Row(2, (("lr", 0.5),))]))
    outcome, ended = outcomes(mixed)[1]
    assert outcome == "diverged"
    assert 0 < ended < 400
    path, cost = mixed.tensors["path"][:, 1], mixed.tensors["path_cost"]
    after = path[cost >= ended]
    assert len(after) > 10
    assert after.isfinite().all()
    assert (after == after[0]).all(), "a frozen replica moved"
    assert after[0].norm() <= get_game("bilinear").escape
    others = [record for record in mixed.records if record["seed"] != 1]
    for one, other in zip(others, kept.records, strict=True):
        for key in ("seed", "cost", "metric", "value", "outcome", "ended"):
            assert one[key] == other[key], "a neighbour's divergence was felt"


def test_a_vanishing_step_size_does_not_hide_divergence() -> None:
    assert set(outcomes(execute(chunk("sgd", "bilinear", 50, rows(1e-6, 1e-3)))).values()) == {("diverged", 50.0)}
    assert {o for o, _ in outcomes(execute(chunk("alternating", "bilinear", 500, rows(0.3, 1.0)))).values()} == {"ok"}
    assert {o for o, _ in outcomes(execute(chunk("extragrad", "bilinear", 500, rows(0.3, 0.9)))).values()} == {"ok"}


def test_the_records_of_a_chunk() -> None:
    result = execute(chunk("extragrad", "ring8[width=16,batch_size=16]", 40, rows(0.01, 0.01)))
    found = pd.DataFrame(result.records)
    assert sorted(found["cost"].unique()) == [4.0 * k for k in range(11)]
    assert (found.groupby("seed")["seconds"].max() > 0).all()
    assert {"sliced_wasserstein", "modes", "high_quality", "mode_kl", "field_norm"} <= set(found["metric"])
    assert result.tensors["samples"].shape == (8, 512, 2)
    tuned = pd.DataFrame(execute(chunk("sgd", "ring8[width=16,batch_size=16]", 20, rows(0.01), "tune")).records)
    assert set(tuned["metric"]) == {"sliced_wasserstein"}


@pytest.mark.parametrize(("budget", "spent"), [(9.0, 8.0), (5.0, 4.0), (1.0, 0.0)])
def test_the_budget_is_never_exceeded(budget: float, spent: float) -> None:
    result = execute(chunk("alternating[discriminator_steps=3]", "dirac", budget + 0.5, rows(0.1)))
    assert max(record["cost"] for record in result.records) <= budget + 0.5
    result = execute(chunk("alternating[discriminator_steps=7]", "dirac", budget, rows(0.1)))
    assert max(record["cost"] for record in result.records) == spent


def test_stacked_hyperparameters_are_tensors_also_where_they_agree() -> None:
    game = get_game("dirac")
    rule: Any = stacked(get_rule("adam"), [{}, {"lr": 0.5}], game)
    assert rule.lr.tolist() == [[0.001], [0.5]]
    assert rule.direction.beta1.shape == (2, 1)
    wide: Any = stacked(get_rule("sgd"), [{"lr": (0.1, 0.4)}, {}], game)
    assert torch.equal(wide.lr, torch.tensor([[0.1, 0.4], [0.1, 0.1]], dtype=torch.float64))
