"""Spectral normalisation: the largest singular value, and gradients brought back by hand as autograd brings them."""

from __future__ import annotations

from math import prod

import pytest
import torch

from bench.contracts.game import Parameter
from bench.games.networks.normalisation import divide, normalised, returned

SHAPES = [((5, 7), 0), ((7, 5), 1), ((1, 6), 0), ((4, 3, 2, 2), 0), ((4, 3, 2, 2), 1)]


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("shape", "rows"), SHAPES)
def test_the_largest_singular_value_becomes_1(shape: tuple[int, ...], rows: int) -> None:
    matrices = normalised(drawn(3, *shape), rows).movedim(1 + rows, 1).flatten(2)
    torch.testing.assert_close(torch.linalg.matrix_norm(matrices, 2), torch.ones(3).double(), rtol=0.05, atol=0)


@pytest.mark.parametrize(("shape", "rows"), SHAPES)
def test_a_gradient_is_brought_back_as_by_autograd(shape: tuple[int, ...], rows: int) -> None:
    """Of a weight between others, which are left as they are."""
    size, before = prod(shape), 3
    w, u = drawn(4, before + size + 2), drawn(2, 4, before + size + 2)[1]
    leaf = w.clone().requires_grad_()
    weight = normalised(leaf[:, before : before + size].view(4, *shape), rows).flatten(1)
    used = torch.cat([leaf[:, :before], weight, leaf[:, before + size :]], 1)
    (wanted,) = torch.autograd.grad((used**3 * u).sum(), leaf)

    point = w.clone()
    divisions = divide(point, {1: rows}, [Parameter(0, (before,)), Parameter(before, shape)])
    torch.testing.assert_close(point, used.detach(), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(returned(3 * point**2 * u, divisions), wanted, rtol=1e-11, atol=1e-13)
