"""Extragradient (Korpelevich 1976; for GANs, Gidel et al. 2019, arXiv:1802.10551)."""

from torch import Tensor

from bench.contracts import Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import preset, rule
from optimizers.plain import Plain


@rule("extragrad")
class Extragradient(UpdateRule):
    """w' = w - lr d(F(w));   w+ = w - lr d(F(w'))

    Both half-steps advance the same memory of the direction, as in Gidel's algorithm 4; ``own_memory=true`` gives the
    half-step ahead a memory of its own, as Chavdarova et al. 2021 do on MNIST. ``fresh=true`` draws another minibatch
    for the second half-step, as Gidel's published loop does.

    Source: Korpelevich 1976; Gidel et al. 2019, arXiv:1802.10551, eq. 14-15 and algorithm 4.
    """

    lr: StepSize = 0.1
    fresh: bool = False
    own_memory: bool = False
    direction: Direction = Plain()

    cost = 2.0

    def init(self, w: Tensor) -> State:
        return {name: self.direction.init(w) for name in ("direction", "ahead")[: 1 + self.own_memory]}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        first = "ahead" if self.own_memory else "direction"
        ahead, memory = self.direction.descend(F(w), s[first], w, self.lr)
        s = s | {first: memory}
        if self.fresh:
            F.new_batch()
        w, memory = self.direction.descend(F(ahead), s["direction"], w, self.lr)
        return w, s | {"direction": memory}


preset(
    "extraadam",
    "extragrad[direction=adam[beta1=0.5,beta2=0.9]]",
    """w' = w - lr adam(F(w));   w+ = w - lr adam(F(w'))

    Source: Gidel et al. 2019, arXiv:1802.10551, algorithm 4.""",
)
