"""What an optimizer of another package keeps between two steps, as tensors with leading R, and back again.

An optimizer keeps things at its parameters, in its groups, and on itself. All of it is read as one tree. The tree has
leaves, which are tensors and numbers, and a form, which is all the rest: keys, containers, shapes, dtypes, texts. What
comes back is exact in value, shape and dtype.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

Form = tuple[Any, ...]
Path = tuple[Any, ...]
Spec = tuple[tuple[int, ...], torch.dtype]

FRESH: Form = ("fresh",)  # not kept: a new object has it as it must be
PLAIN = (type(None), str, bytes, complex, torch.dtype, torch.device)  # never changed in place: part of the form
MISSING = object()


@lru_cache(maxsize=1)
def _of_every_optimizer() -> frozenset[str]:
    """Attributes that every optimizer has, hooks among them; options are a class's own."""
    made = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    return frozenset(vars(made)) - {"defaults"}


def own_attributes(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What a class has set on its object, in slots too."""
    given = [vars(cls).get("__slots__", ()) for cls in type(optimizer).__mro__]
    slots = [name for names in given for name in ([names] if isinstance(names, str) else names)]
    found = vars(optimizer) | {name: getattr(optimizer, name) for name in slots if hasattr(optimizer, name)}
    return {name: value for name, value in found.items() if name not in _of_every_optimizer()}


class Reading:
    """An optimizer's memory: its form and its leaves, in the order of the form.

    Args:
        optimizer: whose.
        params: its parameters; the form names them by their place.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, params: list[Tensor]) -> None:
        self.leaves = list[Any]()
        self.device = params[0].device
        self._places = {id(p): index for index, p in enumerate(params)}
        groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
        self.parts: dict[Path, Form] = {}
        """The form by its parts: (where, key) -> form."""
        for index, group in enumerate(groups):
            self.parts |= {("group", index, key): self._form(value) for key, value in group.items()}
        for key, value in optimizer.state.items():
            name = self._key(key)
            if name is None:
                raise TypeError("it keeps state for tensors that it made itself")
            entries = value.items() if type(value) is dict else [(None, value)]
            self.parts[("state", name)] = FRESH if type(value) is dict else ()
            for inner, entry in entries:
                self.parts[("state", name, inner)] = self._kept(entry, ("state", name, inner))
        self.parts |= {("own", key): self._form(value) for key, value in own_attributes(optimizer).items()}

    @property
    def form(self) -> Form:
        """The whole form, hashable."""
        return tuple(self.parts.items())

    def _kept(self, value: Any, path: Path) -> Form:
        form = self._form(value)
        if FRESH in walked(form):
            raise TypeError(
                f"it keeps a {type(value).__name__} as {path[-1] or path[1]!r}, which is no memory of numbers"
            )
        return form

    def _key(self, key: Any) -> Any:
        """A key of a dict as it is named in a form; None for one that cannot be."""
        if isinstance(key, Tensor):
            return ("parameter", self._places[id(key)]) if id(key) in self._places else None
        return key if isinstance(key, (str, int, float)) else None

    def _form(self, value: Any) -> Form:
        kind = type(value)
        if kind in (bool, int, float):
            self.leaves.append(value)
            return (kind,)
        if isinstance(value, PLAIN):
            return ("plain", value)
        if id(value) in self._places:
            return ("parameter", self._places[id(value)])
        if kind in (Tensor, torch.nn.Parameter) and value.layout is torch.strided:
            self.leaves.append(value.detach())
            return (Tensor, tuple(value.shape), value.dtype, value.device == self.device, _strides(value))
        if kind in (list, tuple, deque):
            return (kind, value.maxlen if kind is deque else None, tuple(map(self._form, value)))
        if kind in (dict, OrderedDict, defaultdict) and all(self._key(key) is not None for key in value):
            named = tuple((self._key(key), self._form(each)) for key, each in value.items())
            return (kind, value.default_factory if kind is defaultdict else None, named)
        return FRESH


def _strides(tensor: Tensor) -> tuple[int, ...] | None:
    """How a tensor lies in memory, because products differ by it in the last bit; None where row by row."""
    plain = [1]
    for size in reversed(tensor.shape[1:]):
        plain.insert(0, plain[0] * max(size, 1))
    strides = tuple(tensor.stride())
    return None if strides == tuple(plain[: tensor.ndim]) or 0 in strides else strides


def walked(form: Any) -> Iterator[Any]:
    yield form
    if isinstance(form, tuple) and form[:1] != ("plain",):
        for part in form:
            yield from walked(part)


def specs(form: Form) -> list[Spec | type]:
    """Of every leaf in turn: shape and dtype of a tensor, the type of a number."""
    found: list[Spec | type] = []
    for part in walked(form):
        if isinstance(part, tuple) and len(part) == 5 and part[0] is Tensor:
            found.append((part[1], part[2]))
        elif isinstance(part, tuple) and len(part) == 1 and part[0] in (bool, int, float):
            found.append(part[0])
    return found


def held(optimizer: torch.optim.Optimizer) -> dict[Path, Any]:
    """What stands in an object's groups and on itself, by path."""
    groups = {
        ("group", index, key): value
        for index, group in enumerate(optimizer.param_groups)
        for key, value in group.items()
        if key != "params"
    }
    return groups | {("own", name): value for name, value in own_attributes(optimizer).items()}


class OwnStepSizeError(Exception):
    """The scheme gives another step size than before, and the class has changed what it made of that one."""


def write(
    optimizer: torch.optim.Optimizer,
    params: list[Tensor],
    form: Form,
    leaves: list[Any],
    of_rate: dict[Path, Any] | None = None,
) -> None:
    """Give a new object the memory that was read from another; tensors must be its own to write into.

    Args:
        optimizer: the new object.
        params: its parameters.
        form, leaves: the memory.
        of_rate: where the step size is another than the memory's: what followed from that one. It stays as the new
            object has it.
    """
    writing = _Writing(params, iter(leaves))
    fresh = held(optimizer)
    own = own_attributes(optimizer)
    for group in optimizer.param_groups:
        for key in [key for key in group if key != "params"]:
            del group[key]
    optimizer.state.clear()
    for path, part in form:
        if path[0] in ("group", "own"):
            value = writing.value(part, fresh.get(path, MISSING))
            if path in (of_rate or {}):
                if value != (of_rate or {})[path]:
                    raise OwnStepSizeError(path[-1])
                value = fresh[path]
            if path[0] == "group":
                optimizer.param_groups[path[1]][path[2]] = value
            else:
                object.__setattr__(optimizer, path[1], value)
                own.pop(path[1], None)
        elif len(path) == 3 and path[2] is not None:
            optimizer.state[writing.key(path[1])][path[2]] = writing.value(part, MISSING)
        elif len(path) == 3:
            optimizer.state[writing.key(path[1])] = writing.value(part, MISSING)
        elif part == FRESH:
            optimizer.state[writing.key(path[1])] = {}
    for name in own:  # the class had deleted them
        object.__delattr__(optimizer, name)


@dataclass
class _Writing:
    params: list[Tensor]
    leaves: Iterator[Any]

    def key(self, name: Any) -> Any:
        return self.params[name[1]] if isinstance(name, tuple) else name

    def value(self, form: Form, fresh: Any) -> Any:
        if form == FRESH:
            if fresh is MISSING:
                raise LookupError("a new object has not what it keeps")
            return fresh
        kind = form[0]
        if kind in (bool, int, float):
            return kind(next(self.leaves))
        if kind is Tensor:
            tensor = next(self.leaves)
            if form[4] is not None:
                tensor = tensor.new_empty_strided(form[1], form[4]).copy_(tensor)
            return tensor if form[3] else tensor.cpu()
        if kind == "plain":
            return form[1]
        if kind == "parameter":
            return self.params[form[1]]
        if kind in (dict, OrderedDict, defaultdict):
            known = fresh if isinstance(fresh, dict) else {}
            made = defaultdict(form[1]) if kind is defaultdict else kind()
            for name, part in form[2]:
                key = self.key(name)
                made[key] = self.value(part, known.get(key, MISSING))
            return made
        parts = list(fresh) if isinstance(fresh, (list, tuple, deque)) else []
        parts += [MISSING] * len(form[2])
        values = [self.value(part, known) for part, known in zip(form[2], parts, strict=False)]
        return deque(values, form[1]) if kind is deque else kind(values)
