"""The only window that an update rule has on a game: evaluates F(w), counts what was asked.

F(w) = (grad_0 L_0, grad_1 L_1, ...) is the game's vector field, J its Jacobian. Gradients are taken by plain autograd
of the losses summed over replicas, which leaves each replica its own gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from math import inf
from typing import TypeVar, cast

import torch
from torch import Tensor

from bench.contracts.game import MADE, Batch, Constrained, Differentiable, Explicit, Game, Generative, Named
from bench.contracts.tracked import tracked

PLAYERS = (1, 2)
"""A game has one player or two: rules that move them in turn would never move a third."""
PLAYERS_ALLOWED = "1 or 2 are allowed, each of any number of networks: their parameters side by side"
PRODUCT_COST = 2.0
"""A Jacobian product costs this many gradient evaluations (forward and backward through a gradient)."""

Product = Callable[[Tensor], Tensor]
T = TypeVar("T")


class Oracle:
    """Evaluates the field F(w) of a game for R stacked replicas and counts the cost.

    An update rule sees a game only through its oracle. ``F.blocks[i]`` are the columns of player i in w.

    Args:
        game: the game.
        seeds: int64 [R], one seed for each replica; they decide the minibatches.
        draw: the number of the first minibatch.
        budget: the cost that a replica may spend in all, in gradient evaluations; infinite where none is known.

    Example:
        >>> import bench, torch
        >>> game = bench.get_game("bilinear[dim=2]")
        >>> seeds = torch.tensor([0, 1, 2])
        >>> F, w = bench.Oracle(game, seeds), game.init(seeds)
        >>> F(w).shape
        torch.Size([3, 4])
        >>> F.cost
        1.0
        >>> field, push, pull = F.linear(w)
        >>> jacobian_times_field = push(field)
        >>> F.cost
        4.0
    """

    def __init__(self, game: Game, seeds: Tensor | Sequence[int], draw: int = 0, budget: float = inf) -> None:
        if game.players not in PLAYERS:
            raise ValueError(f"{game.name or type(game).__name__} has {game.players} players; {PLAYERS_ALLOWED}")
        self.game, self.budget = game, budget
        self.seeds = torch.as_tensor(seeds, dtype=torch.int64).cpu()
        ends = [sum(game.sizes[: i + 1]) for i in range(len(game.sizes))]
        self.blocks = [slice(end - size, end) for end, size in zip(ends, game.sizes, strict=True)]
        self.draw = draw
        self.gradients = 0.0
        self.products = 0.0
        self.draws = 0
        self._batch: Batch | None = None
        self._drawn = False
        self._now = game
        self._field = game.field if isinstance(game, Explicit) and not game.changes else None
        self._differentiable = game if isinstance(game, Differentiable) and not game.changes else None
        self._project = game.project if isinstance(game, Constrained) else None

    @property
    def cost(self) -> float:
        """The gradient evaluations so far.

        Both players on one minibatch count as 1, one player as 1/2, a Jacobian product as 2 (of one player's rows, 1).
        """
        return self.gradients + PRODUCT_COST * self.products

    @property
    def share(self) -> float:
        """The share of the budget that is spent, from 0 to 1; 0 where no budget is known.

        It is the same for all replicas of a stack. A rule that computes with it, and does not branch on it, can still
        be replayed as a graph.
        """
        return self.cost / self.budget

    def select(self, rows: Tensor) -> Oracle:
        """Return an oracle for some of the replicas, int64 [R'], with the same counts."""
        part = copy(self)
        part.seeds, part._batch, part._drawn = self.seeds[rows], None, False  # what is drawn anew is drawn as it was
        return part

    def new_batch(self) -> None:
        """Move to the next minibatch. Within a step the minibatch stays the same unless the rule calls this."""
        self.draw += 1
        self._drawn = False

    def batch(self, like: Tensor) -> Batch | None:
        """Return the current minibatch on the device of ``like``; None for a game without minibatches."""
        if not self._drawn:
            self._now = self._current()
            batch = self._now.batch(self.seeds, self.draw)
            self._batch = None if batch is None else {key: value.to(like.device) for key, value in batch.items()}
            self._drawn = True
            self.draws += 1
        return self._batch

    def project(self, w: Tensor) -> Tensor:
        """Return the nearest point [R, n] of the set that the game's players live in; w itself where there is none.

        The training projects after every step of a rule, and gradients are taken at the projected point. So a rule
        projects only what it goes on from within its step: a player's move before the next, an inner rule's step.
        """
        return w if self._project is None else self._project(w)

    def __call__(self, w: Tensor, player: int | None = None) -> Tensor:
        """Return F(w): [R, n] -> [R, n]. With ``player``, only that player's block is not zero.

        Where the players live in a set, F is taken at the nearest point of it.
        """
        w = self.project(w)
        if self._field is not None:
            with torch.no_grad():
                field = self._field(w, self.batch(w), player)
            if field is not None:
                self.gradients += 1 if player is None else 1 / len(self.blocks)
                return field
        return self._gradients(w, player, cross=False)

    def cross(self, w: Tensor) -> Tensor:
        """Return (grad_0 L_1, grad_1 L_0), each player's block of the *opponent's* gradient: [R, n] -> [R, n]."""
        w = self.project(w)
        if self._differentiable is not None:
            with torch.no_grad():
                across = self._differentiable.cross(w, self.batch(w))
            if across is not None:
                self.gradients += 1
                return across
        return self._gradients(w, None, cross=True)

    def loss_gradient(self, w: Tensor, player: int) -> Tensor:
        """Return the gradient of one player's loss by *all* players' parameters: [R, n] -> [R, n]. Costs 1/2."""
        batch = self.batch(w)
        self.gradients += 1 / len(self.blocks)
        with torch.enable_grad():
            players = self._players(self.project(w))
            loss = self._losses(players, batch, player)[player].sum()
        return torch.cat(_grad([loss], players), dim=1)

    def per_player(self, w: Tensor, *values: object) -> Tensor:
        """Expand one value for each player to [R, n].

        Args:
            w: parameters [R, n], for shape, dtype and device.
            values: one for each player: a number, [R, 1], or [R, n], of which the player's own block is taken.
        """
        parts = []
        for value, block in zip(values, self.blocks, strict=True):
            given = value.to(w) if isinstance(value, Tensor) else w.new_full((), cast("float", value))
            block_values = given[:, block] if given.ndim == 2 and given.shape[1] > 1 else given
            parts.append(block_values.expand(len(w), block.stop - block.start))
        return torch.cat(parts, dim=1)

    def within(self, player: int, inside: Tensor, outside: Tensor) -> Tensor:
        """Return ``inside`` in the player's block and ``outside`` elsewhere, [R, n]."""
        block = self.blocks[player]
        return torch.cat([outside[:, : block.start], inside[:, block], outside[:, block.stop :]], dim=1)

    def losses(self, w: Tensor) -> tuple[Tensor, ...]:
        """Return every player's loss on the current minibatch, one [R] for each player. For metrics: not counted."""
        with torch.no_grad():
            batch = self.batch(w)
            return self._now.losses(tuple(w[:, b] for b in self.blocks), batch)

    def samples(self, w: Tensor, count: int) -> Tensor:
        """Return generated data [R, count, ...]. For metrics: not counted.

        Raises:
            TypeError: the game generates nothing.
        """
        return self.named_samples(w, count)[MADE]

    def named_samples(self, w: Tensor, count: int) -> dict[str, Tensor]:
        """Return generated data and what belongs to it, [R, count, ...] each, by name; as `samples`."""
        game = self._current()
        if not isinstance(game, Generative):
            raise TypeError(f"{game.name} generates nothing: samples are for games with generate()")
        with torch.no_grad():
            if isinstance(game, Named):
                return game.named_samples(w, self.seeds, count)
            return {MADE: game.generate(w, self.seeds, count)}

    def _current(self) -> Game:
        """The game at the share of the budget that is spent; as it was given where no budget is known."""
        return self.game.at(self.share) if self.game.changes and self.budget != inf else self.game

    def cached(self, w: Tensor, key: object, compute: Callable[[], T]) -> T:
        """Return ``compute()``. The oracle that metrics get computes it only once for each w and key."""
        return compute()

    def _gradients(self, w: Tensor, player: int | None, cross: bool) -> Tensor:
        movers = range(len(self.blocks)) if player is None else (player,)
        batch = self.batch(w)  # before it is counted: what is drawn depends on what was spent until then
        self.gradients += len(movers) / len(self.blocks)
        with torch.enable_grad():
            players = tuple(w[:, b].detach().requires_grad_(i in movers) for i, b in enumerate(self.blocks))
            losses = {i: loss.sum() for i, loss in self._losses(players, batch, player).items()}
        parts = [torch.zeros_like(p) for p in players] if player is not None else list(players)
        for i in movers:
            loss = losses[len(losses) - 1 - i if cross else i]
            (parts[i],) = torch.autograd.grad(
                loss, players[i], retain_graph=i != movers[-1], allow_unused=True, materialize_grads=True
            )
        return torch.cat(parts, dim=1)

    def linear(self, w: Tensor, player: int | None = None, own: bool = True) -> tuple[Tensor, Product, Product]:
        """Return F(w) and the products with its Jacobian J at w.

        The graph of F(w) is built once; then each product costs one backward (J^T u) or the backward of a backward
        that is itself built once (J v). Where the game has them in closed form, no graph is needed.

        Args:
            w: parameters [R, n].
            player: if given, F and the rows of J are that player's alone, and only they are counted.
            own: False leaves out the diagonal blocks, which are the players' own Hessians. J is then the H_o of the
                literature on opponent shaping.

        Returns:
            F(w) [R, n], push and pull, with push(v) = J v and pull(u) = J^T u, both [R, n] -> [R, n].
        """
        w, batch = self.project(w), self.batch(w)
        share = 1.0 if player is None else 1 / len(self.blocks)
        self.gradients += share
        closed, field = None, None
        if self._differentiable is not None and self._field is not None:
            with torch.no_grad():
                closed = self._differentiable.products(w, batch, player, own)
                field = None if closed is None else self._field(w, batch, player)
        if field is None or closed is None:
            field, by_push, by_pull = self._graph(w, batch, player, own)
        else:
            by_push, by_pull = closed

        def pull(u: Tensor) -> Tensor:
            self.products += share
            return by_pull(u)

        def push(v: Tensor) -> Tensor:
            self.products += share
            return by_push(v)

        return field, push, pull

    def _graph(self, w: Tensor, batch: Batch | None, player: int | None, own: bool) -> tuple[Tensor, Product, Product]:
        """`linear` by autograd, uncounted."""
        movers = range(len(self.blocks)) if player is None else (player,)
        with torch.enable_grad():
            players = self._players(w)
            losses = self._losses(players, batch, player)
            grads = {i: _grad([losses[i].sum()], [players[i]], keep=True)[0] for i in movers}
        field = torch.cat([grads[i].detach() if i in grads else torch.zeros_like(p) for i, p in enumerate(players)], 1)

        def transposed(along: dict[int, Tensor], keep: bool) -> list[Tensor]:
            """J^T u as one block a player; ``along`` holds u's blocks."""
            if own:
                return _grad(list(grads.values()), players, list(along.values()), keep)
            total = [torch.zeros_like(p) for p in players]
            for i, grad in grads.items():
                others = [j for j in range(len(players)) if j != i]
                gradients = _grad([grad], [players[j] for j in others], [along[i]], keep)
                for j, part in zip(others, gradients, strict=True):
                    total[j] = total[j] + part
            return total

        def pull(u: Tensor) -> Tensor:
            return torch.cat(transposed({i: u[:, self.blocks[i]] for i in grads}, keep=False), dim=1)

        probed: list[tuple[dict[int, Tensor], list[Tensor]]] = []

        def push(v: Tensor) -> Tensor:
            if not probed:  # J^T u is linear in u: its own transpose is J
                with torch.enable_grad():
                    probes = {i: torch.zeros_like(grad).requires_grad_(True) for i, grad in grads.items()}
                    probed.append((probes, transposed(probes, keep=True)))
            probes, pulled = probed[0]
            image = _grad(pulled, list(probes.values()), [v[:, block] for block in self.blocks], keep=False)
            rows = dict(zip(probes, image, strict=True))
            return torch.cat([rows.get(i, torch.zeros_like(p)) for i, p in enumerate(players)], dim=1)

        return field, push, pull

    def tracked(self, w: Tensor, player: int | None = None) -> Tensor:
        """Return F(w) as a function of w that autograd can go back through: for derivatives through steps.

        It costs what `linear` does, and a product each time that a derivative by w is taken.

        Args:
            w: parameters [R, n], which may depend on others by autograd.
            player: if given, F is that player's alone.
        """
        return tracked(self.project(w), lambda point: self.linear(point, player)[::2])

    def _losses(self, players: tuple[Tensor, ...], batch: Batch | None, player: int | None) -> dict[int, Tensor]:
        """Every player's loss [R], or one's alone."""
        if player is not None:
            return {player: self._now.own_loss(player, players, batch)}
        return dict(enumerate(self._now.losses(players, batch)))

    def _players(self, w: Tensor) -> tuple[Tensor, ...]:
        """Every player's parameters as a leaf of its own."""
        return tuple(w[:, block].detach().requires_grad_(True) for block in self.blocks)


def _grad(
    of: Sequence[Tensor], by: Sequence[Tensor], along: Sequence[Tensor] | None = None, keep: bool = False
) -> list[Tensor]:
    """d<of, along> / d by, summed over ``of``; zeros where nothing depends. The graph stays; ``keep`` extends it."""
    chosen = [k for k, tensor in enumerate(of) if tensor.requires_grad]
    if not chosen:
        return [torch.zeros_like(tensor) for tensor in by]
    return list(
        torch.autograd.grad(
            [of[k] for k in chosen], by, None if along is None else [along[k] for k in chosen],
            retain_graph=True, create_graph=keep, allow_unused=True, materialize_grads=True,
        )
    )  # fmt: skip
