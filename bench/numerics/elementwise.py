"""Transcendental functions whose bits do not depend on how replicas are packed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

WHOLE = 64
"""A multiple of what vector kernels take at once: two AVX-512 registers hold 32 float32 numbers."""


def evenly(function: Callable[..., Tensor], *values: Tensor) -> Tensor:
    """``function`` of tensors [R, k] or [R, 1], elementwise: [R, k].

    torch evaluates such functions by whole vectors and what remains one by one, and the two may differ in the last bit;
    so rows are padded to whole vectors.
    """
    width = max(value.shape[1] for value in values)
    missing = -width % WHOLE
    if not missing and all(value.shape[1] == width for value in values):
        return function(*values)
    return function(*(pad(value.expand(-1, width), (0, missing), value=1.0) for value in values))[:, :width]


def power(base: float | Tensor, exponent: Tensor) -> Tensor:
    """base ** exponent: base a number, [R, 1] or [R, n]; exponent [R, 1]."""
    if isinstance(base, Tensor):
        return evenly(torch.pow, base.expand(len(exponent), -1), exponent)
    return evenly(lambda e: base**e, exponent)


def where_given(value: float | Tensor, otherwise: float | Tensor) -> float | Tensor:
    """``value`` where it is not 0, which stands for ``otherwise``; each a number, [R, 1] or [R, n]."""
    return torch.where(value == 0, otherwise, value) if isinstance(value, Tensor) else value or otherwise
