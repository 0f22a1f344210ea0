"""How plug-ins are found: a registry of named things of one kind.

A plug-in is found (a) in its folder here, (b) through the entry points ``bench.rules``, ``bench.games``,
``bench.metrics`` of an installed package, (c) as a path, ``./my_rule.py:MyRule``. No list has to be edited.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import torch

from bench.errors import UserError, nearest

T = TypeVar("T")

_outside: set[str] = set()  # packages of entry points and modules of files: what is in them, any process finds


@dataclass
class Registry(Generic[T]):
    """Named things of one kind, loaded from a package's modules and from entry points when first asked for."""

    what: str
    home: str
    group: str
    kind: type
    beside: tuple[str, ...] = ()
    """Other packages whose modules may hold such things."""
    things: dict[str, T] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    loaded: bool = False

    def add(self, name: str, thing: T, place: str) -> None:
        """Register; the same name from another place is refused, naming both."""
        if self.places.get(name, place) != place:
            raise UserError(f"{self.what} {name!r} is defined twice: in {self.places[name]} and in {place}")
        self.things[name], self.places[name] = thing, place

    def names(self) -> list[str]:
        self.load()
        return sorted(self.things)

    def __getitem__(self, name: str) -> T:
        self.load()
        if ".py:" in name:
            return self._from_path(name)
        if name not in self.things:
            raise UserError(f"unknown {self.what} {name!r}; {nearest(name, self.things)}")
        return self.things[name]

    def load(self) -> None:
        if self.loaded:
            return
        self.loaded = True
        for package in (self.home, *self.beside):
            home = importlib.import_module(package)
            for module in pkgutil.iter_modules(getattr(home, "__path__", ())):
                importlib.import_module(f"{package}.{module.name}")
        for entry in entry_points(group=self.group):
            with _explained(f"plug-in {entry.name!r} ({entry.value})"):
                thing = entry.load()
            _outside.add(_package(entry.module))
            # One that decorated itself is registered by being imported; a group may hold things of several kinds.
            if self._fits(thing) and self._known(thing) is None:
                self.add(entry.name, named(thing, entry.name), entry.value)

    def _fits(self, thing: Any) -> bool:
        return isinstance(thing, self.kind) or (inspect.isclass(thing) and issubclass(thing, self.kind))

    def _known(self, thing: Any) -> T | None:
        known = self.things.values()
        return next((one for one in known if thing is one or thing is getattr(one, "function", self)), None)

    def _from_path(self, spelled: str) -> T:
        path, _, attribute = spelled.rpartition(":")
        file = Path(path)
        if not file.is_file():
            raise UserError(f"{self.what} {spelled!r}: there is no file {path!r}")
        module = _module(file)
        if not hasattr(module, attribute):
            public = [key for key, value in vars(module).items() if getattr(value, "__module__", 0) == module.__name__]
            raise UserError(f"{self.what} {spelled!r}: {path} has no {attribute!r}; {nearest(attribute, public)}")
        thing = getattr(module, attribute)
        known = self._known(thing)
        if known is not None and not inspect.isclass(known):
            return known
        if not self._fits(thing):
            raise UserError(f"{spelled!r} is no {self.what}")
        # A class is named by its path, decorated or not: under another name no other process would find it.
        found: T = thing if ".py:" in getattr(thing, "name", "") else named(thing, spelled)
        return found


def named(thing: Any, name: str) -> Any:
    """A plug-in with its name; a class also as a frozen dataclass, decorated or not."""
    if inspect.isclass(thing) and "__dataclass_fields__" not in vars(thing):
        thing = dataclass(frozen=True)(thing)
    if inspect.isclass(thing):
        thing.name = name  # type: ignore[attr-defined]
    else:
        object.__setattr__(thing, "name", name)  # it may be frozen
    return thing


def place(thing: Any) -> str:
    """Where a thing is defined, so that a person can go there."""
    file = getattr(sys.modules.get(thing.__module__), "__file__", None)
    return f"{file or thing.__module__}:{thing.__qualname__}"


def origin(thing: Any) -> str:
    """``here`` for what is shipped, ``outside`` for a plug-in that any process finds, ``own`` for the caller's."""
    package = _package(getattr(thing, "__module__", None) or type(thing).__module__)
    if ".py:" in getattr(thing, "name", "") or package in _outside:
        return "outside"
    return "here" if package in ("bench", "optimizers") else "own"


def _package(module: str) -> str:
    return module.partition(".")[0]


def _module(file: Path) -> ModuleType:
    """The module of a plug-in's file, imported once."""
    name = f"bench_plugin_{file.resolve().stem}_{abs(hash(str(file.resolve())))}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            with _explained(f"plug-in {str(file)!r}"), torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(0)  # what it draws is the same in every process
                spec.loader.exec_module(module)
            _outside.add(name)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """A plug-in that cannot be imported is one line that says why; so is one that calls ``sys.exit``."""
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise UserError(f"{what} raised {type(error).__name__}: {' '.join(str(error).split())}") from error
