"""How steadily a training goes: functions of stacked vectors [R, n], all replicas at once.

A value that cannot be measured, for a replica failed or an iterate is not finite, is the worst that there is; nothing
here raises on what a training gives, and a row's answer depends on that row alone. (Divergence itself is an outcome of
the training, with the cost at which it came.)

Sources: Berard et al. 2020, arXiv:1906.04848 (path-angle); Yazici et al. 2019, arXiv:1806.04498 (averaged beside raw
iterates); Arjovsky and Bottou 2017, arXiv:1701.04862 (the generator's gradient vanishes).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

PATH = tuple(k / 10 for k in range(14))
"""Where the path-angle is taken, from the start (0) over the end (1) to 0.3 beyond: past it the sign must turn."""
MOST = 1e6
"""A ratio of gradients beyond it is as good as infinite, and is drawn as this."""


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Between the rows of a, b [R, n]: float64[R]; 0 where one has no length or is not finite."""
    sound = (a.isfinite() & b.isfinite()).all(dim=1, keepdim=True)
    first, second = (_unit(torch.where(sound, x.to(torch.float64), 0)) for x in (a, b))
    return (first * second).sum(dim=1).clamp(-1, 1)


def field_cosine(before: Tensor, after: Tensor) -> Tensor:
    """Between the fields F [R, n] at two successive iterates, on the same minibatch: float64[R].

    1: straight on; 0: a quarter turn (or at rest); -1: back and forth, or not finite. On a bilinear game a step eta of
    plain descent with one singular value sigma turns the field by atan(eta sigma).
    """
    sound = (before.isfinite() & after.isfinite()).all(dim=1)
    return torch.where(sound, cosine(before, after), -1.0)


def path_angle(F: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, points: Sequence[float] = PATH) -> Tensor:
    """cos(F(w_a), end - start) at w_a = start + a (end - start), a in `points`: [R, n], [R, n] -> float64[points, R].

    The path-angle of Berard et al. 2020: towards a stable point that attracts straight it goes from -1
    to +1, with the change of sign at a = 1; a bump around a = 1 is rotation; no change of sign means that the end is no
    stationary point. 0 where path or field has no length or is not finite. One evaluation of F a point.
    """
    along = end - start
    return torch.stack([cosine(F(start + a * along), along) for a in points])


def relative_generator_gradient(field: Tensor, blocks: Sequence[slice]) -> Tensor:
    """||grad_theta L_G|| / ||grad_phi L_D|| of the field F(w) [R, n]: float64[R] in [0, MOST].

    Towards 0 the generator no longer learns while the discriminator does (Arjovsky and Bottou 2017). 1 where both
    vanish; 0 where the field is not finite.
    """
    generator, discriminator = (_length(field[:, block]) for block in blocks[:2])
    ratio = torch.where(generator == discriminator, 1.0, generator / discriminator).clamp(max=MOST)
    return torch.where(field.isfinite().all(dim=1), ratio, 0.0)


def running_average(average: Tensor, w: Tensor, count: int) -> Tensor:
    """The mean of count + 1 iterates [R, n], of which `average` is the first count's.

    Uniform over the evaluated iterates, as in Yazici et al. 2019: they are as good as all of them where
    the orbit is slow beside the marks, and cost nothing in training. Start with count = 0.
    """
    return w if count == 0 else average + (w - average) / (count + 1)


def averaging_gain(raw: Tensor, averaged: Tensor, better: str) -> Tensor:
    """How much better a metric [R] is at the averaged iterate than at the raw one: float64[R], above 0 for a gain.

    On a game that turns about its solution the average arrives where the iterate does not. -inf where the averaged
    iterate has no finite value, inf where only the raw one has none.
    """
    gain = (raw.to(torch.float64) - averaged.to(torch.float64)) * _sign(better)
    gain = torch.where(raw.isfinite(), gain, math.inf)
    return torch.where(averaged.isfinite(), gain, -math.inf)


def _sign(better: str) -> int:
    if better not in ("lower", "higher"):
        raise ValueError(f"better: found {better!r}, allowed 'lower' or 'higher'")
    return 1 if better == "lower" else -1


def _length(vectors: Tensor) -> Tensor:
    """float64[R] of [R, n]; neither overflows nor vanishes."""
    x = vectors.to(torch.float64)
    peak = x.abs().amax(dim=1, keepdim=True)
    peak = torch.where(peak > 0, peak, 1)
    lengths: Tensor = torch.linalg.vector_norm(x / peak, dim=1) * peak[:, 0]
    return lengths


def _unit(vectors: Tensor) -> Tensor:
    """float64[R, n] of length 1, or of 0 where there is nothing to scale."""
    peak = vectors.abs().amax(dim=1, keepdim=True)
    scaled = vectors / torch.where(peak > 0, peak, 1)
    return torch.nn.functional.normalize(scaled, dim=1)
