"""The identity of a plug-in beyond its spelling: hashes of its sources, the versions of the packages that these import.

An edit of any of them makes other cells, so that a stored result is never shown as that of the edited code.
"""

from __future__ import annotations

import hashlib
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.contracts import Direction, Game, UpdateRule, nested
from bench.registry.discovery import is_ready_made
from bench.registry.own_code import made_of
from bench.registry.plugin_files import SHIPPED
from bench.registry.sources import distributions, file_code, is_installed


def plugin_code(*plugins: UpdateRule | Direction | Game) -> str:
    """What tells plug-ins that are not shipped, nested ones too, from edited ones: an edit makes another cell."""
    digests = []
    for plugin in plugins:
        if isinstance(plugin, (UpdateRule, Direction)):
            digests.append(plugin_code(*nested(plugin).values()))
        file = _file(plugin)
        shipped = type(plugin).__module__.partition(".")[0] in SHIPPED
        if file and shipped:  # made there of parts from here
            digests += file_code(file)
        digests.append(getattr(plugin, "digest", ""))
        if file and not shipped:
            digests += file_code(file)
        if ".py:" not in plugin.name and _is_made_by_a_program(plugin, file):
            digests.append(made_of(plugin))
    return "".join(digests)


def _is_made_by_a_program(plugin: Any, file: Path | None) -> bool:
    """Whether a file's hash and a spelling do not tell all of it: it has no file, is an object, or a function's own."""
    if type(plugin).__module__.partition(".")[0] in SHIPPED:
        return is_ready_made(plugin)
    return file is None or is_ready_made(plugin) or "<locals>" in type(plugin).__qualname__


def _file(plugin: Any) -> Path | None:
    """The file that a plug-in is read from, by path or because its class is defined there; None for a shipped one."""
    if ".py:" in plugin.name:
        return Path(plugin.name.rpartition(":")[0])
    module = type(plugin).__module__
    file = getattr(sys.modules.get(module), "__file__", None)
    if module.partition(".")[0] in SHIPPED or not file or not Path(file).is_file():
        return None
    return Path(file)


def class_code(cls: type) -> str:
    """What tells a class of another package from an edited one, its base classes too; "" for torch's own.

    A class of an installed package has the version of the package. Any other has the hash of the file that it is
    defined in, and of the files beside it that this one uses.
    """
    parts: list[str] = []
    for base in cls.__mro__:
        package = base.__module__.partition(".")[0]
        if package == "torch" or package in sys.stdlib_module_names:
            continue
        found = released(base.__module__) or _sources(base.__module__, set())
        parts += [part for part in found if part not in parts]
    return ";".join(parts)


def released(module: str) -> list[str]:
    """The version of the distribution that a module was installed with; none where its file can be edited."""
    file = getattr(sys.modules.get(module), "__file__", None)
    names = distributions().get(module.partition(".")[0], ())
    if not file or not names or not is_installed(Path(file)):
        return []
    return [f"{name}=={version(name)}" for name in sorted(set(names))]


def _sources(module: str, seen: set[str]) -> list[str]:
    """Hashes of a module's file and of those from its folder that it has names of."""
    found = sys.modules.get(module)
    file = getattr(found, "__file__", None)
    if module in seen or not file or not Path(file).is_file():
        return []
    seen.add(module)
    hashes = [hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]]
    for value in vars(found).values():
        other = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        place = getattr(sys.modules.get(other or ""), "__file__", None)
        if (
            isinstance(other, str)
            and other.partition(".")[0] not in SHIPPED
            and place
            and Path(place).is_relative_to(Path(file).parent)
        ):
            hashes += _sources(other, seen)
    return hashes
