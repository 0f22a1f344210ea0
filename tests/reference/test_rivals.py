"""What the engine's speed is compared with trains the same: loops in PyTorch and JAX, step by step from one start."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from loops import loop
from scripts import script
from workloads import WORKLOADS, Workload, gradient

from bench.registry import get_game, get_rule

SMALL = {
    "ring8-128": "ring8[width=16,batch_size=16]",
    "alternating": "ring8[width=16,batch_size=16]",
    "mnist-small": "mnist-small[batch_size=16,width=16]",
    "extragrad": "ring8[width=16,batch_size=16]",
    "extraadam": "ring8[width=16,batch_size=16]",
    "wgan-gp": "ring8[width=16,batch_size=16,loss=wgan-gp]",
    "consensus": "ring8[width=16,batch_size=16]",
    "mnist": "mnist[batch_size=16,channels=16]",
}
"""Games that are quick to try instead of the table's; the others are tried as they are."""


@pytest.fixture(scope="module")
def speed() -> ModuleType:
    return script("speed")


def tried(workload: Workload) -> Workload:
    found = Workload(**vars(workload) | {"spelled": SMALL.get(workload.name, workload.spelled), "replicas": 4})
    if missing := found.game.missing:
        pytest.skip(missing)
    return found


@pytest.mark.parametrize("tuned", [False, True], ids=["plain", "tuned"])
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_loop_takes_the_engines_steps(speed: ModuleType, workload: Workload, tuned: bool) -> None:
    small = tried(workload)
    speed.check(small, speed.engine(small), tuned)


JAX = [
    ("ring8-128", "vmap"),
    ("extraadam", "vmap"),
    ("wgan-gp", "vmap"),
    ("consensus", "vmap"),
    ("bilinear", "vmap"),
    ("alternating", "vmap"),
    ("mnist-small", "vmap"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "by"), [*JAX, ("digits-conv", "vmap"), ("digits-conv", "map")])
def test_jax_takes_the_engines_steps(speed: ModuleType, name: str, by: str) -> None:
    pytest.importorskip("jax", reason="JAX is not installed: pip install '.[compare]'")
    pytest.importorskip("optax", reason="optax is not installed: pip install '.[compare]'")
    from jax_loop import Way

    small = tried(next(workload for workload in WORKLOADS if workload.name == name))
    speed.check_jax(small, speed.engine(small), Way(2, by))


def test_another_training_is_found_out(speed: ModuleType) -> None:
    small = tried(WORKLOADS[0])
    start = speed.engine(small)
    start.batches[1] = {key: part.flip(-1) * 0.9 for key, part in start.batches[1].items()}
    with pytest.raises(SystemExit, match="trains otherwise"):
        speed.check(small, start, tuned=False)


def test_a_loop_draws_what_the_game_draws() -> None:
    """Real samples have the game's mean and deviation, and its shape."""
    game: Any = get_game("ring8")
    torch.manual_seed(0)
    mine, theirs = loop(game, get_rule("adam")).real(4096), game.data(torch.arange(2), "real", 0, 4096, 1)[0].T
    assert mine.shape == theirs.shape
    assert mine.std(0).tolist() == pytest.approx(theirs.std(0).tolist(), abs=0.05)


def test_multiply_adds_by_hand() -> None:
    """Width 4: generator 16-4-4-2 has 88 weights, discriminator 2-4-4-1 has 28."""
    game = get_game("ring8[width=4,batch_size=16]")
    assert gradient(game) == 16 * ((3 * 88 - 64) + 2 * (3 * 28 - 8) + 8)


def test_what_misses_its_goal_is_said(speed: ModuleType) -> None:
    ratios = {"plain": [7.0, 8.0, 7.5], "tuned": [5.0], "jax": [1.0, 1.1, 1.3], "roofline": [0.7]}
    row = {"ratios": ratios, "packs": [32], "how": "vmap", "finite": True, "profile": [("`aten::bmm`", 0.5)]}
    page = "\n".join(speed.lines({"ring8-128": row}))
    assert "| 7.50 (7.00-8.00), goal 5 | 5.00 (5.00-5.00) | **1.10 (1.00-1.30)**, goal 1.5 |" in page
    assert "adam: against JAX. The engine's time: `aten::bmm` 50%." in page
    quick = row | {"ratios": ratios | {"jax": [2.0]}}
    assert "Every goal is reached." in "\n".join(speed.lines({"ring8-128": quick}))
