"""The layout: what may import what, what stands at the top, and what a public name promises."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import bench

ROOT = Path(__file__).parents[2]

# From the bottom up; who stands on a line may import from the lines below and from its own package.
ORDER = [
    {"errors"},
    {"contracts", "numerics"},
    {"registry"},
    {"games", "analysis"},
    {"metrics", "studies"},
    {"storage", "checks"},
    {"execution", "report"},
    {"api"},
    {"cli"},
]
FLOOR = {name: floor for floor, names in enumerate(ORDER) for name in names}
FOR_PLUGINS = {"errors", "contracts", "numerics", "registry", "games", "metrics"}
"""What the rules, games and metrics that ship are made of."""

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "bench").rglob("*.py"))
}


def imports(path: Path) -> Iterator[str]:
    """The modules of bench that a file imports anywhere, inside functions and for type hints too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "bench":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else str(node.module)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "bench")


def package(module: str) -> str:
    """What stands at the top of bench; "" for bench itself."""
    return f"{module}.".split(".")[1]


def test_every_package_has_its_place() -> None:
    assert {package(module) for module in MODULES} - {"", "__main__"} == set(FLOOR)


@pytest.mark.parametrize("module", [name for name in MODULES if package(name) not in ("", "__main__")])
def test_nothing_imports_upward(module: str) -> None:
    own = package(module)
    found = {package(other) for other in imports(MODULES[module])} - {own}
    assert not {other for other in found if FLOOR.get(other, len(ORDER)) >= FLOOR[own]}, f"{module} imports upward"


def test_no_modules_import_one_another() -> None:
    graph = {module: set(imports(path)) - {module} for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("path", sorted((ROOT / "optimizers").glob("*.py")), ids=lambda path: path.stem)
def test_rules_shipped_here_use_what_others_may_use(path: Path) -> None:
    assert {package(module) for module in imports(path)} <= FOR_PLUGINS


def test_the_top_level_is_what_it_is() -> None:
    shown = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - {"build"}
    assert {name for name in shown if not name.endswith(".egg-info")} <= {
        "bench", "optimizers", "results", "tests", "pyproject.toml", "README.md", "LICENSE",
    }  # fmt: skip


def test_the_top_of_the_package_can_be_taken_in_at_a_glance() -> None:
    shown = {path.name for path in (ROOT / "bench").iterdir()} - {"py.typed", "__pycache__"}
    assert len(shown) <= 16


@pytest.mark.parametrize("module", [name for name, path in MODULES.items() if path.name == "__init__.py"])
def test_every_package_says_what_it_is(module: str) -> None:
    assert len((ast.get_docstring(ast.parse(MODULES[module].read_text())) or "").splitlines()) > 1


def test_public_names() -> None:
    assert len(bench.__all__) <= 20
    for name in bench.__all__:
        assert getattr(bench, name).__doc__, f"bench.{name} says nothing of itself"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bench.nothing  # noqa: B018
