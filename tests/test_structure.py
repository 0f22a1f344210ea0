"""The house: what may import what, what stands at the top, and what a public name promises."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import bench

ROOT = Path(__file__).parent.parent

# From the bottom up; a module imports only from floors below its own. Type hints and `bench` itself stand apart.
FLOORS = [
    {"collapse", "spelling"},
    {"contracts", "imagesets", "extras", "places", "plugins"},
    {"archive"},
    {"convolution", "data", "randomness", "elementwise", "krylov", "life", "losses", "regularisers"},
    {"distances", "quadratics", "stability", "statistics"},
    {"fetch", "foreign", "fused", "layers", "features", "inception", "oracle", "spectrum"},
    {"extractors", "networks", "translate"},
    {"backward"},
    {"registry", "stacks"},
    {"gan"},
    {"images", "modules", "points"},
    {"plan", "pruning", "replay", "search", "spec"},
    {"execute", "vetting"},
    {"laws", "records"},
    {"store"},
    {"checkpoints", "overhead", "verdicts"},
    {"work"},
    {"slots", "table"},
    {"engines", "findings", "sensitivity", "targets", "trainings", "tune"},
    {"caveats", "figures", "overview", "provenance"},
    {"sections"},
    {"gallery"},
    {"animation", "report"},
    {"runner"},
    {"baseline"},
    {"catalogue", "comparison", "doctor", "export", "merging", "progress", "scaffold", "state"},
    {"show"},
    {"cli"},
]
FLOOR = {name: i for i, names in enumerate(FLOORS) for name in names}


def imports(path: Path) -> set[str]:
    """Modules of bench that a file imports anywhere, but for type hints."""
    tree = ast.parse(path.read_text())
    hints = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in hints:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bench."):
            found.add(str(node.module).split(".")[1])
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("bench.")}
    return found


def room(path: Path) -> str:
    """The module, or the package that it is part of."""
    parts = path.relative_to(ROOT / "bench").parts
    return parts[0] if len(parts) > 1 else path.stem


FILES = [path for path in sorted((ROOT / "bench").rglob("*.py")) if room(path) not in ("games", "metrics")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "bench")))
def test_nothing_imports_upward(path: Path) -> None:
    own = room(path)
    if own.startswith("__"):
        return
    assert own in FLOOR, f"{own} has no floor yet: give it one"
    upward = {name for name in imports(path) if name != own and FLOOR[name] >= FLOOR[own]}
    assert not upward, f"{path.name} imports upward: {upward}"


@pytest.mark.parametrize(
    "path",
    sorted(path for room in ("bench/games", "bench/metrics", "optimizers") for path in (ROOT / room).glob("*.py")),
)
def test_plugins_shipped_here_use_what_others_may_use(path: Path) -> None:
    assert not imports(path) & {"execute", "store", "runner", "cli", "report", "tune", "plan"}


def test_the_top_level_is_what_it_is() -> None:
    shown = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - {"build"}
    assert {name for name in shown if not name.endswith(".egg-info")} <= {
        "bench", "optimizers", "results", "tests", "pyproject.toml", "README.md", "LICENSE",
    }  # fmt: skip


def test_public_names() -> None:
    assert len(bench.__all__) <= 19
    for name in bench.__all__:
        assert getattr(bench, name).__doc__, f"bench.{name} says nothing of itself"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bench.nothing  # noqa: B018
