"""The same code on a GPU; skipped, with the reason, where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import bench
from bench.contracts import Oracle
from bench.contracts.introspection import stacked
from bench.execution.cuda_graph import Stepper, cuda_graph
from bench.registry import get_game, get_rule, rules

REPLAYED = ("sgd", "adam", "ttur", "alternating", "extragrad", "extraadam")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


def test_a_study_on_cuda_agrees_with_the_cpu(tmp_path: Path) -> None:
    games = ["bilinear[dim=3]", "ring8[width=16]"]
    study = bench.Study(optimizers=["sgd", "adam"], games=games, trials=0, budget=10, evaluations=5)
    tables = {
        device: bench.run(study, out=tmp_path / device, device=device).table(full=True) for device in ("cpu", "cuda")
    }
    assert tables["cuda"]["iqm"].tolist() == pytest.approx(tables["cpu"]["iqm"].tolist(), rel=1e-2)


@pytest.mark.parametrize("name", rules.names())
def test_steps_are_replayed_on_cuda(name: str) -> None:
    game, seeds = get_game("ring8[width=16]"), torch.arange(4)
    rule = stacked(get_rule(name), [{}] * 4, game, "cuda")
    found = []
    for step in (Stepper(cuda_graph), Stepper(None)):
        F, w = Oracle(game, seeds), game.init(seeds).cuda()
        s = rule.init(w)
        for _ in range(4):
            w, s = step(rule, F, w, s)
            F.new_batch()
        found.append(w)
        if name in REPLAYED and step.record:
            assert step.recorded is not None
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("game", ["dirac", "digits"])
def test_every_kind_of_game_is_judged_on_cuda(game: str, tmp_path: Path) -> None:
    study = bench.Study(optimizers=["ttur", "extragrad"], games=[game], seeds=[0, 1], trials=4, budget=10)
    run = bench.run(study, out=tmp_path / "run", device="cuda")
    assert not run.errors
    assert run.records["value"].notna().all()
