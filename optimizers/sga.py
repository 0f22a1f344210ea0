"""Symplectic gradient adjustment (Balduzzi, Racaniere, Martens, Foerster, Tuyls and Graepel 2018, arXiv:1802.05642)."""

from torch import Tensor

from bench.contracts import Coefficient, Count, Direction, Oracle, State, StepSize, UpdateRule
from bench.numerics.krylov import dot
from bench.registry import preset, rule
from optimizers.plain import Plain


@rule("sga")
class SymplecticGradientAdjustment(UpdateRule):
    """w+ = w - lr d(F + lam A'F),   A = (J - J')/2

    ``align=true`` gives lam the sign of <F, J'F> <A'F, J'F> / m + 0.1, so that the adjustment points to stable fixed
    points and away from unstable ones. m is the number of parameters, as in the paper; ``tensors`` gives another, for
    the authors' code counts variable tensors.

    Source: Balduzzi et al. 2018, arXiv:1802.05642; Letcher et al. 2019, arXiv:1905.04926, algorithm 1.
    """

    lr: StepSize = 0.1
    lam: Coefficient = 1.0
    align: bool = False
    tensors: Count = 0
    direction: Direction = Plain()

    cost = 5.0

    def init(self, w: Tensor) -> State:
        return self.direction.init(w)

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        g, push, pull = F.linear(w)
        gradient = pull(g)  # of ||F||^2 / 2
        adjustment = (gradient - push(g)) / 2
        if self.align:
            size = self.tensors or w.shape[1]
            adjustment = adjustment * (dot(g, gradient) * dot(adjustment, gradient) / size + 0.1).sign()
        return self.direction.descend(g + self.lam * adjustment, s, w, self.lr)


preset(
    "sga-aligned",
    "sga[align=true]",
    """w+ = w - lr d(F + lam A'F),   lam with the sign that draws to stable fixed points

    Source: Balduzzi et al. 2018, arXiv:1802.05642; Letcher et al. 2019, arXiv:1905.04926, algorithm 1 with align.""",
)
