"""Regularisers of the discriminator, by name: penalties on the slope of its logits by its input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Critic = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Regulariser:
    """A mean over points x of a penalty on grad D(x).

    Args:
        points: where, of (real, fake, mix): samples [R, ..., batch], ``mix`` [R, batch] uniform in [0, 1).
        penalty: of each slope, [R, features, batch] -> [R, batch].
        by_slope: its derivative, [R, features, batch].
        mixes: whether ``points`` asks for ``mix``.
        source: authors, year, arXiv id.
        equation: what gamma times is added to the discriminator's loss.
    """

    points: Callable[[Tensor, Tensor, Tensor], Tensor]
    penalty: Callable[[Tensor], Tensor]
    by_slope: Callable[[Tensor], Tensor]
    source: str
    mixes: bool = False
    equation: str = ""

    def __call__(self, critic: Critic, at: Tensor) -> Tensor:
        """The mean over points [R, ..., batch], differentiable by what the critic is made of: [R]."""
        with torch.enable_grad():
            at = at.detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(critic(at).sum(), at, create_graph=True)
        return self.penalty(slope.flatten(1, -2)).mean(1)


def _between(real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    share = mix.view(len(mix), *[1] * (real.ndim - 2), -1)
    return share * real + (1 - share) * fake


def _half_square(slope: Tensor) -> Tensor:
    return slope.square().sum(1) / 2


def _length(slope: Tensor) -> Tensor:
    return (slope.square().sum(1, keepdim=True) + 1e-12).sqrt()


R_SOURCE = "Mescheder, Geiger and Nowozin 2018, arXiv:1801.04406"
REGULARISERS: dict[str, Regulariser | None] = {
    "none": None,
    "r1": Regulariser(
        lambda real, fake, mix: real, _half_square, lambda slope: slope, R_SOURCE,
        equation="||grad D(x)||^2 / 2, real x",
    ),
    "r2": Regulariser(
        lambda real, fake, mix: fake, _half_square, lambda slope: slope, R_SOURCE,
        equation="||grad D(x)||^2 / 2, generated x",
    ),
    "gradient-penalty": Regulariser(
        _between,
        lambda slope: (_length(slope) - 1).square().squeeze(1),
        lambda slope: 2 * (1 - 1 / _length(slope)) * slope,
        "Gulrajani et al. 2017, arXiv:1704.00028",
        mixes=True,
        equation="(||grad D(x)|| - 1)^2, x between a real and a generated sample",
    ),
}  # fmt: skip
"""mean ||grad D||^2 / 2 over real or generated samples; mean (||grad D|| - 1)^2 over points between the two."""
