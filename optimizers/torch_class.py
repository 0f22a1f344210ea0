"""Any optimizer class of torch.optim, or of another package, as a direction."""

from torch import Tensor

from bench.contracts import Direction, Options, State
from bench.registry import direction, preset
from bench.registry.torch_optimizers import Foreign, foreign


@direction("torch")
class TorchClass(Direction):
    """d = w - step(w, g), the step that the class takes at lr = 1

    ``torch[Adam]``, ``torch[RMSprop,alpha=0.9]``, ``torch[Adam,betas=0.5:0.999]``; a class of another package by its
    dotted path, ``torch[pytorch_optimizer.AdaBelief]``. Options are the class's own keywords; the step size is the
    scheme's. A class that mixes entries runs one replica at a time; one that needs a closure is declined.

    Source: the class's own; Paszke et al. 2019, arXiv:1912.01703, for torch.optim.
    """

    optimizer: str = "Adam"
    options: Options = Options()

    def __post_init__(self) -> None:
        _ = self._class  # tried at once, so that a mistake is found before anything runs

    @property
    def _class(self) -> Foreign:
        return foreign(self.optimizer, self.options.items)

    @property
    def scale(self) -> float:  # type: ignore[override]
        return 0.01 if self._class.normalised else 1.0

    @property
    def notice(self) -> str:  # type: ignore[override]
        mixes = f"torch[{self.optimizer}] mixes the entries of a parameter: it runs one replica at a time"
        return "" if self._class.stacks else mixes

    def init(self, w: Tensor) -> State:
        return self._class.init(w)

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        return self._class(g, s, w)


preset(
    "torch",
    "sgd[direction=torch]",
    """w+ = w - lr d(F(w)), d the step of a class: torch[Adam], torch[RMSprop,alpha=0.9], torch[package.Class]

    Source: the class's own; Paszke et al. 2019, arXiv:1912.01703, for torch.optim.""",
    first="optimizer",
)
