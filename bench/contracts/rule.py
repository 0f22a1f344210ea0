"""The update rule and the direction: how w changes, and how one gradient becomes a step.

R = replicas (independent trainings stacked along the first axis), n = all players' parameters side by side. Replicas
never touch: row r of every result depends on row r of every input alone, even where another row is NaN.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from bench.contracts.game import Game

if TYPE_CHECKING:
    from bench.contracts.oracle import Oracle

State = dict[str, Any]  # nested: str -> Tensor with leading R, or State


class Direction(ABC):
    """How one gradient becomes a step, w <- w - lr d. A frozen dataclass; its fields are hyperparameters."""

    name: ClassVar[str] = ""
    scale: ClassVar[float] = 1.0
    """Multiplies a scheme's default step size and the range in which it is searched: 1 for steps like a gradient's."""
    rests: ClassVar[bool] = True
    """Whether the step is 0 where all gradients were."""
    notice: ClassVar[str] = ""
    """What a user should know before a long run, e.g. that replicas are not stacked."""

    def init(self, w: Tensor) -> State:
        """The memory before the first gradient; w [R, n]."""
        return {}

    @abstractmethod
    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        """d, the step to descend, and the memory after it; gradient g and parameters w are [R, n]."""


class UpdateRule(ABC):
    """How w changes. Subclasses are frozen dataclasses; their fields are their hyperparameters.

    ``cost`` declares the gradient evaluations of one step; the oracle counts them, and a law holds the two equal.
    ``rests`` says whether the rule stays where F(w) = 0: as its direction and inner rule do, unless it says otherwise.
    """

    name: ClassVar[str] = ""

    @property
    def rests(self) -> bool:
        """Whether the rule stays where F(w) = 0."""
        return all(thing.rests for thing in nested(self).values())

    @property
    def cost(self) -> float:
        """Gradient evaluations of one step, as the oracle counts them."""
        return 1.0

    def init(self, w: Tensor) -> State:
        """The memory before the first step: nested dict of tensors with leading R; w [R, n]."""
        return {}

    @abstractmethod
    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        """One update of w [R, n]; pure: w and s are left as they were."""

    def on_external_update(self, w: Tensor, s: State) -> State:
        """The memory once a wrapper has set w [R, n]: as it was, but for copies of w that must follow."""
        return s

    def answer(self, w: Tensor, s: State) -> Tensor:
        """The point that is judged (an average, a slow copy), [R, n]."""
        return w


Metric = Callable[[Game, Tensor, "Oracle"], Tensor]
"""(game, w [R, n], oracle) -> [R]; judged on an oracle and samples of its own."""


def nested(owner: Any) -> dict[str, UpdateRule | Direction]:
    """The rules and directions that stand in the fields of a rule or direction, by field."""
    values = {field.name: getattr(owner, field.name) for field in fields(owner)}
    return {name: value for name, value in values.items() if isinstance(value, (UpdateRule, Direction))}
