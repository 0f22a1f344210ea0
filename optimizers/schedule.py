"""Step sizes that change while the budget is spent, around any rule (for GANs, Zhu et al. 2017, arXiv:1703.10593)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from math import isinf, pi
from operator import attrgetter

import torch
from torch import Tensor

from bench.contracts import Fraction, Oracle, State, UpdateRule, hyperparameters
from bench.contracts.introspection import with_values
from bench.errors import UserError, nearest
from bench.numerics.elementwise import evenly
from bench.registry import preset, rule
from optimizers.alternating import Alternating


def linear(u: Tensor, end: Tensor) -> Tensor:
    """1 - (1 - end) u."""
    return 1 - (1 - end) * u


def cosine(u: Tensor, end: Tensor) -> Tensor:
    """end + (1 - end) (1 + cos(pi u)) / 2."""
    return end + (1 - end) * (1 + evenly(torch.cos, pi * u)) / 2


def exponential(u: Tensor, end: Tensor) -> Tensor:
    """end^u."""
    return evenly(torch.pow, end, u)


def constant(u: Tensor, end: Tensor) -> Tensor:
    """1."""
    return torch.ones_like(u)


SHAPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    shape.__name__: shape for shape in (linear, cosine, exponential, constant)
}
"""The factor on the way u from 0 to 1, at which it is ``end``."""


@rule("schedule")
class Schedule(UpdateRule):
    """every step size of the inner rule times shape(u),   u = (t - begin) / (1 - begin), t the share of the budget

    t is what the step starts from. Before ``begin`` the step sizes are the inner rule's own, and from there they go to
    ``end`` times that: ``linear`` (1 - (1-end) u; by default to 0 over the second half, as CycleGAN is trained),
    ``cosine`` (end + (1-end) (1 + cos(pi u))/2; Loshchilov and Hutter 2017, without restarts), ``exponential`` (end^u,
    the same factor a step), or ``constant``. ``warm_up`` is the share over whose steps they first rise from 0, the
    k-th of K by k/K (Goyal et al. 2017, arXiv:1706.02677); the shape begins after it. Where no budget is known, they
    stay. All numbers of the kind "step size" change, nested ones too: ``schedule[inner=ema[inner=ttur]]``.

    Source: Zhu et al. 2017, arXiv:1703.10593, section 4; Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5.
    """

    inner: UpdateRule = Alternating()
    shape: str = "linear"
    begin: Fraction = 0.5
    end: Fraction = 0.0
    warm_up: Fraction = 0.0

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise UserError(f"schedule: shape is {self.shape!r}; {nearest(self.shape, SHAPES)}")
        if SHAPES[self.shape] is exponential and isinstance(self.end, float) and not self.end:
            raise UserError("schedule: end is 0; an exponential does not reach it, a number above 0 is allowed")

    @property
    def cost(self) -> float:
        return self.inner.cost

    @cached_property
    def _step_sizes(self) -> list[str]:
        """The dotted paths of the inner rule's step sizes."""
        return [path for path, (kind, _) in hyperparameters(self.inner).items() if kind.step_size]

    def init(self, w: Tensor) -> State:
        return self.inner.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        return self._scheduled(F, w).step(F, w, s)

    def _scheduled(self, F: Oracle, w: Tensor) -> UpdateRule:
        """The inner rule with the step sizes of now."""
        if isinf(F.budget):
            return self.inner
        factor = self._factor(torch.zeros_like(w[:, :1]), F.share, self.cost / F.budget)
        now: UpdateRule = with_values(
            self.inner, {path: attrgetter(path)(self.inner) * factor for path in self._step_sizes}
        )
        return now

    def _factor(self, zeros: Tensor, share: float, each: float) -> Tensor:
        """What step sizes are multiplied by at a share of the budget, of which a step takes ``each``; zeros [R, 1]."""
        t, begin, warm_up, end = (zeros + value for value in (share, self.begin, self.warm_up, self.end))
        begin = torch.maximum(begin, warm_up)
        u = ((t - begin) / (1 - begin).clamp(min=each)).clamp(0, 1)  # begin = 1 never comes
        return ((t + each) / warm_up).clamp(max=1) * SHAPES[self.shape](u, end)

    def on_external_update(self, w: Tensor, s: State) -> State:
        return self.inner.on_external_update(w, s)

    def answer(self, w: Tensor, s: State) -> Tensor:
        return self.inner.answer(w, s)


preset(
    "cosine-schedule",
    "schedule[shape=cosine,begin=0]",
    """every step size of the inner rule times end + (1 - end) (1 + cos(pi t))/2, t the share of the budget

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5, without restarts.""",
)
preset(
    "exponential-schedule",
    "schedule[shape=exponential,begin=0,end=0.01]",
    """every step size of the inner rule times end^t, t the share of the budget: the same factor at every step

    Source: Paszke et al. 2019, arXiv:1912.01703, torch.optim's ExponentialLR.""",
)
