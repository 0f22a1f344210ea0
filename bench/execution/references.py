"""How other processes find what the running program gave: by the module that it is defined in.

A class or an object of a module is imported there. What a notebook defines is in no module, so it trains in its own
process only; what a script defines is found by importing the script, if that does not start the training again.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

from bench.contracts import nested
from bench.errors import UserError
from bench.registry import NamedMetric, metrics
from bench.registry.discovery import is_ready_made, origin
from bench.registry.objects import REGISTRIES
from bench.studies.study import Study

MAIN = "__main__"


@dataclass(frozen=True)
class Reference:
    """A plug-in as an attribute of a module; ``""`` where the import alone registers it."""

    name: str
    module: str
    attribute: str


def plugins_of(study: Study) -> Iterator[Any]:
    """A study's rules, games and metrics, nested ones too."""
    played = [study.plugins.game(game) for game in study.games]
    yield from played
    plugins: list[Any] = [study.plugins.rule(rule) for rule in study.optimizers]
    while plugins:
        yield (plugin := plugins.pop())
        plugins += nested(plugin).values()
    named_metrics = (metrics[name] for name in metrics.names())
    yield from (one for one in named_metrics if any(map(one.judges, played)))


def origin_of(plugin: Any) -> str:
    """The origin of a rule, game or metric; see `bench.registry.discovery.origin`."""
    return origin(plugin.function if isinstance(plugin, NamedMetric) else plugin)


def references(study: Study) -> tuple[Reference, ...]:
    """References to all that the running program gave to a study.

    Raises:
        UserError: there is something that no other process finds.
    """
    own = [plugin for plugin in plugins_of(study) if origin_of(plugin) == "own"]
    found = tuple(dict.fromkeys(map(_reference, own)))
    if any(one.module == MAIN for one in found):
        _check_guarded(next(one.name for one in found if one.module == MAIN))
    return found


def register(given: tuple[Reference, ...]) -> None:
    """Register what references name in this process."""
    for one in given:
        module = import_module(one.module)
        if one.attribute:
            plugin = attrgetter(one.attribute)(module)
            next(registry for registry in REGISTRIES if registry.fits(plugin)).give(one.name, plugin)


def _reference(plugin: Any) -> Reference:
    for module, attribute in _places(plugin):
        if _has_file(module):
            return Reference(plugin.name, module, attribute)
    raise UserError(
        f"{plugin.name!r} is made by this program in a place where no other process finds it: train with jobs=1 and "
        "without a timeout, or put it at the top level of a file and import it"
    )


def _places(plugin: Any) -> Iterator[tuple[str, str]]:
    """Where a plug-in may be found: (module, attribute)."""
    if isinstance(plugin, NamedMetric):
        yield plugin.function.__module__, ""
    elif is_ready_made(plugin):
        registered = next(registry.plugins[plugin.name] for registry in REGISTRIES if registry.fits(plugin))
        for module in _modules():
            yield from ((module, name) for name, value in _names(module) if value is registered)
    elif _is_at(type(plugin).__module__, type(plugin).__qualname__, type(plugin)):
        yield type(plugin).__module__, type(plugin).__qualname__


def _modules() -> list[str]:
    """Modules with a file, the program's own last."""
    main = sys.modules[MAIN]  # multiprocessing gives it a second name
    others = [name for name, module in sys.modules.items() if module is not main and _has_file(name)]
    return [*others, MAIN]


def _has_file(module: str) -> bool:
    file = getattr(sys.modules.get(module), "__file__", None)
    return isinstance(file, str) and Path(file).is_file()


def _names(module: str) -> list[tuple[str, Any]]:
    return list(vars(sys.modules[module]).items())


def _is_at(module: str, name: str, thing: Any) -> bool:
    try:
        return attrgetter(name)(sys.modules[module]) is thing
    except (AttributeError, KeyError):
        return False


def _check_guarded(name: str) -> None:
    """Refuse a script that would start its training again when other processes import it."""
    file = Path(str(sys.modules[MAIN].__file__))
    tests = [node.test for node in ast.parse(file.read_bytes()).body if isinstance(node, ast.If)]
    if not any(isinstance(part, ast.Name) and part.id == "__name__" for test in tests for part in ast.walk(test)):
        raise UserError(
            f"{name!r} is defined in {file.name!r}, which other processes import: start the training there under "
            'if __name__ == "__main__":, or train with jobs=1 and without a timeout'
        )
