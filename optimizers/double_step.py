"""Extragradient with two step sizes (Hsieh, Iutzeler, Malick and Mertikopoulos 2020, arXiv:2003.10162)."""

from torch import Tensor

from bench.contracts import Direction, Oracle, State, StepSize, UpdateRule
from bench.registry import rule
from optimizers.plain import Plain


@rule("double-step-extragrad")
class DoubleStepExtragradient(UpdateRule):
    """w' = w - gamma d(F(w));   w+ = w - lr d(F(w')),   gamma >= lr

    Explore aggressively, update conservatively; also EG+ (Diakonikolas et al. 2021, arXiv:2011.00364). Both steps
    advance the same memory of the direction. ``alternating=true`` is the authors' Gauss-Seidel form: phi moves on
    (theta', phi), then theta on (theta, phi+').

    Source: Hsieh et al. 2020, arXiv:2003.10162.
    """

    lr: StepSize = 0.1
    gamma: StepSize = 0.5
    alternating: bool = False
    direction: Direction = Plain()

    cost = 2.0

    @property
    def players(self) -> int:
        return 1 + self.alternating

    def init(self, w: Tensor) -> State:
        return {player: self.direction.init(w) for player in ("theta", "phi")[: 1 + self.alternating]}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        if self.alternating:
            return self._in_turn(F, w, s)
        ahead, memory = self.direction.descend(F(w), s["theta"], w, self.gamma)
        w, memory = self.direction.descend(F(ahead), memory, w, self.lr)
        return w, {"theta": memory}

    def _in_turn(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        memories = [s["theta"], s["phi"]]  # each player's own
        for mover, other in ((1, 0), (0, 1)):
            descend, own, others = self.direction.descend_block, F.blocks[mover], F.blocks[other]
            ahead, memories[other] = descend(F(w, other), memories[other], w, self.gamma, others)
            w, memories[mover] = descend(F(ahead, mover), memories[mover], w, self.lr, own)
            w = F.project(w)
        return w, {"theta": memories[0], "phi": memories[1]}
