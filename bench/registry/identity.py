"""The identity of a plug-in beyond its spelling: a hash of its source, or the version of its package."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from functools import lru_cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import ModuleType

from bench.contracts import Direction, Game, UpdateRule, nested


def plugin_code(*plugins: UpdateRule | Direction | Game) -> str:
    """A hash of the source files of plug-ins that are not shipped, nested ones too: an edit makes another cell."""
    digests = []
    for plugin in plugins:
        if isinstance(plugin, (UpdateRule, Direction)):
            digests.append(plugin_code(*nested(plugin).values()))
        module = type(plugin).__module__
        file = getattr(sys.modules.get(module), "__file__", None)
        if ".py:" in plugin.name and module.split(".")[0] in ("bench", "optimizers"):  # made there of parts from here
            digests.append(hashlib.sha256(Path(plugin.name.rpartition(":")[0]).read_bytes()).hexdigest()[:16])
        digests.append(getattr(plugin, "digest", ""))
        if module.split(".")[0] not in ("bench", "optimizers") and file and Path(file).is_file():
            digests.append(hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16])
    return "".join(digests)


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
        found = _released(base.__module__) or _sources(base.__module__, set())
        parts += [part for part in found if part not in parts]
    return ";".join(parts)


def _released(module: str) -> list[str]:
    """The version of the distribution that a module was installed with; none where its file can be edited."""
    file = getattr(sys.modules.get(module), "__file__", None)
    names = _distributions().get(module.partition(".")[0], ())
    homes = [Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")]
    if not file or not names or not any(Path(file).resolve().is_relative_to(home) for home in homes):
        return []
    return [f"{name}=={version(name)}" for name in sorted(set(names))]


@lru_cache(maxsize=1)
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


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
            and other.partition(".")[0] not in ("bench", "optimizers")
            and place
            and Path(place).is_relative_to(Path(file).parent)
        ):
            hashes += _sources(other, seen)
    return hashes
