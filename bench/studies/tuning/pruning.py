"""Which trials are given up early: scores of the trials that train side by side in, who is clearly beaten out.

A score is lower the better and inf for a replica that diverged, so that a failure is the worst there is and never
missing. Trials are paired by seed: they meet the same starts and minibatches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.analysis.statistics import Array
from bench.studies.tuning.optuna_adapters import pruned_by_optuna

KEPT = 3  # trials that are never given up, for they may be chosen
PATIENCE = 0.4  # of the budget, that a trial has in any case


def pruned(pruner: str, scores: Array) -> NDArray[np.bool_]:
    """Who is given up, [T], by scores [evaluations so far, T, seeds].

    ``paired`` is this suite's own; else a pruner of Optuna's, e.g. ``MedianPruner[n_startup_trials=2]``, which sees the
    medians over the seeds as if all other trials had come before; ``none`` gives up nobody.
    """
    if pruner == "none":
        return np.zeros(scores.shape[1], dtype=bool)
    return paired(scores[-1]) if pruner == "paired" else pruned_by_optuna(pruner, np.median(scores, axis=2))


def paired(scores: Array) -> NDArray[np.bool_]:
    """Who is worse on every seed than each of at least half of the trials, and of at least KEPT: scores [T, seeds]."""
    beaten = (scores[:, None] > scores[None]).all(axis=2)
    return np.asarray(beaten.sum(axis=1) >= max(KEPT, -(-len(scores) // 2)))
