"""``bench init``: a package with an update rule of one's own, to begin with.

The templates are a working package called ``my-optimizer``; its name is put in place in whatever spelling it stands.
"""

from __future__ import annotations

import keyword
import os
import re
import shutil
import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError
from bench.registry import directions, games, metrics, rules

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 40
SUFFIX, DOT = ".template", "dot-"


def start(name: str, to: Path | None = None) -> Path:
    """Write a package with a rule of that name into a new folder; returns the folder.

    Raises UserError, and writes nothing, where the name is none or taken, or the folder is there already.
    """
    folder = to if to is not None else Path(name)
    _check(name)
    if os.path.lexists(folder):
        raise UserError(f"{str(folder)!r} is there already; choose another --to")
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for path, text in _templates(files("bench.checks") / "templates" / "plugin"):
            file = beside / _named(path, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_named(text, name), "utf-8")
        os.replace(beside, folder)
    except OSError as error:
        raise UserError(f"{str(folder)!r} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _check(name: str) -> None:
    """Refuse what cannot be a rule, a project and a module at once."""
    allowed = f"small letters, digits and single hyphens, a letter first, at most {LONGEST}, e.g. my-optimizer"
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise UserError(f"name is {name!r}; {allowed}")
    for registry in (rules, directions, games, metrics):
        if name in registry.names():
            raise UserError(f"name is {name!r}, and there is the {registry.what} {name!r} already; choose another")
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or find_spec(module) is not None:
        raise UserError(f"name is {name!r}, and Python has a {module!r} already; choose another")


def _templates(folder: Traversable, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, text) of every template, dots in their places."""
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        at = path + re.sub(f"^{DOT}", ".", item.name)
        if item.is_dir():
            yield from _templates(item, f"{at}/")
        elif item.name.endswith(SUFFIX):
            yield at.removesuffix(SUFFIX), item.read_text("utf-8")


def _named(text: str, name: str) -> str:
    spelled = {"my-optimizer": name, "my_optimizer": name.replace("-", "_")}
    spelled["MyOptimizer"] = "".join(part.capitalize() for part in name.split("-"))
    return re.sub("|".join(spelled), lambda match: spelled[match[0]], text)
