"""Pruning: from the scores of trials that train together, which of them are clearly beaten and stop early.

A score is lower the better and inf for a replica that diverged, so that a failure is the worst there is and never
missing. Trials are paired by seed: they meet the same starts and minibatches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.analysis.statistics import Array

KEPT = 3  # so many best trials are never pruned
PATIENCE = 0.4  # share of the budget before a trial may be pruned


def waits(step: int, steps: int) -> bool:
    """Whether it is too early to give up a trial, after so many of all its steps."""
    return step < PATIENCE * steps


def paired(scores: Array) -> NDArray[np.bool_]:
    """Trials worse on every seed than each of at least half of the trials, and of at least KEPT: scores [T, seeds]."""
    beaten = (scores[:, None] > scores[None]).all(axis=2)
    return np.asarray(beaten.sum(axis=1) >= max(KEPT, -(-len(scores) // 2)))
