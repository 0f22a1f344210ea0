"""What an optimizer changes where no memory is read: in objects that it holds, on its class, in its module, by chance.

A memory is read as numbers, tensors and containers of them. Whatever else a class changes is lost when the next step is
taken by a new object, so it is looked for: everything is taken down in depth before the steps and after each of them.
"""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.registry.torch_memory import FRESH, Reading, own_attributes, walked

DEPTH = 12
FROM_ELSEWHERE = (
    "torch",
    "numpy",
    "builtins",
    "bench",
    "optimizers",
)  # whose classes and modules keep nothing of a step

Taken = dict[str, Any]


def taken_down(optimizer: torch.optim.Optimizer, params: list[Tensor]) -> Taken:
    """Everything that a memory does not hold, by what a user would call it."""
    parts = Reading(optimizer, params).parts
    opaque = {path for path, form in parts.items() if FRESH in walked(form)}
    skipped = {id(p) for p in params}
    found: Taken = {}
    for path in opaque:
        if path[0] == "own":
            found[f"{path[1]!r} on itself"] = deep(own_attributes(optimizer)[path[1]], set(skipped))
        if path[0] == "group":
            found[f"{path[2]!r} in its group"] = deep(optimizer.param_groups[path[1]][path[2]], set(skipped))
    for cls in type(optimizer).__mro__:
        if cls.__module__.partition(".")[0] in FROM_ELSEWHERE:
            continue
        for name, value in vars(cls).items():
            if not name.startswith("__") and name != "_abc_impl":
                found[f"{name!r} on its class"] = deep(value, set(skipped))
        for name, value in (
            vars(sys.modules.get(cls.__module__, object())).items() if cls.__module__ in sys.modules else ()
        ):
            if not name.startswith("__") and not isinstance(value, (ModuleType, type)) and not callable(value):
                found[f"{name!r} in its module"] = deep(value, set(skipped))
    found["the random numbers of torch"] = torch.get_rng_state().numpy().tobytes()
    found["the random numbers of numpy"] = deep(np.random.get_state(), set())
    found["the random numbers of Python"] = hash(random.getstate())
    return found


def changed(before: Taken, after: Taken) -> list[str]:
    """What differs between two."""
    return [name for name in after if before.get(name) != after[name]]


def deep(value: Any, seen: set[int] | None = None, depth: int = DEPTH) -> Any:
    """A value that equals another where nothing in the two differs, however deep."""
    seen = set() if seen is None else seen
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, torch.dtype, torch.device, CodeType)):
        return repr(value)
    if id(value) in seen or depth == 0 or isinstance(value, (ModuleType, type)):
        return "again"
    seen.add(id(value))
    go_on = partial(deep, seen=seen, depth=depth - 1)
    if isinstance(value, Tensor):
        dense = value.detach().cpu().to_dense() if value.layout is not torch.strided else value.detach().cpu()
        return str(value.dtype), tuple(value.shape), bits(dense)
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes() if value.dtype != object else repr(value)
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    if isinstance(value, Mapping):
        return type(value).__name__, [
            (repr(key) if not isinstance(key, Tensor) else "tensor", go_on(each)) for key, each in value.items()
        ]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, MethodType):
        return go_on(value.__func__), go_on(value.__self__)
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_set(cell)]
        return [go_on(each) for each in (cells, value.__defaults__, value.__kwdefaults__, vars(value))]
    if isinstance(value, (staticmethod, classmethod, property)):
        return "method"
    if isinstance(value, partial):
        return [go_on(each) for each in (value.func, value.args, value.keywords)]
    if hasattr(value, "__iter__") and hasattr(value, "__len__") and not hasattr(value, "__dict__"):
        return type(value).__name__, [go_on(each) for each in value]
    if isinstance(value, np.random.RandomState):
        return go_on(value.get_state())
    if isinstance(value, np.random.Generator):
        return go_on(value.bit_generator.state)
    if isinstance(value, random.Random):
        return hash(value.getstate())
    if inspect.isgenerator(value) or not hasattr(value, "__dict__"):
        return repr(value)  # an iterator of itertools tells where it stands
    return type(value).__name__, go_on(vars(value))


def bits(tensor: Tensor) -> bytes:
    """A tensor's bits, whatever its dtype."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _is_set(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
