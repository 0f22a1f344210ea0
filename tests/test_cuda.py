"""The same code on a GPU; skipped, with the reason, where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import bench

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


def test_a_study_on_cuda_agrees_with_the_cpu(tmp_path: Path) -> None:
    study = bench.Study(optimizers=["sgd", "adam"], games=["bilinear[dim=3]", "ring8[width=16]"], trials=0, budget=10)
    tables = {device: bench.run(study, out=tmp_path / device, device=device).table() for device in ("cpu", "cuda")}
    assert tables["cuda"]["iqm"].tolist() == pytest.approx(tables["cpu"]["iqm"].tolist(), rel=1e-2)


@pytest.mark.parametrize("game", ["dirac", "digits"])
def test_every_kind_of_game_is_judged_on_cuda(game: str, tmp_path: Path) -> None:
    study = bench.Study(optimizers=["ttur", "extragrad"], games=[game], seeds=[0, 1], trials=4, budget=10)
    run = bench.run(study, out=tmp_path / "run", device="cuda")
    assert not run.errors
    assert run.records["value"].notna().all()
