"""Optimistic gradient descent (Rakhlin and Sridharan 2013; for GANs, Daskalakis et al. 2018, arXiv:1711.00141)."""

import torch
from torch import Tensor

from bench.contracts import Coefficient, Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import direction, preset, rule
from optimizers.plain import Plain


@direction("optimistic")
class OptimisticDirection(Direction):
    """d+ = r_t + optimism (r_t - r_{t-1}),   r_t = direction(g_t)

    Optimism as a direction, so that it goes under any scheme: ``alternating[direction=optimistic]`` is Alt-OGDA.
    The keys are those of the rule ``optimistic``.

    Source: Daskalakis et al. 2018, arXiv:1711.00141.
    """

    optimism: Coefficient = 1.0
    zero_past: bool = False
    direction: Direction = Plain()

    @property
    def scale(self) -> float:  # type: ignore[override]
        return self.direction.scale

    def init(self, w: Tensor) -> State:
        past = {"past": torch.zeros_like(w), "begun": torch.full_like(w[:, :1], float(self.zero_past))}
        return past | {"direction": self.direction.init(w)}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        r, memory = self.direction(g, s["direction"], w)
        past = s["past"] if bool(s["begun"][0] > 0) else r  # all replicas have a past, or none
        return r + self.optimism * (r - past), {"past": r, "begun": torch.ones_like(s["begun"]), "direction": memory}


@rule("optimistic")
class Optimistic(UpdateRule):
    """w+ = w - lr (d_t + optimism (d_t - d_{t-1})),   d_t = d(F(w_t))

    The first step has no past: it takes d_0 for it, so its length is lr. ``zero_past=true`` takes 0 instead (a first
    step of twice the length), as several published implementations do. With two coefficients,
    w+ = w - (alpha + beta) d_t + beta d_{t-1} has alpha = lr, beta = lr optimism.

    Source: Daskalakis et al. 2018, arXiv:1711.00141; generalised, Mokhtari et al. 2020, arXiv:1901.08511.
    """

    lr: StepSize = 0.1
    optimism: Coefficient = 1.0
    zero_past: bool = False
    direction: Direction = Plain()

    @property
    def _ahead(self) -> OptimisticDirection:
        return OptimisticDirection(self.optimism, self.zero_past, self.direction)

    def init(self, w: Tensor) -> State:
        return self._ahead.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        return self._ahead.descend(F(w), s, w, self.lr)


preset(
    "optimistic-adam",
    "optimistic[direction=adam[beta1=0.5,beta2=0.9]]",
    """w+ = w - lr (2 r_t - r_{t-1}),   r_t = adam(F(w_t))

    Each r keeps the bias correction of its own step. ``zero_past=true`` starts from r_0 = 0, and
    ``scaled_eps=true`` with it gives the published code of Gidel et al. 2019.

    Source: Daskalakis et al. 2018, arXiv:1711.00141.""",
)
