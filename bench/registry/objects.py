"""Rules and games that a program gives as classes or objects: their names, and the spellings that stand for them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from bench.contracts import Direction, Options, UpdateRule
from bench.errors import UserError
from bench.registry.budget import given_budget
from bench.registry.build import get_game, get_rule, spell
from bench.registry.discovery import Registry, is_ready_made, named
from bench.registry.registries import directions, games, rules
from bench.registry.spelling import parse, write

REGISTRIES: tuple[Registry[Any], ...] = (rules, directions, games)


def spelled(registry: Registry[Any], plugins: Iterable[Any]) -> list[str]:
    """Spellings of classes and objects of one kind; what has no name yet is registered under that of its class.

    Raises:
        UserError: one is of no such kind or cannot be made, its name is taken, or two of them have the same.
    """
    plugins = list(plugins)
    texts = [_spelled(registry, plugin) for plugin in plugins]
    for text, plugin in zip(texts, plugins, strict=True):
        if not _stands_for(registry, text, plugin):
            name = parse(text).name
            raise UserError(
                f"two different objects are called {name!r}; give one another name: {_decorator(registry)}(...)"
            )
    return texts


def given_in(texts: Iterable[str]) -> list[tuple[Registry[Any], str, Any]]:
    """What a program gave of all that spellings name, to be registered again when they are used."""
    words = {word for text in texts for word in re.split(r"[\[\]{}|,=\s]+", text)}
    return [(one, name, plugin) for one in REGISTRIES for name, plugin in one.given.items() if name in words]


def _decorator(registry: Registry[Any]) -> str:
    return f'bench.{"game" if registry is games else "rule"}("name")'


def _spelled(registry: Registry[Any], plugin: Any) -> str:
    if not registry.fits(plugin):
        found = f"the class {plugin.__qualname__}" if inspect.isclass(plugin) else f"a {type(plugin).__qualname__}"
        raise UserError(f"found {found}; a spelling, a class or an object of bench.{registry.kind.__name__} is allowed")
    if inspect.isclass(plugin):
        name = _class_name(registry, plugin)
        try:
            plugin()
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{plugin.__qualname__}() raised {type(error).__name__}: {reason}; give an object"
            ) from None
        return name
    if "__dataclass_fields__" not in vars(type(plugin)):
        _class_name(registry, type(plugin))  # which makes it one
    if not is_ready_made(plugin):
        if is_spellable(plugin):
            # The shortest first: step sizes that follow from the direction are left to tuning.
            for text in (_changed(registry, plugin, numbers=False), _changed(registry, plugin), spell(plugin)):
                if _stands_for(registry, text, plugin):
                    return text
        named(plugin, _own_name(type(plugin)))
    if ".py:" not in plugin.name:
        _give(registry, plugin.name, plugin)
    return spell(plugin)


def _stands_for(registry: Registry[Any], text: str, plugin: Any) -> bool:
    """Whether a spelling gives that very class, that object, or one that is equal."""
    if inspect.isclass(plugin) or is_ready_made(plugin):
        name = parse(text).name
        return ".py:" in name or registry[name] is plugin
    try:
        return bool((get_game if registry is games else get_rule)(text) == plugin)
    except Exception:  # such as a class that cannot be made without arguments
        return False


def _changed(registry: Registry[Any], plugin: Any, numbers: bool = True) -> str:
    """The spelling with the fields that are not at their defaults; the others are left to tuning."""
    parts = []
    for field in fields(plugin):
        value = getattr(plugin, field.name)
        if value == _default(field) or (isinstance(value, float) and not numbers):
            continue
        if isinstance(value, Options):
            parts += [f"{key}={write(option)}" for key, option in value.items]
        elif isinstance(value, (UpdateRule, Direction)):
            inner = rules if isinstance(value, UpdateRule) else directions
            parts.append(f"{field.name}={_changed(inner, value, numbers)}")
        else:
            parts.append(f"{field.name}={write(value)}")
    parts += given_budget(plugin)
    name = _class_name(registry, type(plugin))
    return f"{name}[{','.join(parts)}]" if parts else name


def is_spellable(plugin: Any) -> bool:
    """Whether every field of an object is of a kind that a text can say."""
    plain = (bool, int, float, str, tuple, Options, UpdateRule, Direction)
    values = [getattr(plugin, field.name) for field in fields(plugin)] if is_dataclass(plugin) else []
    flat = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
    return all(isinstance(value, plain) for value in flat)


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _class_name(registry: Registry[Any], cls: type) -> str:
    """The name of a class, which is registered under it if it is not yet."""
    name = _own_name(cls)
    if ".py:" not in name:
        _give(registry, name, cls)
    return name


def _give(registry: Registry[Any], name: str, plugin: Any) -> None:
    try:
        registry.give(name, plugin)
    except UserError as error:
        raise UserError(f"{error}; give yours another name: {_decorator(registry)}(...)") from None


def _own_name(cls: type) -> str:
    """A class's name, not that of its base class; without one, MyRule is called my-rule."""
    dashed = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+", "-", cls.__name__).strip("-").lower()
    return str(vars(cls).get("name") or dashed)
