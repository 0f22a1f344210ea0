"""Directions in one pass over the parameters, with the descent: memory, step and new parameters of a replica in turn.

``lr`` is [R, 1] or [R, n], or [R, 0] where the step itself is wanted. Results are arrays of their own: a pass in place
would not become vectors. Other hyperparameters are float64, one a replica, as torch's own fused kernels take them.

A pass goes over the columns from ``start`` to ``stop``, one player's or all; what lies beside them is copied.
"""

from __future__ import annotations

import math

from bench.numerics.kernels.compilation import Double, Flags, Numbers, Stack, kernel, piece
from bench.numerics.kernels.intrinsics import part, root


@piece
def keep(before: Numbers, start: int, stop: int, after: Numbers) -> None:
    """after = before outside of the columns from ``start`` to ``stop``."""
    for j in range(start):
        after[j] = before[j]
    rest, to = part(before, stop, len(before) - stop), part(after, stop, len(before) - stop)
    for j in range(len(rest)):
        to[j] = rest[j]


@piece
def moved(w: Numbers, lr: Numbers, d: Numbers) -> None:
    """d <- w - lr d; d stays where there is no lr."""
    if len(lr) == 1:
        rate = lr[0]
        for j in range(len(d)):
            d[j] = w[j] - rate * d[j]
    elif len(lr) > 1:
        for j in range(len(d)):
            d[j] = w[j] - lr[j] * d[j]


@piece
def rates_of(lr: Numbers, start: int, count: int) -> Numbers:
    """The step size of some columns: one for all, one each, or none."""
    return part(lr, start, count) if len(lr) > 1 else lr


@kernel
def descend(g: Stack, w: Stack, lr: Stack, start: int, stop: int, out: Stack) -> None:
    """out = w - lr g."""
    count = stop - start
    for r in range(len(g)):
        keep(w[r], start, stop, out[r])
        row, at, to = part(g[r], start, count), part(w[r], start, count), part(out[r], start, count)
        rates = rates_of(lr[r], start, count)
        if len(rates) == 1:
            rate = rates[0]
            for j in range(len(to)):
                to[j] = at[j] - rate * row[j]
        else:
            for j in range(len(to)):
                to[j] = at[j] - rates[j] * row[j]


@kernel
def momentum(
    g: Stack, v: Stack, beta: Double, w: Stack, lr: Stack, start: int, stop: int, new_v: Stack, out: Stack
) -> None:
    """v+ = beta v + g;   d = v+"""
    count = stop - start
    for r in range(len(g)):
        keep(v[r], start, stop, new_v[r])
        keep(w[r], start, stop, out[r])
        row, before, after = part(g[r], start, count), part(v[r], start, count), part(new_v[r], start, count)
        at, to, rates = part(w[r], start, count), part(out[r], start, count), rates_of(lr[r], start, count)
        kept = row.dtype.type(beta[r])
        if len(rates) == 1:
            rate = rates[0]
            for j in range(len(to)):
                after[j] = kept * before[j] + row[j]
                to[j] = at[j] - rate * after[j]
        else:
            for j in range(len(to)):
                after[j] = kept * before[j] + row[j]
                to[j] = at[j] - rates[j] * after[j]


@kernel
def adam(
    g: Stack, m: Stack, v: Stack, t: Stack, beta1: Double, beta2: Double, eps: Double, scaled: bool, nesterov: bool,
    w: Stack, lr: Stack, start: int, stop: int, new_m: Stack, new_v: Stack, out: Stack,
) -> None:  # fmt: skip
    """m+ = b1 m + (1-b1) g;   v+ = b2 v + (1-b2) g^2;   d = m+/(1-b1^t) / (sqrt(v+/(1-b2^t)) + eps)

    ``scaled``: eps is added before the correction. ``nesterov``: b1 m+/(1-b1^(t+1)) + (1-b1) g/(1-b1^t) on top.
    """
    count = stop - start
    for r in range(len(g)):
        keep(m[r], start, stop, new_m[r])
        keep(v[r], start, stop, new_v[r])
        keep(w[r], start, stop, out[r])
        row, first, second = part(g[r], start, count), part(m[r], start, count), part(v[r], start, count)
        new_first, new_second = part(new_m[r], start, count), part(new_v[r], start, count)
        at, to, rates = part(w[r], start, count), part(out[r], start, count), rates_of(lr[r], start, count)
        f, step = row.dtype.type, t[r, 0]
        b1, b2 = beta1[r], beta2[r]
        on_mean, on_gradient = 1 / (1 - b1**step), 0.0
        if nesterov:
            on_mean, on_gradient = b1 / (1 - b1 ** (step + 1)), (1 - b1) / (1 - b1**step)
        on_root = 1 / math.sqrt(1 - b2**step)
        p, q, k, tiny = f(on_mean), f(on_gradient), f(on_root), f(eps[r] * on_root if scaled else eps[r])
        old1, new1, old2, new2 = f(b1), f(1 - b1), f(b2), f(1 - b2)
        if len(rates) == 1:
            rate = rates[0]
            for j in range(len(to)):
                new_first[j] = old1 * first[j] + new1 * row[j]
                new_second[j] = old2 * second[j] + new2 * (row[j] * row[j])
                to[j] = at[j] - rate * ((p * new_first[j] + q * row[j]) / (root(new_second[j]) * k + tiny))
        else:
            for j in range(len(to)):
                new_first[j] = old1 * first[j] + new1 * row[j]
                new_second[j] = old2 * second[j] + new2 * (row[j] * row[j])
                to[j] = (p * new_first[j] + q * row[j]) / (root(new_second[j]) * k + tiny)
            moved(at, rates, to)


@kernel
def rmsprop(
    g: Stack, v: Stack, alpha: Double, eps: Double, inside: bool, w: Stack, lr: Stack, start: int, stop: int,
    new_v: Stack, out: Stack,
) -> None:  # fmt: skip
    """v+ = alpha v + (1 - alpha) g^2;   d = g / (sqrt(v+) + eps), or g / sqrt(v+ + eps) with eps ``inside``"""
    count = stop - start
    for r in range(len(g)):
        keep(v[r], start, stop, new_v[r])
        keep(w[r], start, stop, out[r])
        row, before, after = part(g[r], start, count), part(v[r], start, count), part(new_v[r], start, count)
        at, to, rates = part(w[r], start, count), part(out[r], start, count), rates_of(lr[r], start, count)
        f = row.dtype.type
        old, new = f(alpha[r]), f(1 - alpha[r])
        within, beside = f(eps[r] if inside else 0), f(0 if inside else eps[r])
        if len(rates) == 1:
            rate = rates[0]
            for j in range(len(to)):
                after[j] = old * before[j] + new * (row[j] * row[j])
                to[j] = at[j] - rate * (row[j] / (root(after[j] + within) + beside))
        else:
            for j in range(len(to)):
                after[j] = old * before[j] + new * (row[j] * row[j])
                to[j] = row[j] / (root(after[j] + within) + beside)
            moved(at, rates, to)


@kernel
def bounded(w: Stack, limit: float, out: Flags) -> None:
    """Whether all numbers of a row are within [-limit, limit]; false for NaN."""
    for r in range(len(w)):
        row, most, outside = w[r], w.dtype.type(limit), 0
        for j in range(len(row)):
            outside += 0 if abs(row[j]) <= most else 1
        out[r] = outside == 0
