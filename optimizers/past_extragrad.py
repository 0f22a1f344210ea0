"""Extrapolation from the past (Popov 1980; for GANs, Gidel et al. 2019, arXiv:1802.10551)."""

import torch
from torch import Tensor

from bench.contracts import Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import preset, rule
from optimizers.plain import Plain


@rule("past-extragrad")
class PastExtragradient(UpdateRule):
    """w'_t = w_t - lr d(F(w'_{t-1}));   w_{t+1} = w_t - lr d(F(w'_t)),   w'_0 = w_0

    Extragradient at half the cost: the half-step ahead takes the last gradient once more, and the direction's memory
    meets it twice, as in Gidel's published loop. The points w' are those of optimistic descent.

    Source: Popov 1980; Gidel et al. 2019, arXiv:1802.10551, eq. 20-21.
    """

    lr: StepSize = 0.1
    direction: Direction = Plain()

    def init(self, w: Tensor) -> State:
        return {"past": torch.zeros_like(w), "begun": torch.zeros_like(w[:, :1]), "direction": self.direction.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        ahead, memory = w, s["direction"]
        if bool(s["begun"][0] > 0):  # all replicas have a past, or none, and then there is no half-step
            ahead, memory = self.direction.descend(s["past"], memory, w, self.lr)
        g = F(ahead)
        w, memory = self.direction.descend(g, memory, w, self.lr)
        return w, {"past": g, "begun": torch.ones_like(s["begun"]), "direction": memory}


preset(
    "past-extraadam",
    "past-extragrad[direction=adam[beta1=0.5,beta2=0.9]]",
    """w'_t = w_t - lr adam(F(w'_{t-1}));   w_{t+1} = w_t - lr adam(F(w'_t))

    Source: Gidel et al. 2019, arXiv:1802.10551, algorithm 4, option 2.""",
)
