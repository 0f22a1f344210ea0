"""The spectrum of a game's Jacobian: against LAPACK on the dense matrix, against closed forms, row by row."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from bench.contracts import Game, Oracle
from bench.numerics.spectrum import Extremes, extremes, ritz
from bench.registry import get_game

Push = Callable[[Tensor], Tensor]


def dense(push: Push, w: Tensor) -> Tensor:
    """The matrix [R, n, n] of a linear map, column by column."""
    columns = [push(torch.eye(w.shape[1], dtype=w.dtype)[i].expand_as(w)) for i in range(w.shape[1])]
    return torch.stack(columns, dim=2)


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest distance when eigenvalues [m] are matched with eigenvalues [m] as well as can be."""
    gaps = (found[:, None] - wanted).abs().numpy()
    return float(gaps[linear_sum_assignment(gaps)].max())


def multiplied(matrices: Tensor) -> Push:
    return lambda v: (matrices @ v[..., None])[..., 0]


def matrices(rows: int = 3, size: int = 12, seed: int = 0) -> Tensor:
    return torch.randn(rows, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def played(name: str, seeds: tuple[int, ...] = (0, 1, 2)) -> tuple[Push, Tensor]:
    game: Game = get_game(name)
    chosen = torch.tensor(seeds)
    w = game.init(chosen)
    return Oracle(game, chosen).linear(w)[1], w


@pytest.mark.parametrize("name", ["bilinear[dim=4]", "bilinear[dim=3,condition=1]", "dirac", "quadratic[dim=4]"])
def test_as_many_products_as_parameters_give_every_eigenvalue(name: str) -> None:
    push, w = played(name)
    found = ritz(push, w, products=w.shape[1])
    for row, matrix in zip(found.values, dense(push, w), strict=True):
        assert apart(row, torch.linalg.eigvals(matrix)) < 1e-10
    assert found.residuals.max() < 1e-10


def test_a_matrix_without_symmetry_is_solved_and_more_products_than_parameters_are_not_taken() -> None:
    for products in (12, 50):
        found = ritz(multiplied(matrices()), torch.zeros(3, 12, dtype=torch.float64), products)
        assert found.values.shape == (3, 12)
        for row, matrix in zip(found.values, matrices(), strict=True):
            assert apart(row, torch.linalg.eigvals(matrix)) < 1e-10


def test_multiple_eigenvalues_are_all_found_where_the_krylov_space_breaks_down() -> None:
    known = torch.diag(torch.tensor([2.0, 2, 2, -1, -1, 0, 0, 5], dtype=torch.float64))
    found = ritz(multiplied(known.expand(2, 8, 8)), torch.zeros(2, 8, dtype=torch.float64), 8)
    assert found.values[0].real.sort().values.tolist() == pytest.approx([-1, -1, 0, 0, 2, 2, 2, 5], abs=1e-10)
    nothing = ritz(torch.zeros_like, torch.zeros(2, 5), 5)
    assert (nothing.values == 0).all()
    assert (nothing.residuals == 0).all()


def test_the_bilinear_games_spectrum_is_plus_and_minus_i_sigma() -> None:
    push, w = played("bilinear[dim=10,condition=3]")
    found = extremes(ritz(push, w, 20))
    assert found.max_imag.tolist() == pytest.approx([1.0] * 3)  # sigma runs from 1 down to 1 / 3
    assert found.min_real.tolist() == pytest.approx([0.0] * 3, abs=1e-12)


@pytest.mark.parametrize("rotation", [0.0, 0.5, 0.9])
def test_the_quadratic_games_spectrum_is_mu_plus_s_turned(rotation: float) -> None:
    push, w = played(f"quadratic[dim=8,condition=10,mu=0.01,rotation={rotation}]")
    found = extremes(ritz(push, w, w.shape[1]))  # s runs from 1 down to 1 / 10
    assert found.min_real.tolist() == pytest.approx([0.01 + math.cos(rotation * math.pi / 2) / 10] * 3, abs=1e-8)
    assert found.max_imag.tolist() == pytest.approx([math.sin(rotation * math.pi / 2)] * 3, abs=1e-8)


def test_at_diracs_equilibrium_the_eigenvalues_are_plus_and_minus_half_i() -> None:
    game = get_game("dirac")
    w = torch.zeros(2, 2, dtype=torch.float64)
    found = extremes(ritz(Oracle(game, [0, 1]).linear(w)[1], w))  # f'(0) = 1 / 2
    assert found.max_imag.tolist() == pytest.approx([0.5, 0.5])
    assert found.min_real.tolist() == [0.0, 0.0]


def test_a_small_network_in_single_precision() -> None:
    push, w = played("ring8[batch_size=16,latent=2,width=4]")
    assert w.shape[1] < 250
    found = ritz(push, w, w.shape[1])
    for row, matrix in zip(found.values, dense(push, w).double(), strict=True):
        wanted, size = torch.linalg.eigvals(matrix), float(torch.linalg.matrix_norm(matrix, 2))
        assert float(row.real.min() - wanted.real.min()) == pytest.approx(0, abs=1e-4 * size)
        assert float(row.imag.max() - wanted.imag.max()) == pytest.approx(0, abs=1e-4 * size)


def test_few_products_find_the_outermost_eigenvalues_first_and_say_so() -> None:
    outer = torch.cat([torch.linspace(1, 2, 96), torch.tensor([-6.0, 9.0])]).double()
    matrix = torch.block_diag(torch.diag(outer), torch.tensor([[1.5, 7.0], [-7.0, 1.5]], dtype=torch.float64))
    found = ritz(multiplied(matrix.expand(2, 100, 100)), torch.zeros(2, 100, dtype=torch.float64), 20)
    assert extremes(found).min_real.tolist() == pytest.approx([-6.0] * 2, abs=1e-6)
    assert extremes(found).max_imag.tolist() == pytest.approx([7.0] * 2, abs=1e-6)
    leftmost = found.values.real.argmin(dim=1, keepdim=True)
    assert found.residuals.gather(1, leftmost).max() < 1e-5
    assert found.residuals.max() > 0.01  # inside the bulk nothing is settled


def test_residuals_are_those_of_the_ritz_vectors() -> None:
    for row, matrix in zip(
        ritz(multiplied(matrices()), torch.zeros(3, 12).double(), 5).residuals, matrices(), strict=True
    ):
        start = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        basis = torch.linalg.qr(torch.stack([torch.linalg.matrix_power(matrix, k) @ start for k in range(5)], dim=1))[0]
        values, vectors = torch.linalg.eig(basis.T @ matrix @ basis)
        lifted = basis.to(vectors.dtype) @ vectors
        wanted = torch.linalg.vector_norm(matrix.to(vectors.dtype) @ lifted - lifted * values, dim=0)
        assert row.sort().values.tolist() == pytest.approx(wanted.sort().values.tolist(), rel=1e-6)


def test_a_row_stands_alone_and_a_failed_one_is_the_worst() -> None:
    push, whole = multiplied(matrices()), torch.zeros(3, 12, dtype=torch.float64)
    found = ritz(push, whole, 6)
    pair = ritz(multiplied(matrices()[:2]), whole[:2], 6)
    assert torch.equal(found.values[:2], pair.values)
    sick = matrices()
    sick[1, 0, 0] = math.nan
    beside = ritz(multiplied(sick), whole, 6)
    assert torch.equal(beside.values[[0, 2]], found.values[[0, 2]])
    assert beside.values[1].isnan().all()
    assert beside.residuals[1].isnan().all()
    assert extremes(beside).min_real[1] == -math.inf
    assert extremes(beside).max_imag[1] == math.inf
    assert torch.equal(extremes(beside).min_real[[0, 2]], extremes(found).min_real[[0, 2]])
    huge = extremes(ritz(multiplied(matrices() * 1e200), whole, 6))  # squares overflow
    assert isinstance(huge, Extremes)
    assert (huge.min_real == -math.inf).all()


def test_it_is_deterministic_and_counts_its_products() -> None:
    game = get_game("bilinear[dim=4]")
    seeds = torch.tensor([0, 1])
    w, F = game.init(seeds), Oracle(game, seeds)
    first = ritz(F.linear(w)[1], w, 5)
    assert (F.products, F.gradients) == (5, 1)
    assert torch.equal(first.values, ritz(F.linear(w)[1], w, 5).values)
