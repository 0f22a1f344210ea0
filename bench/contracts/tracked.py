"""A field as a function that autograd goes back through: its derivative is the product that its oracle counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Linearised = Callable[[Tensor], tuple[Tensor, Callable[[Tensor], Tensor]]]
"""w [R, n] -> F(w) [R, n] and pull, with pull(u) = J^T u."""


def tracked(w: Tensor, linear: Linearised) -> Tensor:
    """F(w) [R, n], through which autograd goes back to w by ``pull``."""
    field: Tensor = _Tracked.apply(w, linear)  # type: ignore[no-untyped-call]
    return field


class _Tracked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, w: Tensor, linear: Linearised) -> Tensor:
        field, ctx.pull = linear(w)
        return field.detach()  # a tensor of its own: pull may hold the field, whose graph would then hold pull for ever

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor, None]:
        # Where a gradient is 0, as a dead unit's, the derivative of a root of its square is 0/0; none is passed on.
        return ctx.pull(torch.nan_to_num(u, nan=0.0, posinf=0.0, neginf=0.0)), None
