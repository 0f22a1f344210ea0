"""Regularisers of the discriminator, by name: penalties on the slope of its logits by its input."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Critic = Callable[[Tensor], Tensor]


def _slope(critic: Critic, points: Tensor) -> Tensor:
    """grad D at points [R, ..., batch], differentiable: [R, features, batch]."""
    with torch.enable_grad():
        at = points.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(critic(at).sum(), at, create_graph=True)
    return slope.flatten(1, -2)


def r1(critic: Critic, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """mean ||grad D(x)||^2 / 2 over real x (Mescheder et al. 2018, arXiv:1801.04406)."""
    return _slope(critic, real).square().sum(1).mean(1) / 2


def r2(critic: Critic, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """mean ||grad D(x)||^2 / 2 over generated x (Mescheder et al. 2018, arXiv:1801.04406)."""
    return _slope(critic, fake).square().sum(1).mean(1) / 2


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """mean (||grad D(x)|| - 1)^2 over x between real and generated (Gulrajani et al. 2017, arXiv:1704.00028)."""
    between = mix.view(len(mix), *[1] * (real.ndim - 2), -1)
    slope = _slope(critic, between * real + (1 - between) * fake)
    return ((slope.square().sum(1) + 1e-12).sqrt() - 1).square().mean(1)


Regulariser = Callable[[Critic, Tensor, Tensor, Tensor], Tensor]
REGULARISERS: dict[str, Regulariser | None] = {"none": None, "r1": r1, "r2": r2, "gradient-penalty": gradient_penalty}
