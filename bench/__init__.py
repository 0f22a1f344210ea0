"""Which optimizer should train your GAN, and how sure are we?

A registry of update rules plugs into one harness for two-player games: every seed and step size of a rule trains as
one stacked computation, cost is counted in gradient evaluations, and divergence is a result, never a missing row.

    import bench
    run = bench.run(bench.Study(optimizers=["sgd", "adam", "extragrad"]))
    run.table()

The names below are the whole public interface. They are imported when first used: `import bench` alone loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.analysis.comparison import compare
    from bench.api import Run, run
    from bench.checks.check import check
    from bench.contracts import Direction, Game, Oracle, State, StepSize, UpdateRule
    from bench.games.data.image_folder import image_folder
    from bench.games.harness.gan_game import gan_game
    from bench.games.harness.torch_game import game
    from bench.registry import get_game, get_metric, get_rule, metric, preset, rule
    from bench.studies.study import Study

__version__ = "0.1.0"

_HOME = {
    "Direction": "bench.contracts",
    "Game": "bench.contracts",
    "Oracle": "bench.contracts",
    "State": "bench.contracts",
    "StepSize": "bench.contracts",
    "UpdateRule": "bench.contracts",
    "rule": "bench.registry",
    "game": "bench.games.harness.torch_game",
    "metric": "bench.registry",
    "preset": "bench.registry",
    "get_rule": "bench.registry",
    "get_game": "bench.registry",
    "get_metric": "bench.registry",
    "gan_game": "bench.games.harness.gan_game",
    "image_folder": "bench.games.data.image_folder",
    "Study": "bench.studies.study",
    "Run": "bench.api",
    "run": "bench.api",
    "check": "bench.checks.check",
    "compare": "bench.analysis.comparison",
}

__all__ = [
    "Direction",
    "Game",
    "Oracle",
    "Run",
    "State",
    "StepSize",
    "Study",
    "UpdateRule",
    "check",
    "compare",
    "game",
    "gan_game",
    "get_game",
    "get_metric",
    "get_rule",
    "image_folder",
    "metric",
    "preset",
    "rule",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
