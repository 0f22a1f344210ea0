"""Passes of kernels against the directions' equations, and the check for divergence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.contracts import Direction
from bench.numerics import passes
from bench.numerics.kernels.core import VARIABLE, blas
from optimizers.adam import Adam
from optimizers.momentum import HeavyBall
from optimizers.plain import Plain
from optimizers.rmsprop import RMSprop

needs_kernels = pytest.mark.skipif(not blas(), reason="numba or a BLAS that it could call is missing")


@pytest.fixture(autouse=True)
def _kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where all tests are run without them."""
    monkeypatch.delenv(VARIABLE, raising=False)


REPLICAS, COLUMNS, STEPS = 3, 2 * passes.LEAST, 6
EACH = torch.tensor([[0.1], [0.5], [0.9]], dtype=torch.float64)
DIRECTIONS = [
    Plain(),
    HeavyBall(),
    HeavyBall(beta=-EACH),
    Adam(),
    Adam(beta1=EACH, eps=1e-3 * EACH),
    Adam(scaled_eps=True, eps=1e-3),
    Adam(nesterov=True),
    RMSprop(),
    RMSprop(alpha=EACH, v0=1.0, inside=True),
]
RATES = [0.01, 0.1 * EACH, torch.rand(REPLICAS, COLUMNS, generator=torch.Generator().manual_seed(1)).double()]


def course(direction: Direction, lr: float | Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Where a direction leads by some gradients, and its next step."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(STEPS + 1, REPLICAS, COLUMNS, generator=generator, dtype=torch.float64).to(dtype)
    w, *gradients = drawn
    state = direction.init(w)
    for g in gradients:
        w, state = direction.descend(g, state, w, lr.to(dtype) if isinstance(lr, Tensor) else lr)
    return w, direction(gradients[0], state, w)[0]


@needs_kernels
@pytest.mark.parametrize("lr", RATES, ids=["number", "one a replica", "one a column"])
@pytest.mark.parametrize("direction", DIRECTIONS, ids=str)
def test_a_pass_is_the_equation(direction: Direction, lr: float | Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    found, step = course(direction, lr, torch.float64)
    rounded, _ = course(direction, lr, torch.float32)
    monkeypatch.setenv(VARIABLE, "torch")
    wanted, wanted_step = course(direction, lr, torch.float64)
    assert not torch.equal(found, wanted)  # a pass was taken: it rounds otherwise
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(step, wanted_step, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(rounded.double(), wanted, rtol=1e-4, atol=1e-5)


BLOCKS = slice(0, passes.LEAST - 16), slice(passes.LEAST - 16, COLUMNS)


@needs_kernels
@pytest.mark.parametrize("core", ["numba", "torch"])
@pytest.mark.parametrize("block", BLOCKS, ids=["generator", "discriminator"])
@pytest.mark.parametrize("lr", RATES, ids=["number", "one a replica", "one a column"])
@pytest.mark.parametrize("direction", DIRECTIONS, ids=str)
def test_a_players_pass_is_the_whole_one_in_its_columns(
    direction: Direction, lr: float | Tensor, block: slice, core: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit; w and the memory stay what they are elsewhere."""
    monkeypatch.setenv(VARIABLE, core)
    dtype = torch.float64 if isinstance(lr, Tensor) else torch.float32
    generator = torch.Generator().manual_seed(3)
    whole, *gradients = torch.randn(4, REPLICAS, COLUMNS, generator=generator, dtype=dtype)
    start = moved = whole
    state = own = direction.init(whole)
    for g in gradients:
        alone = torch.zeros_like(g)
        alone[:, block] = g[:, block]
        whole, state = direction.descend(alone, state, whole, lr)
        moved, own = direction.descend_block(alone, own, moved, lr, block)
        assert torch.equal(moved[:, block], whole[:, block])
        assert all(torch.equal(own[key][:, block], state[key][:, block]) for key in own if own[key].shape[1] > 1)
        assert "t" not in own or torch.equal(own["t"], state["t"])
    beside = torch.ones(COLUMNS, dtype=torch.bool)
    beside[block] = False
    assert torch.equal(moved[:, beside], start[:, beside])


@needs_kernels
@pytest.mark.parametrize("direction", [Adam(), RMSprop(), HeavyBall(), Plain()], ids=str)
def test_rows_do_not_touch(direction: Direction) -> None:
    g = torch.randn(5, COLUMNS, generator=torch.Generator().manual_seed(2))
    w = g.roll(1, 0)
    whole, _ = direction.descend(g, direction.init(w), w, 0.1)
    for rows in (slice(1), slice(1, 4), slice(4, 5)):
        part, _ = direction.descend(g[rows].clone(), direction.init(w[rows]), w[rows].clone(), 0.1)
        assert torch.equal(part, whole[rows])
    g[2, 5] = float("nan")
    broken, _ = direction.descend(g, direction.init(w), w, 0.1)
    assert broken[2, 5].isnan()
    assert torch.equal(broken[[0, 1, 3, 4]], whole[[0, 1, 3, 4]])


@pytest.mark.parametrize("core", ["torch", pytest.param("numba", marks=needs_kernels)])
def test_bounds(core: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, core)
    w = torch.zeros(5, COLUMNS)
    w[1, 3], w[2, -1], w[3, 0], w[4, 7] = 5.0, -5.1, float("nan"), float("inf")
    assert passes.bounded(w, 5.0).tolist() == [True, True, False, False, False]


@needs_kernels
def test_short_rows_are_torchs() -> None:
    """A call would cost more than the pass, and games in closed form keep their bits."""
    w = torch.ones(2, passes.LEAST - 16)
    assert passes.descent(w, w, 0.1) is None
    assert passes.descent(torch.ones(2, passes.LEAST + 1), torch.ones(2, passes.LEAST + 1), 0.1) is None
    w = torch.ones(2, passes.LEAST)
    assert passes.descent(w, w, 0.1) is not None
    assert passes.descent(w, w, 0.1, slice(16, 64)) is not None
    assert passes.descent(w, w, 0.1, slice(8, 64)) is None  # a block of no whole vectors
