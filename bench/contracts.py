"""What a plug-in author is promised: the game, the update rule, the direction and the hyperparameter.

R = replicas (independent trainings stacked along the first axis), n = all players' parameters side by side. Replicas
never touch: row r of every result depends on row r of every input alone, even where another row is NaN.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, get_args, get_type_hints, runtime_checkable

import torch
from torch import Tensor

from bench.collapse import Collapse

if TYPE_CHECKING:
    from bench.oracle import Oracle

Batch = Mapping[str, Tensor]
State = dict[str, Any]  # nested: str -> Tensor with leading R, or State


class Game(ABC):
    """Players, where they start, their data, and one loss per player. Subclasses are frozen dataclasses."""

    name: ClassVar[str] = ""
    sizes: tuple[int, ...]
    """Columns of each player in w (they may hold padding); n = sum(sizes)."""
    dtype: torch.dtype = torch.float32
    budget: float = 1000.0
    """The default cost of one replica, in gradient evaluations."""
    score: str = "field_norm"
    """Name of the primary metric: what tuning optimises and tables show."""
    escape: float = float("inf")
    """Distance from the solution, where one is known, beyond which a replica has diverged; where it is finite, so has a
    replica that was farther from the solution at every evaluation than at the one before."""
    tried: ClassVar[str] = ""
    """Keys that make the game small enough to be tried in a moment: what the laws are run on."""
    collapse: Collapse | None = None
    """What counts as collapse of a replica, where that means something."""
    stack: int = 64
    """Replicas that train together at most; fixed, so that a chunk's composition never depends on the machine."""

    @property
    def missing(self) -> str:
        """What the game lacks to be played, in one line: files of data; "" for nothing."""
        return ""

    @abstractmethod
    def init(self, seeds: Tensor) -> Tensor:
        """Starting points of the players: seeds int64[R] -> w [R, n]."""

    def batch(self, seeds: Tensor, draw: int) -> Batch | None:
        """The minibatch that (seed, draw) alone decides: tensors with leading R; None for a deterministic game."""
        return None

    @abstractmethod
    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        """Each player's own loss: players[i] [R, sizes[i]] -> one tensor [R] a player."""

    def own_loss(self, player: int, players: tuple[Tensor, ...], batch: Batch | None) -> Tensor:
        """One player's loss [R], where nothing else is asked; games that can save work by it say how."""
        return self.losses(players, batch)[player]


@runtime_checkable
class Constrained(Protocol):
    """A game whose players live in a set: WGAN's weight clipping."""

    def project(self, w: Tensor) -> Tensor:
        """The nearest point of the set, taken after every step: [R, n] -> [R, n]."""
        ...


@runtime_checkable
class Explicit(Protocol):
    """A game that knows its field in closed form, faster than autograd finds it."""

    def field(self, w: Tensor, batch: Batch | None, player: int | None) -> Tensor | None:
        """(grad_0 L_0, grad_1 L_1, ...) at w [R, n], or one player's block and zeros elsewhere; None: ask autograd."""
        ...


@runtime_checkable
class Solvable(Protocol):
    """A game whose equilibrium is known in closed form."""

    def solution(self) -> Tensor:
        """The equilibrium, [n]."""
        ...


@runtime_checkable
class Generative(Protocol):
    """A game whose player 0 generates data."""

    def generate(self, w: Tensor, seeds: Tensor, count: int) -> Tensor:
        """Samples of the generator: w [R, n] -> [R, count, ...], decided by (w, seed) alone."""
        ...


@runtime_checkable
class Attainable(Protocol):
    """A game of which it can be said what a perfect generator would score."""

    def perfect(self, seeds: Tensor, count: int) -> Tensor:
        """Samples of the data as a perfect generator would make them: [R, count, ...], decided by the seed alone."""
        ...


@runtime_checkable
class Planar(Protocol):
    """A game whose trajectories are worth drawing in a plane."""

    def plane(self) -> Tensor:
        """The two directions, one a player, onto which w is projected: [2, n]."""
        ...


# --- hyperparameters -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hyperparameter:
    """A kind of hyperparameter: its range, its scale, and so its search space.

    ``low``, ``high`` bound the search, not the value; ``log`` says on which scale it is searched; ``least`` and
    ``most`` bound the value itself. ``step_size`` marks what the default tuning track tunes: its range is multiplied by
    the ``scale`` of the rule's direction, for a normalised step of 1 is far longer than a gradient's.
    """

    kind: str
    low: float
    high: float
    log: bool = False
    least: float = -float("inf")
    most: float = float("inf")
    step_size: bool = False


# A value is a number, [R, 1] (every replica its own) or [R, n] (players differ): rule code never branches on which.
StepSize = Annotated[float, Hyperparameter("step size", 1e-3, 10.0, log=True, least=0.0, step_size=True)]
Decay = Annotated[float, Hyperparameter("decay", 0.0, 0.999, least=0.0, most=1.0)]
Momentum = Annotated[float, Hyperparameter("momentum", -0.9, 0.9, least=-1.0, most=1.0)]
Coefficient = Annotated[float, Hyperparameter("coefficient", 1e-3, 10.0, log=True)]
Epsilon = Annotated[float, Hyperparameter("epsilon", 1e-10, 1e-4, log=True, least=0.0)]
Fraction = Annotated[float, Hyperparameter("fraction", 0.0, 1.0, least=0.0, most=1.0)]
Count = Annotated[int, Hyperparameter("count", 1, 10, least=0)]


@dataclass(frozen=True)
class Options:
    """The value of a field that takes every key that nothing else knows, to hand it on to code from elsewhere."""

    items: tuple[tuple[str, Any], ...] = ()


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

    def moved(self, w: Tensor, s: State) -> State:
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


def notices(owner: UpdateRule | Direction) -> list[str]:
    """What a user should know of a rule and of all that is nested in it."""
    own = [owner.notice] if isinstance(owner, Direction) and owner.notice else []
    return own + [text for inner in nested(owner).values() for text in notices(inner)]


def hints(owner: Any) -> dict[str, Any]:
    """Type hints of a dataclass with their hyperparameter kinds; field name -> annotation."""
    return get_type_hints(owner, include_extras=True)


def hyperparameters(owner: Any, prefix: str = "") -> dict[str, tuple[Hyperparameter, Any]]:
    """Every hyperparameter of a rule, nested ones by dotted path: path -> (kind, value).

    A step size's kind comes with the range that fits the direction it steps along.
    """
    found: dict[str, tuple[Hyperparameter, Any]] = {}
    inner = nested(owner)
    scale = getattr(inner.get("direction"), "scale", 1.0)
    for field in fields(owner):
        value = getattr(owner, field.name)
        if field.name in inner:
            found |= hyperparameters(value, f"{prefix}{field.name}.")
            continue
        for kind in get_args(hints(type(owner))[field.name])[1:]:
            if isinstance(kind, Hyperparameter):
                found[prefix + field.name] = (_scaled(kind, scale), value)
    return found


def _scaled(kind: Hyperparameter, scale: float) -> Hyperparameter:
    if not kind.step_size or scale == 1.0:
        return kind
    return Hyperparameter(
        kind.kind, kind.low * scale, kind.high * scale, kind.log, kind.least, kind.most, kind.step_size
    )
