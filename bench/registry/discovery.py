"""Discovery of plug-ins: a registry of named plug-ins of one kind.

A plug-in is found (a) in its folder here, (b) through the entry points ``bench.rules``, ``bench.games``,
``bench.metrics`` of an installed package, (c) as a path, ``./my_rule.py:MyRule``. No list has to be edited.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from bench.errors import UserError, nearest
from bench.registry.plugin_files import SHIPPED, loaded
from bench.registry.sources import file_code

T = TypeVar("T")

_outside: set[str] = set()  # packages of entry points and of files' folders, which any process can import

_offered: set[str] = set()  # names of ready-made objects that entry points offer


@dataclass
class Registry(Generic[T]):
    """Named plug-ins of one kind, loaded on first use from a package's modules and from entry points."""

    what: str
    home: str
    group: str
    kind: type
    beside: tuple[str, ...] = ()
    """Other packages whose modules may hold such plug-ins."""
    plugins: dict[str, T] = field(default_factory=dict)
    locations: dict[str, str] = field(default_factory=dict)
    given: dict[str, T] = field(default_factory=dict)
    """Those that the running program gave as classes or objects; another may take the name of one."""
    loaded: bool = False

    def add(self, name: str, plugin: T, location: str) -> None:
        """Register a plug-in; the same name from another location is refused, and the error names both."""
        if self.locations.get(name, location) != location:
            raise UserError(f"{self.what} {name!r} is defined twice: in {self.locations[name]} and in {location}")
        self.plugins[name], self.locations[name] = plugin, location

    def give(self, name: str, plugin: T) -> None:
        """Register a class or an object of the running program, in place of what it gave under that name before."""
        self.load()
        known, location = self.plugins.get(name), place(plugin)
        if known is not plugin:
            if known is not None and name not in self.given and self.locations[name] != location:
                raise UserError(f"{self.what} {name!r} is there already, from {self.locations[name]}")
            self.plugins[name], self.locations[name] = named(plugin, name), location
            self.given[name] = self.plugins[name]

    def names(self) -> list[str]:
        self.load()
        return sorted(self.plugins)

    def __getitem__(self, name: str) -> T:
        self.load()
        if ".py:" in name:
            return self._from_path(name)
        if name not in self.plugins:
            raise UserError(f"unknown {self.what} {name!r}; {nearest(name, self.plugins)}")
        return self.plugins[name]

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
                plugin = entry.load()
            _outside.add(_package(entry.module))
            # The import already registers a decorated plug-in; a group may hold plug-ins of several kinds.
            if self.fits(plugin) and self._registered(plugin) is None:
                self.add(entry.name, named(plugin, entry.name), entry.value)
                _offered.add(entry.name)

    def fits(self, plugin: Any) -> bool:
        """Whether it is a class or an object of this kind."""
        return isinstance(plugin, self.kind) or (inspect.isclass(plugin) and issubclass(plugin, self.kind))

    def _registered(self, plugin: Any) -> T | None:
        registered = self.plugins.values()
        return next((one for one in registered if plugin is one or plugin is getattr(one, "function", self)), None)

    def _from_path(self, spelled: str) -> T:
        path, _, attribute = spelled.rpartition(":")
        file = Path(path)
        if not file.is_file():
            raise UserError(f"{self.what} {spelled!r}: there is no file {path!r}")
        module = _module(file)
        if not hasattr(module, attribute):
            public = [key for key, value in vars(module).items() if getattr(value, "__module__", 0) == module.__name__]
            raise UserError(f"{self.what} {spelled!r}: {path} has no {attribute!r}; {nearest(attribute, public)}")
        plugin = getattr(module, attribute)
        registered = self._registered(plugin)
        if registered is not None and not inspect.isclass(registered):
            return registered
        if not self.fits(plugin):
            raise UserError(f"{spelled!r} is no {self.what}")
        # A class gets its path as its name, decorated or not: other processes can find it by no other name.
        has_one = ".py:" in vars(plugin).get("name", "")  # its own: that of a base class is another's
        named_plugin: T = plugin if has_one else named(plugin, spelled)
        return named_plugin


def named(plugin: Any, name: str) -> Any:
    """A plug-in with its name; a class also as a frozen dataclass, decorated or not."""
    if inspect.isclass(plugin) and "__dataclass_fields__" not in vars(plugin):
        plugin = dataclass(frozen=True)(plugin)
    if inspect.isclass(plugin):
        plugin.name = name  # type: ignore[attr-defined]
    else:
        object.__setattr__(plugin, "name", name)  # it may be frozen
    return plugin


def place(plugin: Any) -> str:
    """The file and the name of a plug-in's definition, for error messages."""
    file = getattr(sys.modules.get(plugin.__module__), "__file__", None)
    name = getattr(plugin, "__qualname__", None) or f"an object of {type(plugin).__qualname__}"
    return f"{file or plugin.__module__}:{name}"


def is_ready_made(plugin: Any) -> bool:
    """Whether it is an object with a name of its own, which takes no keys but a game's budget."""
    if inspect.isclass(plugin) or "name" not in getattr(plugin, "__dict__", {}):
        return False
    return not is_dataclass(plugin) or "name" not in {one.name for one in fields(plugin)}


def origin(plugin: Any) -> str:
    """``here`` for a shipped plug-in, ``outside`` for one that any process can import, ``own`` for the caller's."""
    package = _package(getattr(plugin, "__module__", None) or type(plugin).__module__)
    if ".py:" in getattr(plugin, "name", "") or package in _outside:
        return "outside"
    if is_ready_made(plugin):  # whatever its class, the object is the program's
        return "outside" if plugin.name in _offered else "own"
    return "here" if package in SHIPPED else "own"


def _package(module: str) -> str:
    return module.partition(".")[0]


def _module(file: Path) -> ModuleType:
    """The module of a plug-in's file, with its folder's other modules importable."""
    with _explained(f"plug-in {str(file)!r}"):
        module = loaded(file, "".join(file_code(file)))
    _outside.add(_package(module.__name__))
    return module


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Report a plug-in that cannot be imported, or calls ``sys.exit``, as one line with the reason."""
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise UserError(f"{what} raised {type(error).__name__}: {' '.join(str(error).split())}") from error
