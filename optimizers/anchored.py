"""Anchored extragradient: EAG-C and EAG-V (Yoon and Ryu 2021, arXiv:2102.07922), FEG (Lee and Kim 2021)."""

import torch
from torch import Tensor

from bench.contracts import Direction, Fraction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain


class Anchored(UpdateRule):
    """w' = w + b (w_0 - w) - a d(F(w));   w+ = w + b (w_0 - w) - c d(F(w')), both half-steps on one memory."""

    lr: StepSize
    direction: Direction

    cost = 2.0

    def init(self, w: Tensor) -> State:
        return {"anchor": w.clone(), "k": torch.zeros_like(w[:, :1]), "direction": self.direction.init(w)}

    def anchored(
        self, F: Oracle, w: Tensor, s: State, b: Tensor, a: Tensor | float, c: Tensor | float
    ) -> tuple[Tensor, State]:
        """The step above; w+ and the memory after it."""
        drawn = w + b * (s["anchor"] - w)
        d, memory = self.direction(F(w), s["direction"], w)
        d, memory = self.direction(F(drawn - a * d), memory, w)
        return drawn - c * d, s | {"k": s["k"] + 1, "direction": memory}


@rule("eag-c")
class EAGConstant(Anchored):
    """w' = w + b (w_0 - w) - lr d(F(w));   w+ = w + b (w_0 - w) - lr d(F(w')),   b = 1/(k+2)

    Extra anchored gradient with a constant step; the theorem's is lr = 1/(8 L). ||F||^2 falls as 1/k^2.

    Source: Yoon and Ryu 2021, arXiv:2102.07922.
    """

    lr: StepSize = 0.1
    direction: Direction = Plain()

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        return self.anchored(F, w, s, 1 / (s["k"] + 2), self.lr, self.lr)


@rule("eag-v")
class EAGVarying(Anchored):
    """w' = w + b (w_0 - w) - h d(F(w));   w+ = w + b (w_0 - w) - h d(F(w')),   b = 1/(k+2)

    h_0 = lr, h_{k+1} = h_k (1 - q^2 / ((k+1)(k+3)(1 - q^2))) with q = h_k L.

    Extra anchored gradient with a varying step. L is not asked for: it is ``fraction`` / lr, so that h_0 is that
    fraction of 1/L; below 3/4 in the theorem.

    Source: Yoon and Ryu 2021, arXiv:2102.07922.
    """

    lr: StepSize = 0.1
    fraction: Fraction = 0.5
    direction: Direction = Plain()

    def init(self, w: Tensor) -> State:
        return super().init(w) | {"q": torch.zeros_like(w) + self.fraction}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        k, q = s["k"], s["q"]
        h = self.lr * q / self.fraction
        w, s = self.anchored(F, w, s, 1 / (k + 2), h, h)
        return w, s | {"q": q * (1 - q**2 / ((k + 1) * (k + 3) * (1 - q**2)))}


@rule("feg")
class FEG(Anchored):
    """w' = w + b (w_0 - w) - (1-b) lr d(F(w));   w+ = w + b (w_0 - w) - lr d(F(w')),   b = 1/(k+1)

    Fast extragradient, for Lipschitz monotone fields; the theorem's step is lr = 1/L.

    Source: Lee and Kim 2021, arXiv:2106.02326, with rho = 0.
    """

    lr: StepSize = 0.1
    direction: Direction = Plain()

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        b = 1 / (s["k"] + 1)
        return self.anchored(F, w, s, b, (1 - b) * self.lr, self.lr)
