"""Which trials are given up early: scores of the trials that train side by side in, who is clearly beaten out.

A score is lower the better and inf for a replica that diverged, so that a failure is the worst there is and never
missing. Trials are paired by seed: they meet the same starts and minibatches.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.spelling import SpecError, nearest, parse

Array = NDArray[np.float64]

KEPT = 3  # trials that are never given up, for they may be chosen
PATIENCE = 0.4  # of the budget, that a trial has in any case


def given_up(pruner: str, scores: Array) -> NDArray[np.bool_]:
    """Who is given up, [T], by scores [marks so far, T, seeds].

    ``paired`` is this suite's own; else a pruner of Optuna's, e.g. ``MedianPruner[n_startup_trials=2]``, which sees the
    medians over the seeds as if all other trials had come before; ``none`` gives up nobody.
    """
    if pruner == "none":
        return np.zeros(scores.shape[1], dtype=bool)
    return paired(scores[-1]) if pruner == "paired" else _optunas(pruner, np.median(scores, axis=2))


def paired(scores: Array) -> NDArray[np.bool_]:
    """Who is worse on every seed than each of at least half of the trials, and of at least KEPT: scores [T, seeds]."""
    beaten = (scores[:, None] > scores[None]).all(axis=2)
    return np.asarray(beaten.sum(axis=1) >= max(KEPT, -(-len(scores) // 2)))


def _optunas(spelled: str, medians: Array) -> NDArray[np.bool_]:
    """What a pruner of Optuna's says to each trial, [T], by medians [marks, T]."""
    import optuna

    worst = np.nanmax(np.where(np.isfinite(medians), medians, np.nan), initial=0.0)
    seen = np.where(np.isfinite(medians), medians, worst + abs(worst) + 1.0)
    pruner, said = made(spelled), np.zeros(medians.shape[1], dtype=bool)
    for own in range(len(said)):
        # A pruner may draw lots by the study's name; some only know of a trial what they noted when it asked them.
        study = optuna.create_study(pruner=pruner, study_name=spelled)
        for other in [*range(own), *range(own + 1, len(said)), own]:
            trial = study.ask()
            for mark, value in enumerate(map(float, seen[:, other]), start=1):
                trial.report(value, mark)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that some pruners are experimental, or lack numbers to go by
                said[own] = trial.should_prune()
            study.tell(trial, float(seen[-1, other]))
    return said


def made(spelled: str) -> Any:
    """A pruner of Optuna's as spelled; SpecError for none."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    known = [name for name in dir(optuna.pruners) if name.endswith("Pruner") and not name.startswith("Base")]
    asked = parse(spelled)
    if asked.name not in known:
        raise SpecError(f"pruner is {asked.name!r}; {nearest(asked.name, ['paired', 'none', *known])}")
    try:
        inner = {key: made(str(value)) for key, value in asked.keys.items() if key == "wrapped_pruner"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(optuna.pruners, asked.name)(**asked.keys | inner)
    except SpecError:
        raise
    except Exception as error:
        raise SpecError(f"pruner {spelled}: {error}") from None
