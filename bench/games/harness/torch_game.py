"""``bench.game``: any game of ordinary torch, written for one replica; ``gan_game`` is its special case.

    game = bench.game(players=[make_generators, make_critics], losses=losses, data=data)

The players' modules, the losses and the data are a user's own, in torch's shapes, of a single training. Here they are
stacked: all replicas at once by torch.func (`vmap`) if that leaves every replica the bits that it has alone, else one
after another.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from math import prod
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bench.contracts import Batch, Game
from bench.contracts.game import Parameter
from bench.contracts.oracle import PLAYERS, PLAYERS_ALLOWED
from bench.errors import UserError
from bench.games.harness.user_data import wasserstein
from bench.games.networks.given_modules import Make, again, fresh, prepared
from bench.games.networks.stacking import drawing
from bench.numerics.randomness import GRAIN, whole_numbers
from bench.registry import game as registered

NAME = "game"  # what a user called: errors begin with it
Losses = Callable[..., Any]
Data = Callable[[torch.Generator], Mapping[str, Tensor]]
Generate = Callable[..., Tensor]


class _Table(nn.Module):
    """All players, and a function of theirs for torch.func to call."""

    def __init__(self, players: Sequence[nn.Module]) -> None:
        super().__init__()
        self.players = nn.ModuleList(players)

    def forward(self, function: Callable[..., Any], *given: Any) -> Any:
        return function(*self.players, *given)


@dataclass(frozen=True, eq=False, kw_only=True)
class TorchGame(Game):
    """A game of torch modules; made by ``bench.game``. Two of them are equal where they are one."""

    name: ClassVar[str] = NAME
    makers: tuple[Make, ...]
    losses_of: Losses
    data: Data | None = None
    generates: Generate | None = None
    real: Tensor | None = None
    budget: float = 1000.0
    score: str = "field_norm"
    judged: int = 1000
    stack: int = 32
    units: None = field(default=None, init=False)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    @cached_property
    def table(self) -> nn.Module:
        """The players, prepared for calls; their own parameters are never used."""
        return prepared(_Table([fresh(make, 0) for make in self.makers]))

    @cached_property
    def shapes(self) -> list[dict[str, torch.Size]]:
        """Of each player's parameters, by their names in the table."""
        players = cast("nn.ModuleList", self.table.players)
        return [{f"players.{i}.{n}": p.shape for n, p in one.named_parameters()} for i, one in enumerate(players)]

    @cached_property
    def layouts(self) -> list[list[int]]:
        """Of each player the columns of every parameter in turn, each followed by its padding."""
        return [[columns for shape in own.values() for columns in _padded(prod(shape))] for own in self.shapes]

    @cached_property
    def sizes(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(map(sum, self.layouts))

    @cached_property
    def tensors(self) -> tuple[tuple[Parameter, ...], ...]:
        found, start = [], 0
        for shapes, layout in zip(self.shapes, self.layouts, strict=True):
            starts = list(accumulate(layout, initial=start))
            pairs = zip(starts[:-1:2], shapes.values(), strict=True)
            found.append(tuple(Parameter(first, tuple(shape)) for first, shape in pairs))
            start = starts[-1]
        return tuple(found)

    def init(self, seeds: Tensor) -> Tensor:
        numbers = whole_numbers(seeds, "start", 0)
        rows = {number: self._row(number) for number in dict.fromkeys(numbers)}
        return torch.stack([rows[number] for number in numbers])

    def _row(self, number: int) -> Tensor:
        """Fresh players' parameters, [n]."""
        parts = [p.detach().float().flatten() for make in self.makers for p in fresh(make, number).parameters()]
        return torch.cat([block for part in parts for block in (part, torch.zeros(-len(part) % GRAIN))])

    def batch(self, seeds: Tensor, draw: int) -> Batch | None:
        if self.data is None:
            return None
        numbers = whole_numbers(seeds, "data", draw)
        drawn = {number: self.data(torch.Generator().manual_seed(number)) for number in dict.fromkeys(numbers)}
        return {key: torch.stack([drawn[number][key] for number in numbers]) for key in drawn[numbers[0]]}

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        given = () if batch is None else (dict(batch),)
        return tuple(self._called(self.losses_of, players, given, self._together))

    def _called(self, function: Callable[..., Any], players: Sequence[Tensor], given: Any, together: bool) -> Any:
        """A function of one replica's modules on all: players [R, size] each, ``given`` with leading R."""
        own: dict[str, Tensor] = {}
        for w, layout, shapes in zip(players, self.layouts, self.shapes, strict=True):
            parts = torch.split(w, layout, 1)[::2]
            own |= {n: part.reshape(-1, *s) for (n, s), part in zip(shapes.items(), parts, strict=True)}

        def one(mine: dict[str, Tensor], *arguments: Any) -> Any:
            return functional_call(self.table, mine, (function, *arguments))

        if together:
            return vmap(one)(own, *given)
        rows = [one({k: v[r] for k, v in own.items()}, *(_of_row(a, r) for a in given)) for r in range(len(players[0]))]
        return tuple(map(torch.stack, zip(*rows, strict=True))) if isinstance(rows[0], tuple) else torch.stack(rows)

    @cached_property
    def _together(self) -> bool:
        """Whether two replicas have the same bits at once as one after another, gradients too."""
        seeds = torch.arange(5)
        try:
            with warnings.catch_warnings(action="error"):  # torch warns where it would loop itself, and slowly
                five, two = (self._tried(seeds[:count]) for count in (5, 2))
        except Exception:  # what vmap refuses, e.g. branches on values, works one replica at a time
            return False
        return all(torch.equal(a[:2], b) for a, b in zip(five, two, strict=True))

    def _tried(self, seeds: Tensor) -> list[Tensor]:
        w, batch = self.init(seeds), self.batch(seeds, 0)
        players = [part.requires_grad_() for part in torch.split(w, list(self.sizes), 1)]
        losses = self._called(self.losses_of, players, () if batch is None else (dict(batch),), together=True)
        pairs = zip(losses, players, strict=True)
        gradients = [torch.autograd.grad(loss.sum(), own, retain_graph=True)[0] for loss, own in pairs]
        return [*(loss.detach() for loss in losses), *gradients]


@dataclass(frozen=True, eq=False, kw_only=True)
class GeneratingTorchGame(TorchGame):
    """The same, whose first player generates what can be held against real samples."""

    def generate(self, w: Tensor, seeds: Tensor, count: int) -> Tensor:
        """Samples [R, count, features], one replica after another."""
        assert self.generates is not None
        players = torch.split(w, list(self.sizes), 1)
        rows = []
        for r, number in enumerate(whole_numbers(seeds, "samples", 0)):
            own = [part[r : r + 1] for part in players]
            made = self._called(self._generated(number, count), own, (), together=False)
            rows.append(made[0].reshape(count, -1))
        return torch.stack(rows)

    def _generated(self, number: int, count: int) -> Callable[..., Tensor]:
        def call(*players: nn.Module) -> Tensor:
            assert self.generates is not None
            with drawing(number):
                return self.generates(players[0], torch.Generator().manual_seed(number), count)

        return call

    def held_out(self, count: int) -> Tensor:
        """The real samples to compare with, flat."""
        assert self.real is not None
        return self.real[:count].flatten(1)

    def distance(self, samples: Tensor) -> Tensor:
        """Sliced Wasserstein distance of samples to real ones, [R]."""
        return wasserstein(samples, self.held_out(self.judged), None)


def _padded(count: int) -> tuple[int, int]:
    return count, -count % GRAIN


def _of_row(value: Any, row: int) -> Any:
    return {key: part[row] for key, part in value.items()} if isinstance(value, dict) else value[row]


def game(
    name: str = "",
    *,
    players: Sequence[Any] = (),
    losses: Losses | None = None,
    data: Data | None = None,
    generate: Generate | None = None,
    real: Tensor | None = None,
    budget: float = 1000.0,
    score: str = "",
    stack: int = 32,
) -> Any:
    """Register a game under a name, or make one of ordinary torch that is written for one replica.

    ``@bench.game("name")`` decorates a class of `bench.Game`, or names an object. With ``players`` it makes a game, for
    what ``gan_game`` has no words for: several networks a player, losses of any kind, one player alone.

    Args:
        name: the name in spellings; "" for a game that is given as an object.
        players: one or two; each a torch module, a function without arguments that makes one, or a list of these. A
            list arrives in ``losses`` as an ``nn.ModuleList``.
        losses: (player, ..., batch) -> one scalar a player, as a tuple; without ``batch`` where there are no data.
        data: (torch.Generator) -> tensors by name, of the same shapes at every call: a minibatch.
        generate: (first player, torch.Generator, count) -> samples [count, ...]; with ``real`` they are judged.
        real: samples [N, ...] that training does not see.
        budget: gradient evaluations of one replica.
        score: name of the primary metric; by default sliced_wasserstein where there are samples, else field_norm.
        stack: replicas that train together at most.

    Returns:
        A decorator, or a game that every rule accepts.

    Raises:
        UserError: players, losses and data do not fit together; the message says where.

    Example:
        >>> import bench, torch
        >>> from torch import nn
        >>> def losses(x, y, batch):
        ...     value = (y(x.weight) + batch["noise"]).mean()
        ...     return value, -value
        >>> noise = lambda generator: {"noise": torch.randn(16, generator=generator)}
        >>> saddle = bench.game(players=[nn.Linear(4, 3), nn.Linear(4, 1)], losses=losses, data=noise)
        >>> F = bench.Oracle(saddle, seeds=[0, 1, 2])
        >>> F(saddle.init(F.seeds)).shape == (3, sum(saddle.sizes))
        True
    """
    if not players and losses is None:
        if not name:
            raise UserError(f"{NAME}: found neither a name nor players; one of them is allowed")
        return registered(name)
    if len(players) not in PLAYERS:
        raise UserError(f"{NAME}: found {len(players)} players; {PLAYERS_ALLOWED}")
    if losses is None:
        raise UserError(f"{NAME}: losses are missing; a function of the players and a minibatch is needed")
    if (generate is None) != (real is None):
        given, missing = ("generate", "real") if real is None else ("real", "generate")
        raise UserError(f"{NAME}: {given} is given without {missing}; samples are judged against real ones")
    kind = TorchGame if generate is None else GeneratingTorchGame
    made = kind(
        makers=tuple(_maker(player, f"player {i}") for i, player in enumerate(players)), losses_of=losses, data=data,
        generates=generate, real=real, budget=budget, stack=stack,
        score=score or ("field_norm" if generate is None else "sliced_wasserstein"),
    )  # fmt: skip
    _try(made)
    return registered(name)(made) if name else made


def _maker(player: Any, who: str) -> Make:
    """A function that makes a fresh player."""
    if isinstance(player, (list, tuple)):
        makers = [_maker(part, who) for part in player]
        return lambda: nn.ModuleList([make() for make in makers])
    if isinstance(player, nn.Module):
        return again(player)
    if not callable(player):
        allowed = "a torch module, a function that makes one, or a list of these"
        raise UserError(f"{NAME}: {who} is a {type(player).__name__}; {allowed} is allowed")
    return cast("Make", player)


def _try(made: TorchGame) -> None:
    """Refuse players, losses and data that do not fit, with the user's own error in the line."""
    seeds = torch.tensor([0, 1])
    try:
        batch = made.batch(seeds, 0)
        again_drawn = made.batch(seeds, 1)
        found = made.losses(tuple(torch.split(made.init(seeds), list(made.sizes), 1)), batch)
    except UserError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise UserError(f"{NAME}: the losses of a first minibatch raised {type(error).__name__}: {text}") from error
    shapes, later = ({k: tuple(v.shape) for k, v in (b or {}).items()} for b in (batch, again_drawn))
    if shapes != later:
        raise UserError(f"{NAME}: data gave {shapes} first and then {later}; the same shapes are needed")
    if len(found) != len(made.sizes) or any(loss.shape != (2,) for loss in found):
        told = f"{len(found)} values of shapes {[tuple(loss.shape[1:]) for loss in found]}"
        raise UserError(f"{NAME}: losses gave {told}; one scalar a player is needed")
