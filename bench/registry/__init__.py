"""Rules, directions, games and metrics by name.

A plug-in registers itself with a decorator and is then found by its name, here, in an installed package or by the path
of its file. A text such as ``extragrad[lr=0.1,direction=adam]`` is turned into the object that it names.

    from bench.registry import get_rule, rules

    rules.names()                             # every update rule that is installed
    get_rule("extragrad[direction=adam]").lr  # the rule itself, its fields set

The modules: `spelling` parses the texts, `discovery` finds plug-ins, `registries` holds them, `build` makes objects
from texts, `identity` hashes the source of plug-ins, `listing` is the text of ``bench list``, `schemes` says
what a rule does with its direction, `torch_optimizers` and the other `torch_` modules run the classes of torch.optim as
directions. This package may import `contracts` and `errors`.
"""

from bench.registry.build import get_game, get_metric, get_rule
from bench.registry.registries import (
    NamedMetric,
    Preset,
    direction,
    directions,
    game,
    games,
    metric,
    metrics,
    preset,
    rule,
    rules,
)

__all__ = [
    "NamedMetric",
    "Preset",
    "direction",
    "directions",
    "game",
    "games",
    "get_game",
    "get_metric",
    "get_rule",
    "metric",
    "metrics",
    "preset",
    "rule",
    "rules",
]
