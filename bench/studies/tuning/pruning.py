"""Pruning: from the scores of trials that train together, which of them are clearly beaten and stop early.

A score is lower the better and inf for a replica that diverged, so that a failure is the worst there is and never
missing. Trials are paired by seed: they meet the same starts and minibatches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.analysis.statistics import Array
from bench.studies.tuning.optuna_adapters import pruned_by_optuna

KEPT = 3  # so many best trials are never pruned
PATIENCE = 0.4  # share of the budget before a trial may be pruned


def pruned(pruner: str, scores: Array) -> NDArray[np.bool_]:
    """Which trials are pruned, [T], by scores [evaluations so far, T, seeds].

    ``paired`` is this suite's own; else a pruner of Optuna's, e.g. ``MedianPruner[n_startup_trials=2]``, which sees the
    medians over the seeds as if all other trials had come before; ``none`` prunes no trial.
    """
    if pruner == "none":
        return np.zeros(scores.shape[1], dtype=bool)
    return paired(scores[-1]) if pruner == "paired" else pruned_by_optuna(pruner, np.median(scores, axis=2))


def paired(scores: Array) -> NDArray[np.bool_]:
    """Trials worse on every seed than each of at least half of the trials, and of at least KEPT: scores [T, seeds]."""
    beaten = (scores[:, None] > scores[None]).all(axis=2)
    return np.asarray(beaten.sum(axis=1) >= max(KEPT, -(-len(scores) // 2)))
