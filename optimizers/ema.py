"""The exponential moving average of iterates, around any rule (for GANs, Yazici et al. 2019, arXiv:1806.04498)."""

from torch import Tensor

from bench.contracts import Decay, Oracle, State, UpdateRule
from bench.registry import rule
from optimizers.alternating import Alternating


@rule("ema")
class ExponentialAverage(UpdateRule):
    """a_0 = w_0;   a_t = decay a_{t-1} + (1 - decay) w_t is judged; w moves by the inner rule

    Source: Yazici et al. 2019, arXiv:1806.04498.
    """

    inner: UpdateRule = Alternating()
    decay: Decay = 0.99

    @property
    def cost(self) -> float:
        return self.inner.cost

    def init(self, w: Tensor) -> State:
        return {"average": w.clone(), "inner": self.inner.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        w, inner = self.inner.step(F, w, s["inner"])
        w = F.project(w)
        average = self.decay * s["average"] + (1 - self.decay) * self.inner.answer(w, inner)
        return w, {"average": average, "inner": inner}

    def on_external_update(self, w: Tensor, s: State) -> State:
        return s | {"inner": self.inner.on_external_update(w, s["inner"])}

    def answer(self, w: Tensor, s: State) -> Tensor:
        judged: Tensor = s["average"]
        return judged
