"""The update rule and the direction: how w changes, and how one gradient becomes a step.

R = replicas (independent trainings stacked along the first axis), n = all players' parameters side by side. Replicas
never touch: row r of every result depends on row r of every input alone, even where another row is NaN.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from bench.contracts.game import Game
from bench.contracts.hyperparameter import Value

if TYPE_CHECKING:
    from bench.contracts.oracle import Oracle

State = dict[str, Any]
"""The memory of an update rule or direction: a dict of tensors with leading axis R; it may be nested."""


class Direction(ABC):
    """How one gradient g becomes a step d, with w <- w - lr d.

    Subclasses are frozen dataclasses; their fields are hyperparameters.
    """

    name: ClassVar[str] = ""
    scale: ClassVar[float] = 1.0
    """Multiplies a scheme's default step size and the range in which it is searched: 1 for steps like a gradient's."""
    rests: ClassVar[bool] = True
    """Whether the step is 0 where all gradients were."""
    notice: ClassVar[str] = ""
    """What a user should know before a long run, e.g. that replicas are not stacked."""

    def init(self, w: Tensor) -> State:
        """Return the memory before the first gradient; w is [R, n]."""
        return {}

    @abstractmethod
    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        """Return the step d [R, n] and the new memory; gradient g and parameters w are [R, n]."""

    def descend(self, g: Tensor, s: State, w: Tensor, lr: Value) -> tuple[Tensor, State]:
        """Return w - lr d [R, n] and the new memory.

        A direction overrides this where its step is not lr times one d, or where one pass over the arrays does both.

        Args:
            g: gradient [R, n].
            s: the memory.
            w: the point that is left, [R, n]; it need not be where g was taken.
            lr: step size: a number, [R, 1], or [R, n].
        """
        d, s = self(g, s, w)
        return w - lr * d, s

    def descend_block(self, g: Tensor, s: State, w: Tensor, lr: Value, block: slice) -> tuple[Tensor, State]:
        """Return w with ``descend`` in one player's columns alone, [R, n], and the new memory.

        The memory must be the player's own. A direction overrides this where a pass over these columns is quicker.

        Args:
            g, s, w, lr: as in ``descend``; g is 0 outside of the block.
            block: the columns of the player that moves.
        """
        moved, s = self.descend(g, s, w, lr)
        return torch.cat([w[:, : block.start], moved[:, block], w[:, block.stop :]], dim=1), s

    def refuses(self, scheme: UpdateRule) -> str:
        """Return why a rule cannot use this direction, or "" where it can; asked when the rule is built."""
        return ""

    def for_game(self, game: Game) -> Direction:
        """Return this direction for that game; one that needs to know where the networks' tensors lie overrides it."""
        return self


class UpdateRule(ABC):
    """How the players' parameters w [R, n] change in one step.

    Subclasses are frozen dataclasses; their annotated fields are their hyperparameters. ``cost`` declares the gradient
    evaluations of one step; ``bench check`` compares it with what the oracle counts. ``rests`` says whether the rule
    stays where F(w) = 0. By default it does if its direction and its inner rule do. ``players`` is 2 for a rule that
    means nothing where there is but one player: it moves them in turn, or uses what one does to the other.

    Example:
        >>> from dataclasses import dataclass
        >>> from bench import Oracle, StepSize, UpdateRule, get_game
        >>> @dataclass(frozen=True)
        ... class TwoHalfSteps(UpdateRule):
        ...     '''w' = w - lr/2 F(w);   w+ = w' - lr/2 F(w')'''
        ...     lr: StepSize = 0.1
        ...     cost = 2.0
        ...     def step(self, F, w, s):
        ...         half = w - self.lr / 2 * F(w)
        ...         return half - self.lr / 2 * F(half), s
        >>> game = get_game("dirac")
        >>> F = Oracle(game, seeds=[0, 1])
        >>> w, state = TwoHalfSteps(lr=0.5).step(F, game.init(F.seeds), {})
        >>> w.shape, F.cost
        (torch.Size([2, 2]), 2.0)
    """

    name: ClassVar[str] = ""

    @property
    def rests(self) -> bool:
        """Whether the rule stays where F(w) = 0."""
        return all(part.rests for part in nested(self).values())

    @property
    def cost(self) -> float:
        """Gradient evaluations of one step, as the oracle counts them."""
        return 1.0

    @property
    def players(self) -> int:
        """How many players a game has at least for this rule: 1, or 2 if it or its inner rule needs both."""
        return max([1, *(part.players for part in nested(self).values() if isinstance(part, UpdateRule))])

    def refuses(self, game: Game) -> str:
        """Return why the rule cannot be applied to a game, or "" where it can: such a pair is not trained."""
        if game.players >= 2 or (self.players < 2 and not _differs(self)):
            return ""
        needs = "two players" if self.players == 2 else "two players: it has a value for each"
        return f"it needs {needs}, and {game.name} has one"

    def init(self, w: Tensor) -> State:
        """Return the memory before the first step: a nested dict of tensors with leading axis R; w is [R, n]."""
        return {}

    @abstractmethod
    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        """Return the updated w [R, n] and the new memory.

        Args:
            F: the oracle; F(w) is the field [R, n].
            w: parameters [R, n]. They must not be changed in place.
            s: the memory. It must not be changed in place.
        """

    def on_external_update(self, w: Tensor, s: State) -> State:
        """Return the memory after a wrapper has set w [R, n]. A rule that keeps copies of w updates them here."""
        return s

    def answer(self, w: Tensor, s: State) -> Tensor:
        """Return the point that is evaluated, [R, n]: w itself, an average or a slow copy."""
        return w


Metric = Callable[[Game, Tensor, "Oracle"], Tensor]
"""(game, w [R, n], oracle) -> [R]; judged on an oracle and samples of its own."""


def _differs(owner: Any) -> bool:
    """Whether a rule or direction has a value for each player, or one that is nested in it has."""
    values = [getattr(owner, field.name) for field in fields(owner)]
    return any(isinstance(value, tuple) for value in values) or any(map(_differs, nested(owner).values()))


def nested(owner: Any) -> dict[str, UpdateRule | Direction]:
    """The rules and directions in the fields of a rule or direction, by field."""
    values = {field.name: getattr(owner, field.name) for field in fields(owner)}
    return {name: value for name, value in values.items() if isinstance(value, (UpdateRule, Direction))}
