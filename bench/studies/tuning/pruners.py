"""Pruners of Optuna: this suite's own as one of them, and Optuna's own by name.

Imported only where something is tuned, because Optuna takes a while to import.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from bench.analysis.statistics import Array, interquartile_mean
from bench.errors import UserError, nearest
from bench.registry.spelling import parse
from bench.studies.plan import Chunk
from bench.studies.tuning.pruning import paired

CURVES = "curves"
"""Attribute of a trial: step -> its scores on the tuning seeds, None for a failure."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


class PairedPruner(BasePruner):
    """This suite's pruner (`bench.studies.tuning.pruning.paired`): prunes a trial that others beat on every seed.

    It compares the trials of a study at the step of the last report, seed by seed, by their attribute ``curves``.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial is beaten by others that were judged at its last step."""
        own = trial.user_attrs.get(CURVES, {})
        if not own:
            return False
        step = max(own, key=int)
        others = [one for one in study.get_trials(deepcopy=False) if one.number != trial.number]
        judged = [one.user_attrs.get(CURVES, {}).get(step, ()) for one in others]
        scores = [own[step], *(seeds for seeds in judged if len(seeds) == len(own[step]))]
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        places = [[math.inf if score is None else sign * score for score in seeds] for seeds in scores]
        return bool(paired(np.array(places))[0])


def pruned(pruner: str, scores: Array) -> NDArray[np.bool_]:
    """Which trials are pruned, [T], by scores [evaluations so far, T, seeds].

    ``paired`` is decided for all trials at once, as `PairedPruner` decides on each of them; any other pruner is asked
    in an Optuna study.
    """
    return paired(scores[-1]) if pruner == "paired" else pruned_in_study(pruner, scores)


def beaten_trials(chunk: Chunk, curves: Sequence[Array]) -> NDArray[np.bool_]:
    """Which trials of a tuning chunk its pruner gives up at an evaluation, [T] in the order of their first rows.

    Args:
        chunk: the chunk, with the curves that its pruner compares with.
        curves: the score of each of its rows at every evaluation after the start so far, lower the better, inf where a
            row was not in the game.
    """
    trials = list(dict.fromkeys(row.trial for row in chunk.rows))
    if chunk.pruner == "none" or len(chunk.rows) % len(trials):
        return np.zeros(len(trials), dtype=bool)
    trial_curves = np.stack(curves).reshape(len(curves), len(trials), -1)
    reference = np.array(chunk.reference_curves)[: len(curves)].reshape(len(curves), -1, trial_curves.shape[2])
    return pruned(chunk.pruner, np.concatenate([trial_curves, reference], axis=1))[: len(trials)]


def make_pruner(spelled: str) -> BasePruner:
    """The pruner of a study: ours for ``paired``, or Optuna's by its spelling, for which UserError if there is none."""
    own = {"paired": PairedPruner, "none": optuna.pruners.NopPruner}
    return own[spelled]() if spelled in own else named_pruner(spelled)


def named_pruner(spelled: str) -> BasePruner:
    """An Optuna pruner from its spelling; UserError for none."""
    names = [name for name in dir(optuna.pruners) if name.endswith("Pruner") and not name.startswith("Base")]
    asked = parse(spelled)
    if asked.name not in names:
        raise UserError(f"pruner is {asked.name!r}; {nearest(asked.name, ['paired', 'none', *names])}")
    try:
        inner = {key: named_pruner(str(value)) for key, value in asked.keys.items() if key == "wrapped_pruner"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made: BasePruner = getattr(optuna.pruners, asked.name)(**asked.keys | inner)
            return made
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"pruner {spelled}: {error}") from None


def pruned_in_study(spelled: str, scores: Array) -> NDArray[np.bool_]:
    """The decision of a pruner on each trial of a study, [T], from scores [evaluations, T, seeds]: True prunes it.

    A pruner of Optuna's sees the interquartile means over the seeds, as if all other trials had come before.
    """
    means = interquartile_mean(scores, axis=2)
    worst = np.nanmax(np.where(np.isfinite(means), means, np.nan), initial=0.0)
    seen = np.where(np.isfinite(means), means, worst + abs(worst) + 1.0)
    pruner, decisions = make_pruner(spelled), np.zeros(means.shape[1], dtype=bool)
    for judged in range(len(decisions)):
        # A pruner may draw at random by the study's name; some keep a record of a trial only when they are asked on it.
        study = optuna.create_study(pruner=pruner, study_name=spelled)
        for other in [*range(judged), *range(judged + 1, len(decisions)), judged]:
            trial = study.ask()
            trial.set_user_attr(CURVES, curves_of(range(1, len(scores) + 1), scores[:, other]))
            for step, value in enumerate(map(float, seen[:, other]), start=1):
                trial.report(value, step)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that some pruners are experimental, or lack numbers to go by
                decisions[judged] = trial.should_prune()
            study.tell(trial, float(seen[-1, other]))
    return decisions


def curves_of(steps: Iterable[int], scores: Array) -> dict[str, list[float | None]]:
    """Scores [evaluations, seeds] at some steps as the attribute of a trial."""
    return {
        str(step): [float(score) if math.isfinite(score) else None for score in seeds]
        for step, seeds in zip(steps, scores, strict=True)
    }
