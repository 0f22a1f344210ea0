"""Lookahead-minmax (Chavdarova, Pagliardini, Stich, Fleuret and Jaggi 2021, arXiv:2006.14567)."""

import torch
from torch import Tensor

from bench.contracts import Count, Fraction, Oracle, State, UpdateRule
from bench.registry import preset, rule
from optimizers.sgd import Simultaneous


@rule("lookahead")
class Lookahead(UpdateRule):
    """every k steps of the inner rule:   slow+ = slow + alpha (w - slow);   w+ = slow+

    Both players go back together. The slow copy starts at w_0, as in the paper; ``lazy=true`` creates it at the first
    of these moments, which then changes nothing, as the published code does. The inner rule's memory (Adam's moments)
    goes on, but for the slow copy of a lookahead inside, which goes back too. The slow copy is judged. It nests:
    ``lookahead[inner=lookahead[inner=adam,k=5],k=50]``.

    Source: Chavdarova et al. 2021, arXiv:2006.14567, algorithm 1.
    """

    inner: UpdateRule = Simultaneous()
    k: Count = 5
    alpha: Fraction = 0.5
    lazy: bool = False

    @property
    def cost(self) -> float:
        return self.inner.cost

    def init(self, w: Tensor) -> State:
        return {"slow": w.clone(), "t": torch.zeros_like(w[:, :1]), "inner": self.inner.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        w, inner = self.inner.step(F, w, s["inner"])
        w = F.project(w)
        t, slow = s["t"] + 1, s["slow"]
        if int(t[0]) % max(1, self.k) == 0:  # all replicas at once
            if self.lazy and int(t[0]) == self.k:
                slow = w
            w = slow = slow + self.alpha * (w - slow)
            inner = self.inner.on_external_update(w, inner)
        return w, {"slow": slow, "t": t, "inner": inner}

    def on_external_update(self, w: Tensor, s: State) -> State:
        return s | {"slow": w.clone(), "inner": self.inner.on_external_update(w, s["inner"])}

    def answer(self, w: Tensor, s: State) -> Tensor:
        judged: Tensor = s["slow"]
        return judged


preset(
    "la-gan",
    "lookahead[inner=alternating[direction=adam]]",
    """every k steps of alternating Adam:   slow+ = slow + alpha (w - slow);   w+ = slow+

    Source: Chavdarova et al. 2021, arXiv:2006.14567, algorithm 1 with Adam.""",
)
