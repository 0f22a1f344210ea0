"""The Optuna study of one rule on one game: how it is made, how a trial is told, and how one is made from records.

The records are the truth: a study is rebuilt from them, the same one every time. Its values are the game's score as it
is, so that its direction is the score's. The study's sampler and pruner are those of the `bench.Study`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from bench.analysis.statistics import Array, interquartile_mean
from bench.errors import UserError
from bench.studies.plan import PROTOCOL
from bench.studies.study import Study
from bench.studies.tuning.judging import Judge, Judged
from bench.studies.tuning.pruners import CURVES, curves_of, make_pruner
from bench.studies.tuning.samplers import LEARNS, TIE_BREAK, distributions, make_sampler
from bench.studies.tuning.search import Point, Space

__all__ = ["create", "distributions", "ended", "ending", "frozen", "reached", "study_name", "tell"]

RUN = "run"
"""Attribute of a study: the name of the `bench.Study` that it is a part of."""


def study_name(game: str, optimizer: str) -> str:
    """The name of an Optuna study."""
    return f"{game} / {optimizer}"


def create(study: Study, game: str, optimizer: str, space: Space, storage: BaseStorage | None) -> optuna.Study:
    """An Optuna study without trials, in memory or in a storage; there it replaces that of an earlier start."""
    name = study_name(game, optimizer)
    with reached(storage):
        if storage is not None and name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)
        return described(
            optuna.create_study(
                storage=storage,
                study_name=name,
                direction=direction(Judge.of(study, game)),
                sampler=make_sampler(study.sampler, space, study.trials),
                pruner=make_pruner(study.pruner),
            ),
            attributes(study, game, optimizer),
        )


def direction(judge: Judge) -> StudyDirection:
    """Of a study whose values are a game's scores."""
    return StudyDirection.MAXIMIZE if judge.score.better == "higher" else StudyDirection.MINIMIZE


def attributes(study: Study, game: str, optimizer: str, protocol: str = PROTOCOL) -> dict[str, Any]:
    """What is known of a study before its first trial; ``metric`` is the game's score."""
    judge = Judge.of(study, game)
    known: dict[str, Any] = {"game": game, "optimizer": optimizer, "metric": judge.score.name}
    known |= {"protocol": protocol, "tuned": study.tune, RUN: study.name}
    known |= {} if judge.tie_break is None else {"tie-break": judge.tie_break.name}
    return known | ({} if judge.learned is None else {"learned": judge.learned})


def described(study: optuna.Study, attributes: dict[str, Any]) -> optuna.Study:
    """The study with its attributes and the name of its metric."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([attributes["metric"]])
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    return study


def ending(chosen: dict[str, Any], points: dict[int, Point], reranked: dict[int, Judged]) -> dict[str, Any]:
    """What is known of a study at its end.

    Args:
        chosen: the frozen values.
        points: trial -> its point.
        reranked: trial -> how it did on fresh seeds.
    """
    number = next((number for number, point in points.items() if point == chosen), None)
    scores = {str(trial): by_seed(judged, judged.scores) for trial, judged in sorted(reranked.items())}
    known: dict[str, Any] = {"re-rank scores": scores, "chosen": chosen}
    return known | ({} if number is None else {"chosen trial": number})  # none if the declared values were kept


# --- trials ----------------------------------------------------------------------------------------------------------


class Ended(NamedTuple):
    """A finished trial as Optuna has it."""

    state: TrialState
    value: float | None
    intermediate: dict[int, float]
    attributes: dict[str, Any]


def ended(number: int, judged: Judged) -> Ended:
    """A trial by how its seeds did.

    Its value is the interquartile mean of the score over the tuning seeds; a failed replica is worse than any number,
    so that a trial more than a quarter of whose seeds failed has no value and is a failed one. Another that was given
    up early is a pruned one, and its value is that of its last evaluation.
    """
    sign = judged.by.score.sign
    means = {
        round(cost): float(interquartile_mean(scores))
        for cost, scores in zip(judged.costs, _whole(judged), strict=True)
    }
    reported = {step: sign * value for step, value in means.items() if math.isfinite(value)}
    value = float(interquartile_mean(judged.scores))
    finished = TrialState.PRUNED if judged.stopped else TrialState.COMPLETE
    state, told = (finished, sign * value) if math.isfinite(value) else (TrialState.FAIL, None)
    known = {
        "trial": number,
        "outcome": _outcome(judged, state),
        "outcomes": {str(seed): str(outcome) for seed, outcome in zip(judged.seeds, judged.outcomes, strict=True)},
        "scores": by_seed(judged, judged.scores),
        "gradient evaluations": float(np.nansum(judged.ended)),
        CURVES: curves_of(map(round, judged.costs), judged.by.score.sign * _whole(judged)),
    }
    if judged.learns is not None:
        known[LEARNS] = judged.learns
    if judged.by.tie_break is not None:
        known |= {
            TIE_BREAK: _finite(float(interquartile_mean(judged.ties))),
            "tie-breaks": by_seed(judged, judged.ties, tie=True),
        }
    return Ended(state, told, reported, known)


def tell(study: optuna.Study, trial: optuna.Trial, judged: Judged) -> None:
    """Tell the study how a trial that it asked for did."""
    end = ended(trial.number, judged)
    for key, value in end.attributes.items():
        trial.set_user_attr(key, value)
    for step, value in end.intermediate.items():
        trial.report(value, step)
    study.tell(trial, end.value if end.state == TrialState.COMPLETE else None, end.state)


def frozen(number: int, judged: Judged, point: Point, spans: dict[str, BaseDistribution]) -> FrozenTrial:
    """The same trial, made at once."""
    end = ended(number, judged)
    return create_trial(
        state=end.state,
        value=end.value,
        params=dict(point),
        distributions=spans,
        intermediate_values=end.intermediate,
        user_attrs=end.attributes,
    )


def by_seed(judged: Judged, values: Array, tie: bool = False) -> dict[str, float | None]:
    """Seed -> its score or tie-break as the metric gives it; None for a failure."""
    metric = judged.by.tie_break if tie and judged.by.tie_break else judged.by.score
    return {str(seed): _finite(metric.sign * float(value)) for seed, value in zip(judged.seeds, values, strict=True)}


def _whole(judged: Judged) -> Array:
    """The curve [evaluations, S] as long as the trial went on."""
    curve = judged.curve
    return np.where(np.isnan(curve), math.inf, curve)


def _outcome(judged: Judged, state: TrialState) -> str:
    """The outcome of a trial, from its replicas': without a value it failed, even if a seed was ``ok``."""
    if state != TrialState.FAIL:
        return "interrupted" if judged.stopped else "ok"
    return "error" if "error" in judged.outcomes else "diverged"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@contextmanager
def reached(storage: BaseStorage | None) -> Iterator[None]:
    """UserError where a storage fails while a run goes on; in memory none can."""
    if storage is None:
        yield
        return
    try:
        yield
    except UserError:
        raise
    except (StorageInternalError, OSError, KeyError, ValueError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:150]
        raise UserError(
            f"the storage of the tuning failed: {reason}; finished trainings are kept, and the same command goes on"
        ) from None
