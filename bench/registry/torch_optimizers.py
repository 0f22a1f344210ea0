"""Optimizer classes of torch.optim, or of any package that follows its interface, as directions.

A class that works entry by entry gets all replicas as one parameter [R, n], at a step size of 1, and its state becomes
tensors with leading R, so it is a pure step like any other. A trial decides whether it does: the same replicas are
stepped stacked and one at a time. A class that mixes entries (by norms or factors) runs one replica at a time. A class
that cannot run in either way is refused, with the reason.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor

from bench.contracts import State
from bench.errors import UserError, nearest

TRIED = (3, 16)  # replicas and entries on which a class is tried
TRIED_STEPS = 12
GROUP = "group."  # prefix of state in a class's parameter group rather than at the parameter

Made = Callable[[Tensor], torch.optim.Optimizer]


@dataclass(frozen=True)
class Kept:
    """One part of a class's state: its shape (an entry's, or one number a replica) and its type."""

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


@dataclass(frozen=True)
class Foreign:
    """An optimizer class with its options, after a trial: its state, whether it works entry by entry."""

    make: Made
    kept: dict[str, Kept]
    stacks: bool
    normalised: bool
    """Steps of the same length whatever the gradient's."""
    writes: bool
    """Whether the class writes into the gradient that it is given."""

    def init(self, w: Tensor) -> State:
        return {"begun": torch.zeros_like(w[:, :1])} | {key: kept.empty(w) for key, kept in self.kept.items()}

    def __call__(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        """The step that the class takes from w [R, n] at a step size of 1, to be descended, and what it keeps."""
        if self.stacks:
            return self._step(g, s, w)
        parts = [self._step(g[r : r + 1], {k: v[r : r + 1] for k, v in s.items()}, w[r : r + 1]) for r in range(len(w))]
        return torch.cat([d for d, _ in parts]), {key: torch.cat([after[key] for _, after in parts]) for key in s}

    def _step(self, g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        point = w.detach().clone() if self.stacks else w[0].detach().clone()
        optimizer = self.make(point)
        if bool(s["begun"][0, 0] > 0):  # all replicas begin together
            for key, kept in self.kept.items():
                value = kept.unpacked(s[key] if self.stacks or not kept.per_entry else s[key][0])
                _home(optimizer, point, key)[key.removeprefix(GROUP)] = value
        given = g.reshape(point.shape)
        _take(optimizer, point, given.clone() if self.writes else given)
        after: State = {"begun": torch.ones_like(s["begun"])}
        for key, kept in self.kept.items():
            value = kept.packed(_home(optimizer, point, key)[key.removeprefix(GROUP)], len(w))
            after[key] = value.reshape(s[key].shape).to(s[key].dtype)
        return w - point.reshape(w.shape), after


def _home(optimizer: torch.optim.Optimizer, point: Tensor, key: str) -> dict[str, Any]:
    """Where a class keeps it."""
    home: dict[str, Any] = optimizer.param_groups[0] if key.startswith(GROUP) else optimizer.state[point]
    return home


def _take(optimizer: torch.optim.Optimizer, point: Tensor, g: Tensor) -> None:
    point.grad = g
    optimizer.step()
    point.grad = None


@lru_cache(maxsize=64)
def foreign(name: str, options: tuple[tuple[str, Any], ...]) -> Foreign:
    """The class of that name (in torch.optim, or dotted) with options; UserError where it cannot be run, and why."""
    make = _maker(name, dict(options))
    with _declining(name):
        kept = _keeps(make)
        length = [_moved(make, scale) for scale in (1.0, 1e-4)]
        if not all(map(_is_finite, length)):
            raise ValueError("its steps are not finite")
        normalised = bool(length[1].norm() > 0.1 * length[0].norm())
        return Foreign(make, kept, _stacks(make), normalised, _writes(make))


def _is_finite(moved: Tensor) -> bool:
    return bool(moved.isfinite().all())


def _maker(name: str, options: dict[str, Any]) -> Made:
    """A function from a parameter to an optimizer for it, at a step size of 1."""
    optimizer_class = _class(name)
    parameters = inspect.signature(optimizer_class).parameters
    if "lr" in options:
        raise UserError(f"torch[{name}]: lr is the scheme's; write e.g. sgd[lr=0.1,direction=torch[{name}]]")
    for key in options:
        if key not in parameters and not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            raise UserError(f"torch[{name}] has no {key!r}; {nearest(key, set(parameters) - {'params', 'lr'})}")
    at_one = {"lr": 1.0} if "lr" in parameters else {}
    return lambda point: cast("torch.optim.Optimizer", optimizer_class([point], **at_one, **options))


def _class(name: str) -> type:
    module, _, attribute = name.rpartition(".")
    try:
        home = importlib.import_module(module or "torch.optim")
    except ImportError as error:
        raise UserError(f"torch[{name}]: {module!r} cannot be imported: {error}") from None
    classes: dict[str, type] = {key: candidate for key, candidate in vars(home).items() if _is_optimizer(candidate)}
    if attribute not in classes:
        raise UserError(f"torch[{name}]: no optimizer class; {nearest(attribute, classes)}")
    return classes[attribute]


def _is_optimizer(candidate: Any) -> bool:
    base = torch.optim.Optimizer
    return inspect.isclass(candidate) and issubclass(candidate, base) and candidate is not base


@contextmanager
def _declining(name: str) -> Iterator[None]:
    """Turn an exception during the trial into the reason why the class cannot be a direction."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"torch[{name}] cannot be a direction, a step from one gradient: {type(error).__name__}: {reason}"
        ) from error


def _gradients() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(TRIED, generator=generator, dtype=torch.float64) for _ in range(TRIED_STEPS)]


def _walk(make: Made, rows: slice, flat: bool) -> tuple[Tensor, torch.optim.Optimizer, Tensor]:
    """A few steps of some trial replicas: their end points, the optimizer, its parameter."""
    start, *gradients = [_gradients()[0], *_gradients()]
    point = start[rows][0].clone() if flat else start[rows].clone()
    optimizer = make(point)
    for g in gradients:
        _take(optimizer, point, g[rows].reshape(point.shape).clone())
    return point.reshape(start[rows].shape), optimizer, point


def _moved(make: Made, scale: float) -> Tensor:
    """The last of a few steps of one replica from 0, for gradients of that scale."""
    before = point = torch.zeros(TRIED[1], dtype=torch.float64)
    optimizer = make(point)
    for g in _gradients():
        before = point.clone()
        _take(optimizer, point, scale * g[0])
    return point - before


def _stacks(make: Made) -> bool:
    """Whether replicas stacked as one parameter take the same steps as each alone."""
    alone = torch.cat([_walk(make, slice(r, r + 1), flat=True)[0] for r in range(TRIED[0])])
    try:
        together = _walk(make, slice(None), flat=False)[0]
    except Exception:
        return False
    return torch.allclose(together, alone, rtol=1e-12, atol=1e-12)


def _writes(make: Made) -> bool:
    """Whether a few steps change the gradients that they are given."""
    point = torch.ones(TRIED[1], dtype=torch.float64)
    optimizer, given = make(point), [g[0].clone() for g in _gradients()]
    for g in given:
        _take(optimizer, point, g)
    return not all(torch.equal(g, other[0]) for g, other in zip(given, _gradients(), strict=True))


def _keeps(make: Made) -> dict[str, Kept]:
    """The state of the class between steps, by key; entries of its parameter group have a prefix."""
    _, optimizer, point = _walk(make, slice(0, 1), flat=True)
    fresh = make(point.clone()).param_groups[0]
    kept = dict(optimizer.state[point].items())
    for key, value in optimizer.param_groups[0].items():
        if key != "params" and (key not in fresh or fresh[key] != value):
            kept[GROUP + key] = value
    return {key: _kept(key, value, point) for key, value in kept.items() if value is not None}


def _kept(key: str, value: Any, point: Tensor) -> Kept:
    if isinstance(value, Tensor) and value.shape == point.shape:
        return Kept(True, value.dtype)
    if isinstance(value, Tensor) and value.numel() == 1:
        return Kept(False, value.dtype)
    if isinstance(value, (bool, int, float)):
        return Kept(False, type(value))
    what = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    raise TypeError(f"it keeps {what} as {key!r}; one number an entry, or one in all, can be kept")
