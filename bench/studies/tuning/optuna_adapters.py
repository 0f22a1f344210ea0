"""Samplers and pruners of Optuna's by name, asked as ours are."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.statistics import Array
from bench.errors import UserError, nearest
from bench.registry.spelling import parse
from bench.studies.tuning.search import Point, Space, Trial

BATCH = 8  # trials that a sampler of Optuna's proposes at once


def sampled(sampler: str, space: Space, tried: Sequence[Trial], count: int) -> list[Point]:
    """The next points of an Optuna sampler by name; ``tried`` are the points that it proposed before, BATCH at a time.

    All earlier trials are replayed, because some samplers have a state that is lost with their study.
    """
    import optuna
    from optuna.distributions import FloatDistribution

    shapes: dict[str, Any] = {k: FloatDistribution(kind.low, kind.high, log=kind.log) for k, kind in space.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some samplers or their options are experimental
        study = optuna.create_study(sampler=make_sampler(sampler, seed=0))
        for first in range(0, len(tried), BATCH):
            batch = tried[first : first + BATCH]
            finite = [trial.value for trial in tried[: first + BATCH] if math.isfinite(trial.value)]
            worst = max(finite, default=0.0)
            failure_value = worst + abs(worst) + 1.0  # inf would be no number
            asked = [study.ask(shapes) for _ in batch]
            for trial, past in zip(asked, batch, strict=True):
                study.tell(trial, past.value if math.isfinite(past.value) else failure_value)
        asked = [study.ask(shapes) for _ in range(count)]
    return [{path: float(f"{trial.params[path]:.10g}") for path in space} for trial in asked]


def make_sampler(spelled: str, seed: int) -> Any:
    """An Optuna sampler from its spelling, e.g. ``TPESampler`` or ``CmaEsSampler[sigma0=0.1]``; UserError for none."""
    import optuna
    from optuna.distributions import FloatDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = [name for name in dir(optuna.samplers) if name.endswith("Sampler") and not name.startswith("Base")]
    asked = parse(spelled)
    if asked.name not in names:
        raise UserError(f"sampler is {asked.name!r}; {nearest(asked.name, names)}")
    kind = getattr(optuna.samplers, asked.name)
    seeded = {"seed": seed} if "seed" in signature(kind).parameters else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study(sampler=kind(**seeded | asked.keys))
            for value in (1.0, 0.0):  # a sampler that lacks a package or a grid raises at its first proposal
                study.tell(study.ask({name: FloatDistribution(0.0, 1.0) for name in "ab"}), value)
            return kind(**seeded | asked.keys)
    except Exception as error:
        raise UserError(f"sampler {spelled}: {error}") from None


def pruned_by_optuna(spelled: str, medians: Array) -> NDArray[np.bool_]:
    """The decision of an Optuna pruner on each trial, [T], from medians [marks, T]: True prunes it."""
    import optuna

    worst = np.nanmax(np.where(np.isfinite(medians), medians, np.nan), initial=0.0)
    seen = np.where(np.isfinite(medians), medians, worst + abs(worst) + 1.0)
    pruner, decisions = make_pruner(spelled), np.zeros(medians.shape[1], dtype=bool)
    for judged in range(len(decisions)):
        # A pruner may draw at random by the study's name; some keep a record of a trial only when they are asked on it.
        study = optuna.create_study(pruner=pruner, study_name=spelled)
        for other in [*range(judged), *range(judged + 1, len(decisions)), judged]:
            trial = study.ask()
            for mark, value in enumerate(map(float, seen[:, other]), start=1):
                trial.report(value, mark)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that some pruners are experimental, or lack numbers to go by
                decisions[judged] = trial.should_prune()
            study.tell(trial, float(seen[-1, other]))
    return decisions


def make_pruner(spelled: str) -> Any:
    """An Optuna pruner from its spelling; UserError for none."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = [name for name in dir(optuna.pruners) if name.endswith("Pruner") and not name.startswith("Base")]
    asked = parse(spelled)
    if asked.name not in names:
        raise UserError(f"pruner is {asked.name!r}; {nearest(asked.name, ['paired', 'none', *names])}")
    try:
        inner = {key: make_pruner(str(value)) for key, value in asked.keys.items() if key == "wrapped_pruner"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(optuna.pruners, asked.name)(**asked.keys | inner)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"pruner {spelled}: {error}") from None
