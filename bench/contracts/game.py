"""The game: players, where they start, their data, and one loss per player.

R = replicas (independent trainings stacked along the first axis), n = all players' parameters side by side. Replicas
never touch: row r of every result depends on row r of every input alone, even where another row is NaN.

A game may promise more than `Game` asks, each by a protocol: a closed-form field, a known solution, samples, a plane.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from bench.contracts.collapse import Collapse

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Parameter:
    """One parameter tensor of a network: its first column in w, and its shape."""

    start: int
    shape: tuple[int, ...]

    @property
    def columns(self) -> slice:
        """Its columns in w."""
        return slice(self.start, self.start + prod(self.shape))


class Game(ABC):
    """The players of a game, their starting points, their data, and one loss for each player.

    Subclasses are frozen dataclasses; their fields are the game's settings.
    """

    name: ClassVar[str] = ""
    sizes: tuple[int, ...]
    """Columns of each player in w (they may hold padding); n = sum(sizes). One player or two, each any number of
    networks: what several networks minimise together is one player."""
    dtype: torch.dtype = torch.float32
    budget: float = 1000.0
    """The default cost of one replica, in gradient evaluations. A class attribute or a field; the key ``budget`` of a
    spelling sets it for every game."""
    score: str = "field_norm"
    """Name of the primary metric: what tuning optimises and tables show."""
    tie_break: str = ""
    """Name of a second metric, for what the primary one cannot tell apart: tuning orders by both; "" for none."""
    learned: float | None = None
    """The score from which on a replica has learned something; None where that means nothing."""
    escape: float = float("inf")
    """Distance from the solution, where one is known, beyond which a replica has diverged. Where it is finite, so has a
    replica that departs: farther at each of ten evaluations or more than at the one before, and 10 % in all."""
    tried: ClassVar[str] = ""
    """Keys that make the game small enough to be tried in a moment: what the laws are run on."""
    collapse: Collapse | None = None
    """What counts as collapse of a replica, where that means something."""
    stack: int = 64
    """Replicas that train together at most; fixed, so that a chunk's composition never depends on the machine."""

    @property
    def players(self) -> int:
        """How many there are: 1 or 2."""
        return len(self.sizes)

    changes: ClassVar[bool] = False
    """Whether it is another game as the budget is spent: its networks grow, its temperature falls."""
    progress: float = 1.0
    """The share of the budget that is spent where `at` made it; 1 for a game as it is judged at the end."""

    def at(self, progress: float) -> Self:
        """Return the game at a share of the budget, in [0, 1]: what is drawn, lost, generated and judged there.

        The share is by cost, so that it is the same for all rules. A game that does not change is itself throughout.
        """
        if not self.changes:
            return self
        moved = copy(self)  # with all that it has made so far
        object.__setattr__(moved, "progress", min(1.0, progress))
        return moved

    def restarts(self, progress: float) -> int:
        """Return how often a rule's memory has begun anew by then, as where networks have grown; 0 for never."""
        return 0

    def baselines(self) -> dict[str, float]:
        """What else its score is read by, name -> value: what a method without the game's second half attains."""
        return {}

    plane_names: ClassVar[tuple[str, str]] = ("generator", "discriminator")
    """What the two directions of `Planar.plane` are called on axes, in the game's own letters."""
    reads_files: ClassVar[bool] = False
    """Whether its data stand in files, which who reads a report may not have."""

    @property
    def missing(self) -> str:
        """The data files that are missing, in one line; "" if the game can be played."""
        return ""

    def prepare(self) -> None:  # noqa: B027  (most games have nothing to prepare)
        """Do what takes long and need be done once a machine, such as compiling, before workers would each do it."""

    @abstractmethod
    def init(self, seeds: Tensor) -> Tensor:
        """Return the starting points of the players: seeds int64 [R] -> w [R, n]."""

    def batch(self, seeds: Tensor, draw: int) -> Batch | None:
        """Return the minibatch, which seed and draw alone decide.

        Args:
            seeds: int64 [R].
            draw: the number of the minibatch.

        Returns:
            Tensors with leading axis R by name; None for a game without minibatches.
        """
        return None

    @abstractmethod
    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        """Return each player's own loss.

        Args:
            players: the parameters of player i, [R, sizes[i]].
            batch: what `batch` returned.

        Returns:
            One tensor [R] for each player.
        """

    @property
    def tensors(self) -> tuple[tuple[Parameter, ...], ...]:
        """Where the parameter tensors of each player lie in w. One vector for each player, unless it has layers."""
        starts = [sum(self.sizes[:i]) for i in range(len(self.sizes))]
        return tuple((Parameter(start, (size,)),) for start, size in zip(starts, self.sizes, strict=True))

    def own_loss(self, player: int, players: tuple[Tensor, ...], batch: Batch | None) -> Tensor:
        """Return the loss [R] of one player. A game overrides this if that saves work."""
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


Products = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]
"""v -> J v and u -> J' u, both [R, n] -> [R, n]."""


@runtime_checkable
class Differentiable(Protocol):
    """A game that knows products with its Jacobian in closed form, and the gradients of the other player's loss."""

    def products(self, w: Tensor, batch: Batch | None, player: int | None, own: bool) -> Products | None:
        """The products with J at w [R, n], of one player's rows alone if given; None: ask autograd.

        Without ``own``, J's diagonal blocks are 0.
        """
        ...

    def cross(self, w: Tensor, batch: Batch | None) -> Tensor | None:
        """(grad_0 L_1, grad_1 L_0) at w [R, n]; None: ask autograd."""
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


MADE, FROM, TRUE = "made", "from", "true"
"""Names of samples that are drawn beside each other: what was made, what it was made from, what it should be."""


@runtime_checkable
class Named(Generative, Protocol):
    """A generative game whose samples have names: ``generate`` gives what was made alone."""

    def named_samples(self, w: Tensor, seeds: Tensor, count: int) -> dict[str, Tensor]:
        """``made``, and beside it ``from``, ``true`` or what its metrics ask for: [R, count, ...] each."""
        ...


@runtime_checkable
class Known(Protocol):
    """A game that says what known generators make, or known players answer: its score is held against these."""

    def known(self, seeds: Tensor, count: int, which: str) -> dict[str, Tensor]:
        """Named samples [R, count, ...] as one of ``perfect``, ``noisy``, ``half`` or ``one`` would make them."""
        ...


@runtime_checkable
class Exportable(Generative, Protocol):
    """A generative game between networks that can be taken home as torch modules."""

    def sample_shape(self) -> tuple[int, ...]:
        """Of a sample as the generator's module gives it."""
        ...

    def torch_modules(self, w: Tensor) -> tuple[nn.Module, ...]:
        """Each player of one replica as a torch module that holds its parameters: w [n]."""
        ...


@runtime_checkable
class Located(Protocol):
    """A generative game that knows where its data lie: samples a hundred times as far out are no attempt at them.

    A replica with such a sample at an evaluation after the start, or with one that is no number, has diverged.
    """

    def location(self) -> tuple[Tensor, float]:
        """The data's centre, [features], and how far they are from it at most in any coordinate. inf: not known."""
        ...


@runtime_checkable
class HeldOut(Generative, Protocol):
    """A generative game with real samples that training does not see: what its own are compared with."""

    judged: int
    """Samples that are compared."""
    units: Tensor | None
    """The length of each coordinate, [features]; None where all are of one length."""

    def held_out(self, count: int) -> Tensor:
        """The same real samples whenever they are asked for, flat: [count at most, features]."""
        ...


@runtime_checkable
class Attainable(Protocol):
    """A game of which it can be said what a perfect generator would score."""

    def perfect(self, seeds: Tensor, count: int) -> Tensor:
        """Samples of the data as a perfect generator would make them: [R, count, ...], decided by the seed alone."""
        ...


@runtime_checkable
class Partitioned(Attainable, Protocol):
    """A game whose data are of several kinds: the modes of a mixture, the classes of images.

    So generators are known that have learned all, half or one of them, and its score can be held against these.
    """

    @property
    def kinds(self) -> int:
        """How many there are."""
        ...

    @property
    def blur(self) -> float | Tensor:
        """Deviation of noise that damages samples a little: on every coordinate, or on each, [features]."""
        ...

    def partial(self, seeds: Tensor, count: int, kinds: int) -> Tensor:
        """Perfect samples of the first ``kinds`` alone: [R, count, ...], decided by the seed alone."""
        ...


@runtime_checkable
class Pictured(Protocol):
    """A game whose samples are images: planes x height x width numbers in [-1, 1]."""

    @property
    def planes(self) -> int:
        """1 for grey, 3 for colour."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        ...


@runtime_checkable
class Filmed(Pictured, Protocol):
    """A game whose samples are short films: strips of images of that shape, one after another."""

    @property
    def frames(self) -> int:
        """Images of a strip."""
        ...


@runtime_checkable
class Written(Protocol):
    """A game whose samples are lines of text: whole numbers [R, count, length], each a letter of the alphabet."""

    @property
    def alphabet(self) -> str:
        """The letters."""
        ...


@runtime_checkable
class Planar(Protocol):
    """A game whose trajectories are worth drawing in a plane."""

    def plane(self) -> Tensor:
        """The two directions, one a player, onto which w is projected: [2, n]."""
        ...
