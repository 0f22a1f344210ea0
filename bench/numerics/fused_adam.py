"""Adam's memory and direction in one pass over memory, where torch has a kernel for it.

The kernel takes plain numbers, while replicas may each have their own: it is called for each run of rows that agree.
"""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor

from bench.numerics.randomness import GRAIN


def adam_pass(
    g: Tensor, m: Tensor, v: Tensor, t: Tensor, beta1: float | Tensor, beta2: float | Tensor, eps: float | Tensor
) -> tuple[Tensor, Tensor, Tensor] | None:
    """(d, m+, v+) of Adam at step t [R, 1] for g, m, v [R, n]; None where the kernel does not fit.

    It fits where no derivative is taken, on the CPU, for rows of whole vectors (a tail would take scalar code, whose
    last bit may differ with the packing), and where hyperparameters do not differ within a row.
    """
    given = (beta1, beta2, eps)
    wide = any(isinstance(value, Tensor) and value.numel() > len(g) for value in given)
    tracked = torch.is_grad_enabled() and any(value.requires_grad for value in (g, m, v))
    if tracked or g.is_cuda or g.shape[1] % GRAIN or wide or g.dtype not in (torch.float32, torch.float64):
        return None
    columns = [value.flatten().tolist() if isinstance(value, Tensor) else [value] * len(g) for value in given]
    d, g, m, v, start = torch.zeros_like(g), g.contiguous(), m.clone(), v.clone(), 0
    for (b1, b2, e), run in groupby(zip(*columns, strict=True)):
        rows = slice(start, start := start + len(list(run)))
        gradient, into, first, second = ([part if rows == slice(0, len(g)) else part[rows]] for part in (g, d, m, v))
        # lr = -1 on a parameter of 0 leaves d itself.
        torch._fused_adam_(
            into, gradient, first, second, [], [t[0, 0].float()],
            lr=-1.0, beta1=b1, beta2=b2, weight_decay=0.0, eps=e, amsgrad=False, maximize=False,
        )  # fmt: skip
    return d, m, v
