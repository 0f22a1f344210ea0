"""Files of plug-ins as modules. The folder of a file is a package of its own, so that folders never meet.

``from models import Generator`` in a plug-in's file finds ``models.py`` beside it, as under ``python my_gan.py``, when
the file is loaded and later, within functions. Two folders may each have a ``models.py``: every import statement in a
folder's files is read as one from the folder's package. While a file is loaded its folder also stands first in
``sys.path``, for what imports by other means; what is found that way is forgotten again.

The cache of compiled files is not used, because it takes two edits of one second for the same file.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import sha256
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import torch

SHIPPED = ("bench", "optimizers")
PREFIX = "bench_plugins_of_"

_read: dict[str, bytes] = {}
"""The source that each module was made from."""
_code: dict[Path, str] = {}
"""What told each plug-in's file and what it uses from edited ones when it was loaded last."""


def loaded(file: Path, code: str = "") -> ModuleType:
    """The module of a plug-in's file; made anew if it, or a file beside it that was imported, has changed since.

    ``code`` tells the file and what it uses from edited ones, those too that it loads by other means than imports.
    """
    file = file.resolve()
    package = _package_of(file.parent, _code.get(file, code) != code)
    _code[file] = code
    name = f"{package}.{file.stem.replace('.', '_')}"
    if name not in sys.modules:
        with _importable(file.parent):
            spec = ModuleSpec(name, _Loader(name, str(file)), origin=str(file))
            spec.has_location = True
            module = sys.modules[name] = module_from_spec(spec)
            try:
                assert spec.loader is not None
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
    return sys.modules[name]


def is_beside(folder: Path, name: str) -> bool:
    """Whether a plug-in in the folder that imports this top-level name means a file there."""
    if name in SHIPPED or name in sys.builtin_module_names:
        return False
    if (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file():
        return True
    return (folder / name).is_dir() and not _is_regular(name)  # a folder of data may have a package's name


def _is_regular(name: str) -> bool:
    """Whether the name is that of a module or package from elsewhere that is more than a folder."""
    with suppress(ImportError, ValueError):
        spec = find_spec(name)
        return spec is not None and spec.origin is not None
    return False


def _package_of(folder: Path, changed: bool) -> str:
    """The name of a folder's package, which is empty again if it, or one of the files read, has changed."""
    package = PREFIX + sha256(str(folder).encode()).hexdigest()[:12]
    inside = [name for name in sys.modules if name == package or name.startswith(f"{package}.")]
    if changed or package not in inside or any(map(_is_changed, inside)):
        for name in inside:
            del sys.modules[name]
        importlib.invalidate_caches()
        home = sys.modules[package] = ModuleType(package)
        home.__path__ = [str(folder)]
    return package


def _is_changed(name: str) -> bool:
    if name not in _read:
        return False
    try:
        return Path(str(sys.modules[name].__file__)).read_bytes() != _read[name]
    except OSError:
        return True


class _Loader(SourceFileLoader):
    """Executes a file whose import statements look beside it first."""

    def get_code(self, fullname: str) -> CodeType:
        _read[fullname] = self.get_data(self.path)
        code: CodeType = self.source_to_code(_read[fullname], self.path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__.partition(".")[0]
        vars(module)["__builtins__"] = vars(builtins) | {"__import__": partial(_import, package)}
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # random numbers at import are the same in every process
            super().exec_module(module)


class _Finder:
    """Gives modules of a folder's package that loader."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith(PREFIX) or path is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(name, spec.loader.path)
        return spec


sys.meta_path.insert(0, _Finder)


def _import(
    package: str,
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    """What an import statement in a folder's files does."""
    top = name.partition(".")[0]
    if level or not is_beside(Path(sys.modules[package].__path__[0]), top):
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    found = builtins.__import__(f"{package}.{name}", globals, locals, fromlist or (), 0)
    return found if fromlist else sys.modules[f"{package}.{top}"]


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put the folder first in ``sys.path``, and forget afterwards what was imported from there under its own name."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(str(folder))
        new = {name for name in sys.modules if name not in before and not name.startswith(PREFIX)}
        for top in {name for name in new if "." not in name and name not in SHIPPED}:
            file = Path(getattr(sys.modules[top], "__file__", None) or "")
            if file.parent in (folder, folder / top):
                for name in [name for name in new if name.partition(".")[0] == top]:
                    del sys.modules[name]
