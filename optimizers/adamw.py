"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

from torch import Tensor

from bench.contracts import Coefficient, State
from bench.registry import direction, preset
from optimizers.adam import Adam


@direction("adamw")
class AdamW(Adam):
    """d = adam(g) + weight_decay w

    The decay is multiplied by the scheme's step size, as in torch.optim.AdamW. It draws towards 0, so an equilibrium
    elsewhere is not kept.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    weight_decay: Coefficient = 0.01

    rests = False

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        d, s = super().__call__(g, s, w)
        return d + self.weight_decay * w, s


preset(
    "adamw",
    "sgd[direction=adamw]",
    """w+ = w - lr (adam(F(w)) + weight_decay w)

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.""",
)
