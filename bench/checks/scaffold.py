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

from bench.checks.suite_source import PACKAGE, check_source
from bench.errors import UserError
from bench.registry import directions, games, metrics, rules

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 40
SUFFIX, DOT, SUITE = ".template", "dot-", "SUITE-SOURCE"


def start(name: str, to: Path | None = None, suite: str = PACKAGE) -> Path:
    """Write a package with a rule of that name into a new folder; returns the folder.

    Args:
        name: of the rule, the project and, with underscores, the module.
        to: the folder; by default one of that name.
        suite: what pip installs in its CI as this suite.

    Raises:
        UserError: the name is none or taken, the folder is there already, or the suite cannot be installed elsewhere.
            Nothing is written.
    """
    folder = check_new(name, to)
    check_source(suite)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for path, text in _templates(files("bench.checks") / "templates" / "plugin"):
            file = beside / _named(path, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_named(text, name).replace(SUITE, suite), "utf-8")
        os.replace(beside, folder)
    except OSError as error:
        raise UserError(f"{str(folder)!r} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def check_new(name: str, to: Path | None = None) -> Path:
    """The folder of a new package; UserError for what cannot be a rule, a project and a module at once, or is there."""
    folder = to if to is not None else Path(name)
    allowed = f"small letters, digits and single hyphens, a letter first, at most {LONGEST}, e.g. my-optimizer"
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise UserError(f"name is {name!r}; {allowed}")
    for registry in (rules, directions, games, metrics):
        if name in registry.names():
            raise UserError(f"name is {name!r}, and there is the {registry.what} {name!r} already; choose another")
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or find_spec(module) is not None:
        raise UserError(f"name is {name!r}, and Python has a {module!r} already; choose another")
    if os.path.lexists(folder):
        raise UserError(f"{str(folder)!r} is there already; choose another --to")
    return folder


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
