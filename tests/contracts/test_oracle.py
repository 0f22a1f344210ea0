"""The oracle: F, J v and J^T u against torch's own Jacobian, the counts, the minibatches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bench.contracts import Oracle
from bench.contracts.oracle import PRODUCT_COST
from bench.metrics.evaluation import EVALUATION_DRAW, Evaluator
from bench.registry import get_game

SEEDS = [5, 2, 9]
GAMES = ["bilinear[dim=3]", "dirac", "dirac[saturating=false]", "ring8[width=8,batch_size=16,latent=2]"]
TERMS = 64  # in all sums between a weight and its gradient: six layers of at most 8, and 16 points of a batch


def field(game: Any, w: Tensor, F: Oracle, r: int) -> Any:
    """F of replica r as a plain function of its own parameters, by the definition: each player's own gradient."""
    batch = F.batch(w)
    own = None if batch is None else {key: value[r : r + 1].to(w.dtype) for key, value in batch.items()}

    def of(row: Tensor) -> Tensor:
        parts = []
        for i, block in enumerate(F.blocks):
            players = tuple(row[None, b] for b in F.blocks)
            (g,) = torch.autograd.grad(game.losses(players, own)[i].sum(), row, create_graph=True)
            parts.append(g[block])
        return torch.cat(parts)

    return of


@pytest.mark.parametrize("spec", GAMES)
def test_field_and_products_are_the_jacobians(spec: str) -> None:
    game, F = get_game(spec), Oracle(get_game(spec), SEEDS)
    w = game.init(F.seeds)
    value, push, pull = F.linear(w)
    v, u = torch.randn_like(w), torch.randn_like(w)
    image, preimage = push(v), pull(u)
    tolerance = 1e-10 if w.dtype == torch.float64 else 2e-4
    for r in range(len(SEEDS)):
        of = field(game, w, F, r)
        row = w[r].clone().requires_grad_()
        J = torch.autograd.functional.jacobian(of, row)
        expected = of(row).detach()
        assert torch.allclose(F(w)[r], expected, atol=tolerance)
        assert torch.allclose(value[r], expected, atol=tolerance)
        assert torch.allclose(image[r], J @ v[r], atol=tolerance)
        assert torch.allclose(preimage[r], J.T @ u[r], atol=tolerance)


@pytest.mark.parametrize("spec", GAMES)
def test_a_player_alone_has_its_block_and_zeros_elsewhere(spec: str) -> None:
    game, F = get_game(spec), Oracle(get_game(spec), SEEDS)
    w = game.init(F.seeds)
    whole = F(w)
    for player, block in enumerate(F.blocks):
        alone = F(w, player)
        # The half takes other kernels than the whole, which may add in another order.
        bound = 2 * TERMS * torch.finfo(w.dtype).eps * float(whole[:, block].abs().max())
        assert (alone[:, block] - whole[:, block]).abs().max() <= bound
        assert torch.equal(alone, F.within(player, alone, torch.zeros_like(whole)))
        v = torch.randn_like(w)
        rows = F.linear(w, player)[1](v)
        assert torch.allclose(rows, F.within(player, F.linear(w)[1](v), torch.zeros_like(w)), atol=1e-6)


def test_cross_gradients_are_the_opponents_losses() -> None:
    game = get_game("bilinear[dim=2]")
    F = Oracle(game, SEEDS)
    w = game.init(F.seeds)
    assert torch.allclose(F.cross(w), -F(w))  # zero-sum: L_1 = -L_0


@pytest.mark.parametrize("spec", GAMES)
def test_the_jacobian_without_its_diagonal_blocks(spec: str) -> None:
    game, F = get_game(spec), Oracle(get_game(spec), SEEDS)
    w = game.init(F.seeds)
    _, push, pull = F.linear(w)
    value, across, back = F.linear(w, own=False)
    v, zeros = torch.randn_like(w), torch.zeros_like(w)
    first, second = (F.within(i, v, zeros) for i in range(2))
    tolerance = 1e-10 if w.dtype == torch.float64 else 2e-4
    assert torch.allclose(value, F(w), atol=tolerance)
    assert torch.allclose(across(v), F.within(0, push(second), push(first)), atol=tolerance)
    assert torch.allclose(back(v), F.within(0, pull(second), pull(first)), atol=tolerance)


@pytest.mark.parametrize("spec", GAMES)
def test_the_whole_gradient_of_one_loss(spec: str) -> None:
    game, F = get_game(spec), Oracle(get_game(spec), SEEDS)
    w = game.init(F.seeds)
    first, second = F.loss_gradient(w, 0), F.loss_gradient(w, 1)
    assert torch.allclose(F.within(0, first, second), F(w), atol=1e-6)
    assert torch.allclose(F.within(0, second, first), F.cross(w), atol=1e-6)


def test_it_answers_where_gradients_are_switched_off() -> None:
    F = Oracle(get_game("bilinear[dim=2]"), SEEDS)
    w = F.game.init(F.seeds)
    with torch.no_grad():
        value, push, _ = F.linear(w)
        assert torch.equal(F(w), value)
        image, whole = push(w), F.loss_gradient(w, 0)
    assert torch.equal(image, F.linear(w)[1](w))
    assert torch.equal(whole, F.loss_gradient(w, 0))


def test_the_cost_is_counted() -> None:
    F = Oracle(get_game("bilinear[dim=2]"), SEEDS)
    w = F.game.init(F.seeds)
    F(w)
    assert (F.gradients, F.products, F.cost) == (1.0, 0, 1.0)
    F(w, 0)
    assert F.cost == 1.5
    _, push, pull = F.linear(w)
    push(w), push(w), pull(w)
    assert (F.gradients, F.products) == (2.5, 3)
    assert F.cost == 2.5 + 3 * PRODUCT_COST
    F.losses(w)
    assert F.cost == 2.5 + 3 * PRODUCT_COST
    before = F.cost
    _, push, pull = F.linear(w, player=1)
    push(w), pull(w), F.loss_gradient(w, 0)
    assert F.cost == before + 0.5 + 2 * PRODUCT_COST / 2 + 0.5


def test_the_minibatch_stays_until_asked() -> None:
    game = get_game("ring8[width=8,batch_size=16]")
    F = Oracle(game, SEEDS)
    w = game.init(F.seeds)
    first = F(w)
    assert torch.equal(F(w), first)
    assert F.draws == 1
    F.new_batch()
    assert not torch.equal(F(w), first)
    assert F.draws == 2
    assert torch.equal(Oracle(game, SEEDS)(w), first)
    assert torch.equal(Oracle(game, SEEDS, draw=1)(w), F(w))


def test_a_judge_sees_other_minibatches_and_computes_once() -> None:
    game = get_game("ring8[width=8,batch_size=16]")
    evaluator = Evaluator(game, SEEDS)
    w = game.init(evaluator.seeds)
    assert evaluator.draw == EVALUATION_DRAW
    value = evaluator(w)
    assert not torch.equal(value, Oracle(game, SEEDS)(w))
    assert evaluator(w) is value
    assert evaluator.gradients == 1
    assert evaluator.samples(w, 10) is evaluator.samples(w, 10)
    assert evaluator(w.clone()) is not value


def test_per_player() -> None:
    F = Oracle(get_game("dirac"), SEEDS)
    w = torch.zeros(3, 2, dtype=torch.float64)
    assert F.per_player(w, 0.1, 0.4).tolist() == [[0.1, 0.4]] * 3
    own = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    wide = torch.tensor([[5.0, 6.0]] * 3, dtype=torch.float64)
    assert F.per_player(w, own, wide).tolist() == [[1, 6], [2, 6], [3, 6]]
