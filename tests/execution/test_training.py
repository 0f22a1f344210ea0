"""The training loop: what is frozen, what has diverged, what is recorded."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
import torch
from chunks import chunk, outcomes, rows

from bench.contracts.introspection import stacked
from bench.execution.training import execute
from bench.registry import get_game, get_rule
from bench.studies.plan import Row


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


def test_the_records_of_a_chunk() -> None:
    result = execute(chunk("extragrad", "ring8[width=16,batch_size=16]", 40, rows(0.01, 0.01)))
    found = pd.DataFrame(result.records)
    assert sorted(found["cost"].unique()) == [4.0 * k for k in range(11)]
    assert (found.groupby("seed")["seconds"].max() > 0).all()
    assert {"sliced_wasserstein", "modes", "high_quality", "mode_kl", "field_norm"} <= set(found["metric"])
    assert result.tensors["samples"].shape == (21, 512, 2)  # one a step, where there are few
    assert result.tensors["spectrum_end"].shape == result.tensors["spectrum_start"].shape == (2, 32, 3)
    tuned = pd.DataFrame(execute(chunk("sgd", "ring8[width=16,batch_size=16]", 20, rows(0.01), phase="tune")).records)
    assert set(tuned["metric"]) == {"mode_error", "sliced_wasserstein"}
    ties = tuned.loc[tuned["metric"] == "sliced_wasserstein", "cost"]
    assert set(ties) == {20.0}, "the tie-break is of the end alone"


def test_the_spectrum_is_that_of_the_jacobian_at_start_and_end() -> None:
    result = execute(chunk("extragrad", "dirac", 4000, rows(0.5, 0.5, 0.5, 0.5)))
    start, end = result.tensors["spectrum_start"], result.tensors["spectrum_end"]
    assert start.shape == end.shape == (3, 2, 3)
    half = torch.tensor([0.5, 0.5], dtype=torch.float64)  # +-i f'(0) at the solution: Mescheder et al. 2018
    assert torch.allclose(end[:, :, 0], torch.zeros(()).double(), atol=1e-6)
    assert torch.allclose(end[:, :, 1].abs(), half, atol=1e-6)
    w = get_game("dirac").init(torch.arange(3))
    for r in range(3):
        theta, psi = w[r].tolist()
        s = 1 / (1 + math.exp(theta * psi))  # f' at t = theta psi, and f'' = -s (1 - s)
        a, b = -s * (1 - s), s - theta * psi * s * (1 - s)
        known = torch.linalg.eigvals(torch.tensor([[a * psi**2, b], [-b, -a * theta**2]], dtype=torch.float64))
        found = torch.complex(start[r, :, 0], start[r, :, 1])
        assert torch.allclose(found.real.sort().values, known.real.sort().values)
        assert torch.allclose(found.imag.sort().values, known.imag.sort().values)
    assert "spectrum_end" not in execute(chunk("sgd", "dirac", 8, rows(0.1), phase="tune")).tensors


def test_fewer_images_are_kept_than_points() -> None:
    result = execute(chunk("sgd", "digits[width=16,batch_size=16]", 4, rows(0.1)))
    assert result.tensors["samples"].shape == (5, 36, 64)


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
