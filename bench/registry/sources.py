"""The sources that a file is made of: itself, the files that it imports, and the versions of installed packages.

It is read from the import statements, those within functions too, so that it does not depend on what a process has
loaded so far. ``importlib.import_module("models")`` is one. What a file loads by a name or path that it works out may
be any file in its folder or below, so all of them count.
"""

from __future__ import annotations

import ast
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

from bench.registry.plugin_files import SHIPPED, is_beside

REQUIRED = frozenset((
    "torch", "numpy", "numba", "scipy", "pandas", "tabulate", "pyarrow", "safetensors", "sklearn", "optuna",
    "matplotlib", "seaborn", "jinja2", "markupsafe", "PIL", "pooch", "requests", "tomli_w", "pydantic",
    "typing_extensions", "typer", "rich", "filelock",
))  # fmt: skip
"""Packages that this suite itself requires: their versions are in a run's provenance or decide no number."""

BY_NAME = ("import_module", "__import__")
"""Functions that import a module by its name."""
BY_OTHER_MEANS = ("SourceFileLoader", "exec", "run_module", "run_path", "spec_from_file_location", "walk_packages")
"""What executes a file whose name an import statement would not tell."""

Import = tuple[int, tuple[str, ...]]
"""Dots in front, and the parts of the name."""


def file_code(file: Path) -> list[str]:
    """Hashes of a file and of the files that it imports, however indirectly, and ``name==version`` of packages.

    A file beside it, and any other that is not installed, such as one on PYTHONPATH, has a hash. An installed package
    has its version, for its files are not edited.
    """
    file = file.resolve()
    files, packages = {file: ""}, set[str]()
    waiting = [(file, file.parent)]
    while waiting:
        current, home = waiting.pop()
        if _may_load_any(current.read_bytes()):
            labelled = ((other.relative_to(home).as_posix(), other) for other in _below(home))
            new = [(label, other) for label, other in labelled if other not in files]
            files |= {other: label for label, other in new}
            waiting += [(other, home) for _, other in new]
        for dots, parts in _imports(current.read_bytes()):
            if dots:
                place = current.parents[dots - 1]
            elif is_beside(home, parts[0]):
                place = home
            elif (found := _home(parts[0])) is not None:
                place = found
            else:
                packages |= _packages(parts[0])
                continue
            for label, other in _files(place, parts):
                if other not in files:
                    files[other] = f"{'.' * dots}{label}"
                    waiting.append((other, place if not dots else home))
    (first, _), *others = files.items()
    ordered = [first, *(other for other, _ in sorted(others, key=lambda entry: (entry[1], _hash(entry[0]))))]
    return [*map(_hash, ordered), *sorted(f"{name}=={version(name)}" for name in packages)]


def _hash(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()[:16]


@lru_cache(maxsize=1024)
def _imports(source: bytes) -> tuple[Import, ...]:
    """The modules that a source may import; a name that is imported from a package may be a module."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # it cannot be imported either
        return ()
    return tuple(dict.fromkeys(_imported(tree)))


def _imported(tree: ast.AST) -> Iterator[Import]:
    for node in ast.walk(tree):
        if (name := _name_of(node)) is not None:
            yield 0, tuple(name.split("."))
        elif isinstance(node, ast.Import):
            yield from ((0, tuple(alias.name.split("."))) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = tuple(node.module.split(".")) if node.module else ()
            yield from ((node.level, (*parts, alias.name)) for alias in node.names)


def _called(node: ast.AST) -> str:
    """The last part of the name of what a node calls; "" where it calls nothing."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _name_of(node: ast.AST) -> str | None:
    """The module that a call imports by its name, where the name is written there and is no relative one."""
    if not isinstance(node, ast.Call) or _called(node) not in BY_NAME or not node.args:
        return None
    value = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
    return value if isinstance(value, str) and value and not value.startswith(".") else None


@lru_cache(maxsize=1024)
def _may_load_any(source: bytes) -> bool:
    """Whether a source loads files by names or paths that are not written where it does."""
    if not any(name.encode() in source for name in (*BY_NAME, *BY_OTHER_MEANS)):
        return False
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return False
    calls = [(node, _called(node)) for node in nodes]
    return any(name in BY_OTHER_MEANS or (name in BY_NAME and _name_of(node) is None) for node, name in calls)


def _below(folder: Path) -> Iterator[Path]:
    """The files of Python in a folder and below, but for hidden folders and environments."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith((".", "__pycache__")) and not (path / "pyvenv.cfg").is_file():
            yield from _below(path)
        elif path.suffix == ".py" and path.is_file():
            yield path.resolve()


def _files(place: Path, parts: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """The files that importing a dotted name executes, the packages that lead to it too."""
    for depth in range(len(parts) + 1):
        inner = place.joinpath(*parts[:depth])
        found = [inner / "__init__.py"] if depth else []
        for file in [*found, inner.with_name(f"{inner.name}.py")] if depth else found:
            if file.is_file():
                yield ".".join(parts[:depth]), file.resolve()


def _home(name: str) -> Path | None:
    """The folder that a top-level module lies in whose files may be edited; None for what is installed or not there."""
    if name in SHIPPED or name in REQUIRED or name in sys.stdlib_module_names:
        return None
    spec = None
    with suppress(ImportError, ValueError):
        spec = find_spec(name)
    places = [Path(place) for place in (spec.submodule_search_locations if spec else None) or ()]
    if spec is not None and spec.has_location and spec.origin and not places:
        places = [Path(spec.origin)]
    if not places or is_installed(places[0]):
        return None
    return places[0].parent


def is_installed(file: Path) -> bool:
    """Whether a file lies where packages are installed."""
    homes = [*map(sysconfig.get_path, ("purelib", "platlib", "stdlib")), *site.getsitepackages()]
    homes += [site.getusersitepackages()]
    return any(file.resolve().is_relative_to(Path(home).resolve()) for home in homes)


def _packages(name: str) -> set[str]:
    """The distributions of a top-level module that count by their version."""
    if name in SHIPPED or name in REQUIRED or name in sys.stdlib_module_names:
        return set()
    return set(distributions().get(name, ()))


@lru_cache(maxsize=1)
def distributions() -> dict[str, list[str]]:
    """The distributions that each top-level module was installed with."""
    return dict(packages_distributions())
