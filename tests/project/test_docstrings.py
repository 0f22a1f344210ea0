"""The docstrings of the public names: their examples run, and they name every argument."""

from __future__ import annotations

import doctest
import inspect
import re
from operator import attrgetter
from pathlib import Path

import pytest

import bench

EXAMPLES = [
    "run",
    "Run.scores",
    "Run.verify",
    "Study",
    "gan_game",
    "image_folder",
    "Oracle",
    "UpdateRule",
    "compare",
    "check",
]
FUNCTIONS = [name for name in bench.__all__ if inspect.isfunction(getattr(bench, name))]


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    finder = doctest.DocTestFinder(recurse=False)
    (found,) = finder.find(attrgetter(name)(bench), name, module=False, globs={"__name__": "example"})
    assert len(found.examples) > 2
    said: list[str] = []
    assert doctest.DocTestRunner().run(found, out=said.append).failed == 0, "".join(said)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_names_every_argument(name: str) -> None:
    function = getattr(bench, name)
    text = inspect.getdoc(function) or ""
    first = text.partition("\n\n")[0]
    assert first.endswith(".")
    section = re.search(r"^Args:\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
    assert section, f"bench.{name} says nothing of its arguments"
    named = re.findall(r"^    (\w+):", section[1], re.MULTILINE)
    assert named == list(inspect.signature(function).parameters)
