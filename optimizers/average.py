"""The average of all iterates, around any rule (Polyak and Juditsky 1992; for GANs, Yazici et al. 2019)."""

import torch
from torch import Tensor

from bench.contracts import Oracle, State, UpdateRule
from bench.registry import rule
from optimizers.alternating import Alternating


@rule("average")
class Average(UpdateRule):
    """a_t = (w_0 + ... + w_t) / (t + 1) is judged; w moves by the inner rule

    Source: Polyak and Juditsky 1992; Yazici et al. 2019, arXiv:1806.04498.
    """

    inner: UpdateRule = Alternating()

    @property
    def cost(self) -> float:
        return self.inner.cost

    def init(self, w: Tensor) -> State:
        return {"average": w.clone(), "t": torch.zeros_like(w[:, :1]), "inner": self.inner.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        w, inner = self.inner.step(F, w, s["inner"])
        w = F.project(w)
        t = s["t"] + 1
        average = s["average"] + (self.inner.answer(w, inner) - s["average"]) / (t + 1)
        return w, {"average": average, "t": t, "inner": inner}

    def on_external_update(self, w: Tensor, s: State) -> State:
        return s | {"inner": self.inner.on_external_update(w, s["inner"])}

    def answer(self, w: Tensor, s: State) -> Tensor:
        judged: Tensor = s["average"]
        return judged
