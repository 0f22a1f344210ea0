"""Linear systems with a game's Jacobian, by products alone: conjugate gradients on the normal equations.

Hestenes and Stiefel 1952 (their section 10; known as CGNR). It needs no symmetry and no definiteness: H_o of a
general-sum game has neither. For a zero-sum game, (I + eta H_o)'(I + eta H_o) is blockwise the matrix that competitive
gradient descent inverts (Schaefer and Anandkumar 2019, arXiv:1905.12103). The number of iterations is fixed, so that a
step costs the same every time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of the rows of a, b [R, n]: [R, 1]."""
    return (a * b).sum(dim=1, keepdim=True)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0: a converged replica stays where it is."""
    return torch.where(b == 0, torch.zeros_like(a), a / b)


def solve(push: Map, pull: Map, b: Tensor, iterations: int) -> Tensor:
    """x with A x = b in the least-squares sense, each row its own system: push(v) = A v, pull(u) = A'u, b [R, n].

    ``iterations`` pushes and as many pulls, from x = 0; exact once they reach the number of distinct singular values.
    """
    x, r = torch.zeros_like(b), b
    z = p = pull(r)
    length = dot(z, z)
    for left in reversed(range(iterations)):
        q = push(p)
        step = _ratio(length, dot(q, q))
        x, r = x + step * p, r - step * q
        if left:
            z = pull(r)
            before, length = length, dot(z, z)
            p = z + _ratio(length, before) * p
    return x
