"""Where rules, directions, games and metrics are found by name.

A plug-in is found (a) in its folder here, (b) through the entry points ``bench.rules``, ``bench.games``,
``bench.metrics`` of an installed package, (c) as a path, ``./my_rule.py:MyRule``. No list has to be edited.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args

from bench.contracts import Direction, Game, Hyperparameter, Metric, UpdateRule, hints, hyperparameters
from bench.spelling import SpecError, Spelling, nearest, parse, write

T = TypeVar("T")
Class = TypeVar("Class", bound=type)


@dataclass
class Registry(Generic[T]):
    """Named things of one kind, loaded from a package's modules and from entry points when first asked for."""

    what: str
    home: str
    group: str
    things: dict[str, T] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    loaded: bool = False

    def add(self, name: str, thing: T, place: str) -> None:
        """Register; the same name from another place is refused, naming both."""
        if self.places.get(name, place) != place:
            raise SpecError(f"{self.what} {name!r} is defined twice: in {self.places[name]} and in {place}")
        self.things[name], self.places[name] = thing, place

    def names(self) -> list[str]:
        self.load()
        return sorted(self.things)

    def __getitem__(self, name: str) -> T:
        self.load()
        if ".py:" in name:
            return self._from_path(name)
        if name not in self.things:
            raise SpecError(f"unknown {self.what} {name!r}; {nearest(name, self.things)}")
        return self.things[name]

    def load(self) -> None:
        if self.loaded:
            return
        self.loaded = True
        home = importlib.import_module(self.home)
        for module in pkgutil.iter_modules(getattr(home, "__path__", ())):
            importlib.import_module(f"{self.home}.{module.name}")
        for entry in entry_points(group=self.group):
            self._adopt(entry.name, entry.load(), entry.value)

    def _adopt(self, name: str, thing: Any, place: str) -> None:
        """Register a plug-in that did not decorate itself; the ones that did are registered by being imported."""
        if not inspect.ismodule(thing) and not any(thing is known for known in self.things.values()):
            self.add(name, thing, place)

    def _from_path(self, spelled: str) -> T:
        path, _, attribute = spelled.rpartition(":")
        file = Path(path)
        if not file.is_file():
            raise SpecError(f"{self.what} {spelled!r}: there is no file {path!r}")
        name = f"bench_plugin_{file.resolve().stem}_{abs(hash(str(file.resolve())))}"
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, file)
            assert spec is not None
            assert spec.loader is not None
            module = sys.modules[name] = importlib.util.module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
        module = sys.modules[name]
        if not hasattr(module, attribute):
            public = [key for key in vars(module) if not key.startswith("_")]
            raise SpecError(f"{self.what} {spelled!r}: {path} has no {attribute!r}; {nearest(attribute, public)}")
        thing: T = getattr(module, attribute)
        if not getattr(thing, "name", ""):
            thing.name = spelled  # type: ignore[attr-defined]
        return thing


@dataclass(frozen=True)
class Preset:
    """A well-known combination under its well-known name: a spelling whose keys may still be set."""

    name: str
    spelling: str
    doc: str


@dataclass(frozen=True)
class NamedMetric:
    """A metric with what statistics must know of it: which games it is for, which way is better, its worst value."""

    name: str
    function: Metric
    on: type
    better: str
    worst: float
    unit: str

    def __call__(self, game: Game, w: Any, F: Any) -> Any:
        return self.function(game, w, F)

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return inspect.getdoc(self.function) or ""


rules: Registry[type[UpdateRule] | Preset] = Registry("optimizer", "optimizers", "bench.rules")
directions: Registry[type[Direction]] = Registry("direction", "optimizers", "bench.rules")
games: Registry[type[Game]] = Registry("game", "bench.games", "bench.games")
metrics: Registry[NamedMetric] = Registry("metric", "bench.metrics", "bench.metrics")


def _place(thing: Any) -> str:
    return f"{thing.__module__}:{thing.__qualname__}"


def _registering(registry: Registry[Any], name: str) -> Callable[[Class], Class]:
    def register(cls: Class) -> Class:
        frozen = cls if "__dataclass_fields__" in vars(cls) else dataclass(frozen=True)(cls)
        frozen.name = name  # type: ignore[attr-defined]
        registry.add(name, frozen, _place(frozen))
        return frozen

    return register


def rule(name: str) -> Callable[[Class], Class]:
    """Register an UpdateRule under a name; its annotated fields become its hyperparameters."""
    return _registering(rules, name)


def direction(name: str) -> Callable[[Class], Class]:
    """Register a Direction under a name."""
    return _registering(directions, name)


def game(name: str) -> Callable[[Class], Class]:
    """Register a Game under a name; its annotated fields become its settings."""
    return _registering(games, name)


def preset(name: str, spelling: str, doc: str) -> None:
    """Register a well-known combination; ``doc`` gives its equation first, then its source."""
    rules.add(name, Preset(name, spelling, inspect.cleandoc(doc)), f"preset {spelling}")


def metric(
    name: str, on: type = Game, better: str = "lower", worst: float = float("inf"), unit: str = ""
) -> Callable[[Metric], Metric]:
    """Register a metric for the games that are an ``on``; ``worst`` is what a failed replica counts as."""

    def register(function: Metric) -> Metric:
        metrics.add(name, NamedMetric(name, function, on, better, worst, unit), _place(function))
        return function

    return register


# --- from a spelling to the thing ------------------------------------------------------------------------------------


def get_rule(spec: str | Spelling) -> UpdateRule:
    """The update rule that a spelling names, e.g. ``extragrad[lr=0.1,direction=adam]``; SpecError for wrong use."""
    found: UpdateRule = _build(rules, spec)
    return found


def get_game(spec: str | Spelling) -> Game:
    """The game that a spelling names, e.g. ``bilinear[dim=3]``; SpecError for wrong use."""
    found: Game = _build(games, spec)
    return found


def get_metric(name: str) -> NamedMetric:
    """The metric of that name; call it as ``metric(game, w, oracle) -> [R]``."""
    return metrics[name]


def _build(registry: Registry[Any], spec: str | Spelling) -> Any:
    spelled = parse(spec) if isinstance(spec, str) else spec
    thing = registry[spelled.name]
    if isinstance(thing, Preset):
        return _with_keys(_build(registry, parse(thing.spelling)), spelled, registry)
    if inspect.isclass(thing):
        return _with_keys(thing(), spelled, registry)
    if spelled.keys:
        raise SpecError(f"{registry.what} {spelled.name!r} is one made thing: it takes no keys, {spelled} gives some")
    return thing


def _with_keys(thing: Any, spelled: Spelling, registry: Registry[Any]) -> Any:
    """A copy of a rule or game with the keys set; a key that only its direction knows is handed to the direction."""
    known = {f.name for f in fields(thing)} if is_dataclass(thing) else set()
    values: dict[str, Any] = {}
    passed: dict[str, Any] = {}
    inner = getattr(thing, "direction", None)
    inner_known = {f.name for f in fields(inner)} if is_dataclass(inner) else set()
    for key, value in spelled.keys.items():
        key = key or next(iter(f.name for f in fields(thing)), "")
        if key in known:
            values[key] = _converted(thing, key, value, registry)
        else:
            passed[key] = value
    if "direction" in values:
        values |= _rescaled(thing, values)
        inner = values["direction"]
        inner_known = {f.name for f in fields(inner)}
    for key in passed:
        if key not in inner_known:
            raise SpecError(f"{registry.what} {spelled.name!r} has no {key!r}; {nearest(key, known | inner_known)}")
    if passed:
        values["direction"] = _with_keys(inner, Spelling(inner.name, passed), directions)
    return replace(thing, **values) if values else thing


def _rescaled(thing: Any, values: dict[str, Any]) -> dict[str, float]:
    """Default step sizes that fit another direction; those that were given stay."""
    ratio = values["direction"].scale / thing.direction.scale
    kinds = hyperparameters(thing)
    own = [path for path, (kind, _) in kinds.items() if kind.step_size and "." not in path and path not in values]
    return {path: kinds[path][1] * ratio for path in own} if ratio != 1.0 else {}


def _converted(thing: Any, key: str, value: Any, registry: Registry[Any]) -> Any:
    """A spelled value as the field's type wants it, within the bounds that its kind allows."""
    current = getattr(thing, key)
    where = f"{getattr(thing, 'name', '') or registry.what}: {key}"
    if isinstance(current, (UpdateRule, Direction)):
        if not isinstance(value, Spelling):
            raise SpecError(f"{where} is {write(value)}; a name is allowed")
        return _build(rules if isinstance(current, UpdateRule) else directions, value)
    if isinstance(current, str):
        return write(value)
    if isinstance(value, Spelling):
        raise SpecError(f"{where} is {value}; {'true or false' if isinstance(current, bool) else 'a number'} is allowed")
    if isinstance(current, bool) != isinstance(value, bool):
        raise SpecError(f"{where} is {write(value)}; {'true or false' if isinstance(current, bool) else 'a number'} is allowed")
    if isinstance(current, int) and not isinstance(value, int):
        raise SpecError(f"{where} is {write(value)}; a whole number is allowed")
    for kind in get_args(hints(type(thing))[key])[1:]:
        _check_bounds(kind, value, where)
    return float(value) if isinstance(current, float) and isinstance(value, int) else value


def _check_bounds(kind: Hyperparameter, value: Any, where: str) -> None:
    for part in value if isinstance(value, tuple) else (value,):
        if not kind.least <= part <= kind.most:
            raise SpecError(f"{where} is {write(value)}; a {kind.kind} in [{kind.least:g}, {kind.most:g}] is allowed")


def spell(thing: Any, skip: frozenset[str] = frozenset()) -> str:
    """The complete spelling of a rule or game, every field written out: what a cell's identity hashes."""
    parts = []
    for item in fields(thing):
        if item.name in skip:
            continue
        value = getattr(thing, item.name)
        parts.append(f"{item.name}={spell(value) if is_dataclass(value) else write(value)}")
    return f"{thing.name}[{','.join(parts)}]" if parts else str(thing.name)
