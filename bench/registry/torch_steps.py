"""Steps of an optimizer class as pure functions: each player's own optimizer, made anew at every step with its memory.

`Looped` steps one replica after another. The class gets what it would get in a user's loop: one parameter for each
tensor of a network, one optimizer for each player, the scheme's step size as its lr. `Stacked` steps all replicas as
one parameter [R, n] at a step size of 1, for classes where that is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from bench.contracts import State
from bench.contracts.game import Parameter
from bench.contracts.hyperparameter import Value
from bench.errors import UserError
from bench.registry.torch_layout import Layout, UnknownFormError
from bench.registry.torch_memory import OwnStepSizeError, Path, Reading, held, write

GROUP = "group."  # prefix of state in a class's parameter group rather than at the parameter
RATE = 0.01

Make = Callable[[list[Tensor], float], torch.optim.Optimizer]
Tensors = tuple[tuple[Parameter, ...], ...]
"""For each player, where the tensors of its network lie in w."""


class Steps(Protocol):
    """How a class steps all replicas."""

    def init(self, w: Tensor) -> State:
        """The memory before the first step."""
        ...

    def descend(self, g: Tensor, s: State, w: Tensor, lr: Value) -> tuple[Tensor, State]:
        """Where the class goes from w [R, n], and its memory."""
        ...


class Live:
    """One player's optimizer as in a user's loop.

    Args:
        make: makes the optimizer.
        tensors: where the player's tensors lie in w.
        w: one replica's parameters, [n].
        rate: the step size.
    """

    def __init__(self, make: Make, tensors: tuple[Parameter, ...], w: Tensor, rate: float) -> None:
        self.tensors = tensors
        self.params: list[Tensor] = [
            torch.nn.Parameter(w[tensor.columns].detach().reshape(tensor.shape).clone()) for tensor in tensors
        ]
        with torch.enable_grad():
            self.optimizer = make(self.params, rate)

    def step(self, g: Tensor) -> None:
        """One step along the gradient [n]."""
        self.optimizer.zero_grad()
        for param, tensor in zip(self.params, self.tensors, strict=True):
            param.grad = g[tensor.columns].reshape(tensor.shape).clone()
        with torch.enable_grad():
            self.optimizer.step()

    def put(self, w: Tensor) -> None:
        """Write where it stands into w [n]."""
        for param, tensor in zip(self.params, self.tensors, strict=True):
            w[tensor.columns] = param.detach().reshape(-1)

    def read(self) -> Reading:
        """Its memory."""
        return Reading(self.optimizer, self.params)


@dataclass(frozen=True, eq=False)
class Looped:
    """Each player's own optimizer, one replica after another.

    Args:
        name: of the class, for messages.
        make: makes the optimizer of one player.
        tensors: where the players' tensors lie.
        of_rate: what of a new object follows from its step size.
        settles: steps after which its memory takes no new form.
    """

    name: str
    make: Make
    tensors: Tensors
    of_rate: frozenset[Path]
    settles: int
    layouts: dict[tuple[torch.dtype, torch.device], list[Layout]] = field(default_factory=dict)

    def init(self, w: Tensor) -> State:
        players = enumerate(self.layouts_for(w.dtype, w.device))
        rates = w.new_zeros(len(w), len(self.tensors), dtype=torch.float64)
        return {"rate": rates} | {f"player {i}": layout.empty(len(w), w.device) for i, layout in players}

    def layouts_for(self, dtype: torch.dtype, device: torch.device) -> list[Layout]:
        """Every player's memory, as found by a few steps on tensors of these shapes; some without a gradient."""
        key = dtype, device
        if key not in self.layouts:
            columns = max(tensor.columns.stop for player in self.tensors for tensor in player)
            generator = torch.Generator().manual_seed(1)
            drawn = [torch.randn(columns, generator=generator, dtype=torch.float64) for _ in range(3 + self.settles)]
            start, *gradients = [each.to(device=device, dtype=dtype) for each in drawn]
            layouts = [Layout() for _ in self.tensors]
            for layout, tensors in zip(layouts, self.tensors, strict=True):
                for walk in walks(gradients):
                    live = Live(self.make, tensors, start, RATE)
                    for g in walk:
                        live.step(g)
                        layout.learn(live.read())
            self.layouts[key] = layouts
        return self.layouts[key]

    def descend(self, g: Tensor, s: State, w: Tensor, lr: Value) -> tuple[Tensor, State]:
        after, moved, g, w = self.init(w), w.detach().clone(), g.detach(), w.detach()
        after["rate"] = self._rates(lr, w)
        for player, layout in enumerate(self.layouts_for(w.dtype, w.device)):
            for row in range(len(w)):
                self._step(player, layout, row, g, s, w, after, moved)
        return moved, after

    def _step(
        self, player: int, layout: Layout, row: int, g: Tensor, s: State, w: Tensor, after: State, moved: Tensor
    ) -> None:
        """One replica's step of one player, written into ``after`` and ``moved``."""
        tensors, key, rate = self.tensors[player], f"player {player}", float(after["rate"][row, player])
        try:
            live = Live(self.make, tensors, w[row], rate)
            memory = layout.take(s[key], row)
            if memory is not None:
                before = float(s["rate"][row, player])
                write(
                    live.optimizer, live.params, *memory, None if before == rate else self._at(before, player, w[row])
                )
            live.step(g[row])
            layout.put(live.read(), after[key], row)
            live.put(moved[row])
        except OwnStepSizeError as error:
            raise UserError(
                f"torch[{self.name}] changes its own {error.args[0]!r}, and this scheme gives it another step size "
                "from one step to the next: use it where there is one, e.g. sgd, alternating, extragrad"
            ) from None
        except Exception as error:
            own = torch.cat([row_of[row, tensor.columns] for row_of in (g, w) for tensor in tensors])
            own = torch.cat([own, *(s[key][name][row].flatten().to(own) for name in layout.tensors)])
            if not bool(own.isfinite().all()):  # this replica has diverged: the others go on
                for tensor in tensors:
                    moved[row, tensor.columns] = float("nan")
                for name, part in s[key].items():
                    after[key][name][row] = part[row]
                return
            if isinstance(error, UnknownFormError):
                raise UserError(f"torch[{self.name}] keeps something that it did not keep when it was tried") from None
            raise UserError(f"torch[{self.name}]: {told(error)}") from error

    def _at(self, rate: float, player: int, w: Tensor) -> dict[Path, Any]:
        """What follows from a step size on a new object."""
        found = held(Live(self.make, self.tensors[player], w, rate).optimizer)
        return {path: found[path] for path in self.of_rate}

    def _rates(self, lr: Value, w: Tensor) -> Tensor:
        """The step size of every replica and player, [R, players]."""
        rates = torch.as_tensor(lr, dtype=None if isinstance(lr, Tensor) else torch.float64).to(w.device)
        if rates.ndim < 2 or rates.shape[1] == 1:
            return as_spelled(rates).expand(len(w), len(self.tensors)).clone()
        columns = []
        for player in self.tensors:
            block = rates[:, player[0].start : player[-1].columns.stop]
            if bool((block != block[:, :1]).any()):
                bind = "; bind the rule to its game with bench.contracts.introspection.for_game(rule, game)"
                raise UserError(
                    f"torch[{self.name}] takes one step size a player{bind if len(self.tensors) == 1 else ''}"
                )
            columns.append(block[:, 0])
        return as_spelled(torch.stack(columns, dim=1)).expand(len(w), -1).clone()


def walks(gradients: list[Tensor]) -> list[list[Tensor]]:
    """Gradients under which a memory may take different forms: by chance or all one way, small too, and none."""
    one_way = [gradients[0]] * len(gradients)
    return [gradients, one_way, *([scale * g for g in walk] for scale in (1e-3, 0.0) for walk in (gradients, one_way))]


def as_spelled(rates: Tensor) -> Tensor:
    """In float64; a step size in float32 by its shortest digits, for 0.01 in a user's loop is no float32."""
    if rates.dtype == torch.float64:
        return rates
    digits = [float(str(rate)) for rate in rates.detach().cpu().float().flatten().numpy()]
    return torch.tensor(digits, dtype=torch.float64, device=rates.device).reshape(rates.shape)


def told(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


@dataclass(frozen=True)
class Kept:
    """One part of a stacked class's state: its shape (an entry's, or one number for all) and its type."""

    per_entry: bool
    kind: type | torch.dtype

    def empty(self, w: Tensor) -> Tensor:
        """Room for it beside w [R, n]."""
        if self.per_entry:
            wide = w.dtype if self.kind == torch.float64 else cast("torch.dtype", self.kind)  # it was tried in float64
            return torch.zeros_like(w, dtype=wide)
        return w.new_zeros(len(w), 1, dtype=self.kind if isinstance(self.kind, torch.dtype) else torch.float64)

    def packed(self, value: Any, rows: int) -> Tensor:
        """The class's state for a parameter of some rows, as a tensor with leading R."""
        if self.per_entry:
            return cast("Tensor", value)
        return torch.as_tensor(value, dtype=torch.float64 if isinstance(self.kind, type) else None).repeat(rows, 1)

    def unpacked(self, value: Tensor) -> Any:
        """In the form of the class: a copy, because the class may write into it."""
        if self.per_entry:
            return value.clone()
        return self.kind(value[0, 0].item()) if isinstance(self.kind, type) else value[0, 0].clone()


@dataclass(frozen=True, eq=False)
class Stacked:
    """All replicas as one parameter [R, n] at a step size of 1, which the scheme's multiplies.

    Args:
        name: of the class, for messages.
        make: makes the optimizer.
        kept: its state; entries of its parameter group have a prefix.
        group: what stands in a group that has made a step, and is not kept.
        writes: whether the class writes into the gradient that it is given.
    """

    name: str
    make: Make
    kept: dict[str, Kept]
    group: dict[str, Any]
    writes: bool

    def init(self, w: Tensor) -> State:
        return {"begun": torch.zeros_like(w[:, :1])} | {key: kept.empty(w) for key, kept in self.kept.items()}

    def descend(self, g: Tensor, s: State, w: Tensor, lr: Value) -> tuple[Tensor, State]:
        d, s = self.direction(g, s, w)
        return w - lr * d, s

    def direction(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        """The step d that the class takes from w [R, n] at a step size of 1, to be descended, and what it keeps."""
        point = torch.nn.Parameter(w.detach().clone())
        optimizer = self.make([point], 1.0)
        if bool(s["begun"][0, 0] > 0):  # all replicas begin together
            for key, kept in self.kept.items():
                _home(optimizer, point, key)[key.removeprefix(GROUP)] = kept.unpacked(s[key])
        point.grad = g.clone() if self.writes else g
        with torch.enable_grad():
            optimizer.step()
        point.grad = None
        after: State = {"begun": torch.ones_like(s["begun"])}
        for key, kept in self.kept.items():
            value = kept.packed(_home(optimizer, point, key)[key.removeprefix(GROUP)], len(w))
            after[key] = value.reshape(s[key].shape).to(s[key].dtype)
        group = optimizer.param_groups[0]
        if any(group[key] != value for key, value in self.group.items()):
            raise UserError(f"torch[{self.name}] changes in its group what it did not change when it was tried")
        return w - point.detach(), after


def _home(optimizer: torch.optim.Optimizer, point: Tensor, key: str) -> dict[str, Any]:
    """Where a class keeps it."""
    home: dict[str, Any] = optimizer.param_groups[0] if key.startswith(GROUP) else optimizer.state[point]
    return home
