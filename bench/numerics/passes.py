"""Passes over the parameters [R, n] that compiled kernels make at once; None where they do not fit.

A direction's equation takes a pass over memory for every operation. A kernel takes one for the whole of it, with the
descent: so a direction asks here first, and computes by its equation where it gets None. With ``block`` it goes over
these columns alone, and what lies beside them in the parameters and the memory stays as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.numerics.kernels.core import fits
from bench.numerics.randomness import GRAIN

LEAST = 1024
"""Parameters of a replica; a call costs more than a pass over fewer."""
Value = float | Tensor
"""A number, or one a replica, [R, 1]; a step size also [R, n]."""


def descent(g: Tensor, w: Tensor, lr: Value, block: slice | None = None) -> Tensor | None:
    """w - lr g, [R, n]."""
    if not _fit(g, w, *_tensors(lr), block=block):
        return None
    from bench.numerics.kernels import directions

    out = torch.empty_like(w)
    gradient, at, rates, to = _arrays(g, w, _rates(lr, w), out)
    _ready(directions.descend, w)(gradient, at, rates, *_columns(block, w), to)
    return out


def momentum_descent(
    g: Tensor, v: Tensor, beta: Value, w: Tensor, lr: Value, block: slice | None = None
) -> tuple[Tensor, Tensor] | None:
    """(w - lr v+, v+) of heavy-ball momentum, each [R, n]."""
    if _wide(beta, w) or not _fit(g, v, w, *_tensors(lr), block=block):
        return None
    from bench.numerics.kernels import directions

    new_v, out = torch.empty_like(v), torch.empty_like(w)
    gradient, before, at, rates, after, to = _arrays(g, v, w, _rates(lr, w), new_v, out)
    _ready(directions.momentum, w)(gradient, before, _each(beta, w), at, rates, *_columns(block, w), after, to)
    return out, new_v


def adam_step(
    g: Tensor, m: Tensor, v: Tensor, t: Tensor, beta1: Value, beta2: Value, eps: Value, *, scaled: bool = False,
    nesterov: bool = False, w: Tensor | None = None, lr: Value | None = None, block: slice | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:  # fmt: skip
    """(d, m+, v+, t + 1) of Adam after t steps [R, 1], [R, n] else; with w and lr, w - lr d is in the place of d."""
    at = g if w is None else w
    if any(_wide(value, g) for value in (beta1, beta2, eps)) or not _fit(g, m, v, t, at, *_tensors(lr), block=block):
        return None
    from bench.numerics.kernels import directions

    new_m, new_v, out, step = torch.empty_like(g), torch.empty_like(g), torch.empty_like(g), t + 1
    *given, point, rates, first, second, to = _arrays(g, m, v, step, at, _rates(lr, g), new_m, new_v, out)
    values = (_each(value, g) for value in (beta1, beta2, eps))
    _ready(directions.adam, g)(*given, *values, scaled, nesterov, point, rates, *_columns(block, g), first, second, to)
    return out, new_m, new_v, step


def rmsprop_step(
    g: Tensor, v: Tensor, alpha: Value, eps: Value, *, inside: bool = False, w: Tensor | None = None,
    lr: Value | None = None, block: slice | None = None,
) -> tuple[Tensor, Tensor] | None:  # fmt: skip
    """(d, v+) of RMSprop, each [R, n]; with w and lr, w - lr d is in the place of d."""
    at = g if w is None else w
    if any(_wide(value, g) for value in (alpha, eps)) or not _fit(g, v, at, *_tensors(lr), block=block):
        return None
    from bench.numerics.kernels import directions

    new_v, out = torch.empty_like(g), torch.empty_like(g)
    gradient, before, point, rates, after, to = _arrays(g, v, at, _rates(lr, g), new_v, out)
    values = (_each(alpha, g), _each(eps, g), inside)
    _ready(directions.rmsprop, g)(gradient, before, *values, point, rates, *_columns(block, g), after, to)
    return out, new_v


def bounded(w: Tensor, limit: float) -> Tensor:
    """[R]: whether all numbers of a replica are within [-limit, limit]; false for NaN."""
    if not _fit(w):
        return w.abs().amax(dim=1) <= limit
    from bench.numerics.kernels import directions

    out = torch.empty(len(w), dtype=torch.bool)
    _ready(directions.bounded, w)(w.numpy(), limit, out.numpy())
    return out


def prepare(dtype: str) -> None:
    """Compile the passes that most rules take, unless they are kept from before."""
    from bench.numerics.kernels import directions
    from bench.numerics.kernels.compilation import ready

    for kernel in (directions.descend, directions.adam, directions.bounded):
        ready(kernel, dtype)


def _fit(w: Tensor, *others: Tensor, block: slice | None = None) -> bool:
    """Whether kernels take these, in rows of whole vectors that are worth a call."""
    whole = all(end % GRAIN == 0 for end in (w.shape[1], *_columns(block, w)))
    return whole and w.shape[1] >= LEAST and fits(w, *others)


def _columns(block: slice | None, w: Tensor) -> tuple[int, int]:
    """Where a pass begins and ends."""
    return (0, w.shape[1]) if block is None else (block.start, block.stop)


def _ready(kernel: Any, like: Tensor) -> Any:
    from bench.numerics.kernels.compilation import ready

    return ready(kernel, str(like.dtype).removeprefix("torch."))


def _tensors(value: Value | None) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else []


def _arrays(*tensors: Tensor) -> list[npt.NDArray[np.floating]]:
    return [tensor.numpy() for tensor in tensors]


def _wide(value: Value, w: Tensor) -> bool:
    """Whether a hyperparameter differs within a replica."""
    return isinstance(value, Tensor) and value.numel() > len(w)


def _each(value: Value, w: Tensor) -> npt.NDArray[np.float64]:
    """A hyperparameter, one a replica."""
    if isinstance(value, Tensor):
        return value.expand(len(w), 1).flatten().double().numpy()
    return np.full(len(w), value)


def _rates(lr: Value | None, w: Tensor) -> Tensor:
    """The step size as [R, 1] or [R, n]; [R, 0] where the step itself is wanted."""
    if lr is None:
        return w.new_empty(len(w), 0)
    return lr.expand(len(w), -1).contiguous() if isinstance(lr, Tensor) else w.new_full((len(w), 1), lr)
