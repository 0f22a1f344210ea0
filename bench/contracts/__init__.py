"""What the author of a plug-in is promised: games, oracles, update rules, directions, hyperparameters.

R = replicas (independent trainings stacked along the first axis), n = all players' parameters side by side. Replicas
never touch: row r of every result depends on row r of every input alone, even where another row is NaN.

A game says which players there are, where they start and what each one's loss is. An oracle is the only window that an
update rule has on a game: it evaluates F(w) and counts what was asked. A rule says how w changes.

    from bench.contracts import Oracle, State, StepSize, UpdateRule

    class Extragradient(UpdateRule):
        lr: StepSize = 0.1
        cost = 2.0  # gradient evaluations of a step

        def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
            return w - self.lr * F(w - self.lr * F(w)), s

These names and signatures stay as they are. This package imports nothing of `bench`.
"""

from bench.contracts.collapse import Collapse
from bench.contracts.game import (
    Attainable,
    Batch,
    Constrained,
    Explicit,
    Exportable,
    Filmed,
    Game,
    Generative,
    HeldOut,
    Known,
    Located,
    Named,
    Partitioned,
    Pictured,
    Planar,
    Solvable,
    Written,
)
from bench.contracts.hyperparameter import (
    Coefficient,
    Count,
    Decay,
    Epsilon,
    Fraction,
    Hyperparameter,
    Momentum,
    Options,
    StepSize,
    Value,
    later,
)
from bench.contracts.introspection import hyperparameters
from bench.contracts.oracle import Oracle
from bench.contracts.rule import Direction, Metric, State, UpdateRule, nested

__all__ = [
    "Attainable",
    "Batch",
    "Coefficient",
    "Collapse",
    "Constrained",
    "Count",
    "Decay",
    "Direction",
    "Epsilon",
    "Explicit",
    "Exportable",
    "Filmed",
    "Fraction",
    "Game",
    "Generative",
    "HeldOut",
    "Hyperparameter",
    "Known",
    "Located",
    "Metric",
    "Momentum",
    "Named",
    "Options",
    "Oracle",
    "Partitioned",
    "Pictured",
    "Planar",
    "Solvable",
    "State",
    "StepSize",
    "UpdateRule",
    "Value",
    "Written",
    "hyperparameters",
    "later",
    "nested",
]
