"""Any optimizer class of torch.optim, or of another package, as a direction."""

from __future__ import annotations

from copy import copy

from torch import Tensor

from bench.contracts import Direction, Game, Options, State, UpdateRule
from bench.contracts.hyperparameter import Value
from bench.errors import UserError
from bench.registry import direction, preset
from bench.registry.schemes import uses
from bench.registry.torch_optimizers import Foreign, foreign
from bench.registry.torch_steps import Looped, Steps


@direction("torch")
class TorchClass(Direction):
    """w+ = step(w, g), the step that the class itself takes, with the scheme's step size as its lr

    ``torch[Adam]``, ``torch[RMSprop,alpha=0.9]``, ``torch[Adam,betas=0.5:0.999]``; a class of another package by its
    dotted path, ``torch[pytorch_optimizer.AdaBelief]``. Options are the class's own keywords. The class gets one
    parameter for each tensor of a network and one optimizer for each player. In a game without layers a player is one
    vector. Before anything runs the class is tried against a plain loop. It is declined, with the reason, where its
    steps are not its own: it needs a closure, it draws random numbers, it keeps what cannot be given back. A class that
    mixes entries, or whose steps are not proportional to lr, runs one replica at a time.

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
        finds_its_own = self._class.rate >= 1  # e.g. Prodigy: its step size is a factor around 1
        return 0.01 if self._class.normalised and not finds_its_own else 1.0

    @property
    def rests(self) -> bool:  # type: ignore[override]
        return self._class.verdict.rests

    @property
    def digest(self) -> str:
        """What a cell's identity has beyond the spelling: the class's code, where it is not torch's.

        torch's own that run one replica at a time ran as something else before: their cells are not those of then.
        """
        return self._class.code or ("" if self._class.stacked else "own steps")

    @property
    def notice(self) -> str:  # type: ignore[override]
        steps, _ = vars(self).get("_bound", (self._class.stacked, True))
        if steps is not None and not isinstance(steps, Looped):
            return ""
        verdict = self._class.verdict
        text = f"torch[{self.optimizer}] {verdict.why_looped}: it runs one replica at a time"
        without_layers = isinstance(steps, Looped) and all(len(player) == 1 for player in steps.tensors)
        vector = f"; {vars(self).get('_game', '')} has no layers, so each player is one vector to it"
        return text + (vector if without_layers and not verdict.elementwise else "")

    def for_game(self, game: Game) -> TorchClass:
        bound = copy(self)
        object.__setattr__(bound, "_bound", self._class.bound(game))  # no field: a spelling tells nothing of a game
        object.__setattr__(bound, "_game", game.name or "this game")
        return bound

    def refuses(self, scheme: UpdateRule) -> str:
        verdict = self._class.verdict
        if verdict.proportional and not verdict.keeps_point:
            return ""
        found = uses(scheme, TorchClass)
        if found.asks_for_d and not verdict.proportional:
            return f"torch[{self.optimizer}] {NOT_PROPORTIONAL}"
        if found.goes_back and verdict.keeps_point:
            return (
                f"torch[{self.optimizer}] keeps a copy of the point that it goes on from, and {scheme.name or 'this'} "
                "sets the point elsewhere between its steps: use a scheme that goes on, e.g. sgd, alternating"
            )
        return ""

    def init(self, w: Tensor) -> State:
        return self._steps(w)[0].init(w)

    def descend(self, g: Tensor, s: State, w: Tensor, lr: Value) -> tuple[Tensor, State]:
        return self._steps(w)[0].descend(g, s, w, lr)

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        steps, proportional = self._steps(w)
        if not proportional:
            raise UserError(f"torch[{self.optimizer}] {NOT_PROPORTIONAL}")
        at_one, s = steps.descend(g, s, w, 1.0)
        return w - at_one, s

    def _steps(self, w: Tensor) -> tuple[Steps, bool]:
        bound: tuple[Steps, bool] | None = vars(self).get("_bound")
        return (self._class.unbound(w), self._class.verdict.proportional) if bound is None else bound


NOT_PROPORTIONAL = (
    "takes steps that are not proportional to its step size, so it can be used only by schemes that descend, "
    "e.g. sgd, alternating, extragrad"
)

preset(
    "torch",
    "sgd[direction=torch]",
    """w+ = step(w, F(w)), the step of a class: torch[Adam], torch[RMSprop,alpha=0.9], torch[package.Class]

    Source: the class's own; Paszke et al. 2019, arXiv:1912.01703, for torch.optim.""",
    first="optimizer",
)
