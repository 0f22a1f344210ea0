"""The code and the values that an object is made of, for plug-ins that a program or a notebook makes itself.

Code from a file counts with the file (`bench.registry.sources`), code without one, as in a notebook, by its compiled
instructions and by what these use of the notebook: other functions and classes, and plain values such as numbers.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

from bench.registry.plugin_files import SHIPPED
from bench.registry.sources import REQUIRED, file_code, is_installed

PLAIN = (str, bytes, int, float, complex, bool, type(None), torch.dtype, torch.Size)
PARTS = ("_parameters", "_buffers", "_modules")
"""Of a torch module: what its own text and `digest` tell of."""


def made_of(thing: Any) -> str:
    """A hash of all that an object is made of. What a game's ``digest`` tells, its numbers, is left to that."""
    visit = _Visit(numbers=not hasattr(thing, "digest"))
    told = sha256()
    for part in visit.of(thing):
        told.update(part.encode() + b";")
    return told.hexdigest()[:16]


class _Visit:
    """One walk through an object; each part of it is visited once."""

    def __init__(self, numbers: bool) -> None:
        self.numbers = numbers
        self.seen: dict[int, Any] = {}  # the objects stay, so that no other gets the number of one

    def of(self, thing: Any) -> Iterator[str]:
        if isinstance(thing, PLAIN):
            yield repr(thing)
            return
        if id(thing) in self.seen:
            return
        self.seen[id(thing)] = thing
        yield type(thing).__name__
        if isinstance(thing, Tensor):
            if self.numbers:
                yield sha256(
                    thing.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
                ).hexdigest()
        elif isinstance(thing, (list, tuple)):
            yield from self._all(thing)
        elif isinstance(thing, (set, frozenset)):
            yield from self._all(sorted(thing, key=repr))
        elif isinstance(thing, dict):
            yield from self._all(part for pair in thing.items() for part in pair)
        elif isinstance(thing, partial):
            yield from self._all((thing.func, thing.args, thing.keywords))
        elif isinstance(thing, MethodType):
            yield from self._all((thing.__self__, thing.__func__))
        elif isinstance(thing, CodeType):
            yield from self._code(thing)
        elif isinstance(thing, FunctionType):
            yield from self._function(thing)
        elif inspect.isclass(thing):
            yield from self._class(thing)
        else:
            yield from self._object(thing)

    def _all(self, things: Any) -> Iterator[str]:
        for thing in things:
            yield from self.of(thing)

    def _object(self, thing: Any) -> Iterator[str]:
        yield from self.of(type(thing))
        if is_dataclass(thing):
            values = {field.name: getattr(thing, field.name) for field in fields(thing)}
        else:
            kept = getattr(thing, "__dict__", {})
            worked_out = {name for name in kept if isinstance(getattr(type(thing), name, None), cached_property)}
            values = {name: value for name, value in kept.items() if name not in {*worked_out, *PARTS}}
        for name in sorted(values):
            yield name
            yield from self.of(values[name])
        if isinstance(thing, nn.Module):
            yield from self._all(thing.children())

    def _class(self, cls: type) -> Iterator[str]:
        yield cls.__qualname__
        if (known := _file_code(cls.__module__)) is not None:
            yield from known
            if "<locals>" not in cls.__qualname__:  # what a function made may depend on its arguments
                return
        for name, value in sorted(vars(cls).items()):
            inner = getattr(value, "fget", None) or getattr(value, "func", None) or getattr(value, "__func__", value)
            if isinstance(inner, (*PLAIN, FunctionType)) and name not in ("__module__", "__doc__", "name"):
                yield name
                yield from self.of(inner)
        yield from self._all(base for base in cls.__bases__ if base is not object)

    def _function(self, function: FunctionType) -> Iterator[str]:
        known = _file_code(function.__module__ or "")
        yield from known or ()
        yield from self._all((function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            yield from self.of(cell.cell_contents)
        if known is None:
            yield from self.of(function.__code__)
            used = {name: function.__globals__.get(name) for name in sorted(_names(function.__code__))}
            mine = (*PLAIN, FunctionType, type, tuple, list, dict, Tensor)
            yield from self._all(value for value in used.values() if isinstance(value, mine))

    def _code(self, code: CodeType) -> Iterator[str]:
        yield code.co_code.hex()
        yield from self._all((code.co_names, code.co_varnames, code.co_consts))


def _names(code: CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _file_code(module: str) -> list[str] | None:
    """What a module's code counts with: nothing if shipped or installed, its file's code, or None without a file."""
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(module), "__file__", None)
    if top in SHIPPED or top in REQUIRED or (top in sys.stdlib_module_names and module != "__main__"):
        return []
    if not file or not Path(file).is_file():
        return None
    return [] if is_installed(Path(file)) else file_code(Path(file))
