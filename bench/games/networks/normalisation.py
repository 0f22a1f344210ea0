"""Spectral normalisation of stacked weights, and the way back for gradients (Miyato et al. 2018, arXiv:1802.05957).

A weight W is used as W / s, where s = u' W v is its largest singular value, found by power iterations from a fixed
vector: nothing is kept outside w. As in the paper, u and v are held fixed where s is differentiated. If G is a loss's
gradient by W / s, that by W is (G - <G, W / s> u v') / s: a field that knows G alone needs no autograd.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from bench.contracts.game import Parameter

POWER_ITERATIONS = 8
SMALLEST = 1e-12  # a weight that is all zeros stays so


def normalised(weight: Tensor, rows: int) -> Tensor:
    """Weights [R, *shape] over the largest singular value of each as a matrix, dimension ``rows`` against the rest."""
    value, _, _ = _largest(_as_matrix(weight, rows))
    return weight / value.view(-1, *[1] * (weight.ndim - 1))


class Division(NamedTuple):
    """One weight that was divided: where it stands, and what its gradient is told by."""

    columns: slice
    divided: Tensor  # [R, size]
    value: Tensor  # [R, 1], its largest singular value
    slope: Tensor  # [R, size], that value's derivative u v' by the weight

    def back(self, gradient: Tensor) -> None:
        """Turn the gradient by what was divided, in [R, n], into that by what was given, in place."""
        part = gradient[:, self.columns]
        along = (part * self.divided).sum(dim=1, keepdim=True)
        part.sub_(along * self.slope).div_(self.value)


def divide(parameters: Tensor, matrices: Mapping[int, int], places: Sequence[Parameter]) -> list[Division]:
    """Normalise weights where they stand in ``parameters`` [R, n], in place.

    Args:
        parameters: the stacked parameters.
        matrices: number of a weight among ``places`` -> the dimension that counts its rows.
        places: of all parameters.
    """
    divisions = []
    for number, rows in matrices.items():
        columns = places[number].columns
        weight = parameters[:, columns].view(-1, *places[number].shape)
        value, u, v = _largest(_as_matrix(weight, rows))
        slope = (u * v).mul_((value > SMALLEST).view(-1, 1, 1))
        if rows:
            slope = slope.view(-1, *weight.movedim(1 + rows, 1).shape[1:]).movedim(1, 1 + rows)
        parameters[:, columns] /= value.unsqueeze(1)
        divided = parameters[:, columns].clone()
        divisions.append(Division(columns, divided, value.unsqueeze(1), slope.flatten(1)))
    return divisions


def returned(gradient: Tensor, divisions: Sequence[Division]) -> Tensor:
    """The gradient [R, n] by parameters before they were divided, from that after; it is overwritten."""
    for division in divisions:
        division.back(gradient)
    return gradient


def _as_matrix(weight: Tensor, rows: int) -> Tensor:
    return (weight.movedim(1 + rows, 1) if rows else weight).flatten(2)


def _largest(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each [R, out, in] the largest singular value [R], differentiable with its vectors u and v held fixed."""
    with torch.no_grad():
        v = torch.ones_like(matrix[:, :1])  # [R, 1, in]; sums rather than products of width 1, which are slow
        for _ in range(POWER_ITERATIONS):
            u = (matrix * v).sum(dim=2, keepdim=True)
            u = u / torch.linalg.vector_norm(u, dim=1, keepdim=True).clamp(min=SMALLEST)
            v = (matrix * u).sum(dim=1, keepdim=True)
            v = v / torch.linalg.vector_norm(v, dim=2, keepdim=True).clamp(min=SMALLEST)
    return (u * matrix * v).sum(dim=(1, 2)).clamp(min=SMALLEST), u, v
