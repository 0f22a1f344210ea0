"""Adam (Kingma and Ba 2015, arXiv:1412.6980)."""

import torch
from torch import Tensor

from bench.contracts import Decay, Direction, Epsilon, State, Value
from bench.numerics.elementwise import power
from bench.numerics.fused_adam import adam_pass
from bench.numerics.passes import adam_step
from bench.registry import direction, preset


@direction("adam")
class Adam(Direction):
    """m+ = b1 m + (1-b1) g;   v+ = b2 v + (1-b2) g^2;   d = m+/(1-b1^t) / (sqrt(v+/(1-b2^t)) + eps)

    torch's and optax's convention: eps is added to the bias-corrected root. ``scaled_eps=true`` adds it to the root
    before the correction, as TensorFlow and the published code of ExtraAdam and Optimistic Adam do. ``nesterov=true``
    looks ahead in the numerator, b1 m+/(1-b1^(t+1)) + (1-b1) g/(1-b1^t), as optax's optimistic_adam does by default
    (Dozat 2016).

    Source: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.
    """

    beta1: Decay = 0.5
    beta2: Decay = 0.999
    eps: Epsilon = 1e-8
    scaled_eps: bool = False
    nesterov: bool = False

    scale = 0.01

    def init(self, w: Tensor) -> State:
        return {"m": torch.zeros_like(w), "v": torch.zeros_like(w), "t": torch.zeros_like(w[:, :1])}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        if (passed := self._pass(g, s)) is not None:
            return passed
        t = s["t"] + 1
        plain = not (self.scaled_eps or self.nesterov)
        fused = adam_pass(g, s["m"], s["v"], t, self.beta1, self.beta2, self.eps) if plain else None
        if fused is not None:  # the equation below, in one pass
            d, m, v = fused
            return d, {"m": m, "v": v, "t": t}
        m = self.beta1 * s["m"] + (1 - self.beta1) * g
        v = self.beta2 * s["v"] + (1 - self.beta2) * g * g
        first, second = 1 - power(self.beta1, t), (1 - power(self.beta2, t)).sqrt()
        mean = m / first
        if self.nesterov:
            mean = self.beta1 * m / (1 - power(self.beta1, t + 1)) + (1 - self.beta1) * g / first
        eps = self.eps / second if self.scaled_eps else self.eps
        return mean / (v.sqrt() / second + eps), {"m": m, "v": v, "t": t}

    def descend(self, g: Tensor, s: State, w: Tensor, lr: Value) -> tuple[Tensor, State]:
        return self._pass(g, s, w, lr) or super().descend(g, s, w, lr)

    def descend_block(self, g: Tensor, s: State, w: Tensor, lr: Value, block: slice) -> tuple[Tensor, State]:
        return self._pass(g, s, w, lr, block) or super().descend_block(g, s, w, lr, block)

    def _pass(
        self, g: Tensor, s: State, w: Tensor | None = None, lr: Value | None = None, block: slice | None = None
    ) -> tuple[Tensor, State] | None:
        """The equation by a kernel, with the descent from w if there is one; None where it does not fit."""
        given = (g, s["m"], s["v"], s["t"], self.beta1, self.beta2, self.eps)
        passed = adam_step(*given, scaled=self.scaled_eps, nesterov=self.nesterov, w=w, lr=lr, block=block)
        return None if passed is None else (passed[0], dict(zip(("m", "v", "t"), passed[1:], strict=True)))


preset(
    "adam",
    "sgd[direction=adam]",
    """m+ = b1 m + (1-b1) F;   v+ = b2 v + (1-b2) F^2;   w+ = w - lr m^ / (sqrt(v^) + eps)

    Simultaneous; beta1 = 0.5 as GANs use it (Radford et al. 2015, arXiv:1511.06434).

    Source: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.""",
)
