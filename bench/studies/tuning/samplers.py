"""Samplers of Optuna: this suite's own strategy as one of them, and Optuna's own by name.

Imported only where something is tuned, because Optuna takes a while to import.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from inspect import signature
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from bench.errors import UserError, nearest
from bench.registry.spelling import parse
from bench.studies.tuning.search import Point, Space, Stage, Trial, can_tie, propose, reach, stages

LEARNS, TIE_BREAK = "learns", "tie-break"
"""Attributes of a trial beside its value, by which ours orders trials; see `bench.studies.tuning.judging`."""

Distributions = dict[str, BaseDistribution]

optuna.logging.set_verbosity(optuna.logging.WARNING)


def make_sampler(spelled: str, space: Space, trials: int) -> BaseSampler:
    """The sampler of a study: Optuna's own by its spelling, or ours for ""; UserError for none."""
    return Batched(spelled, space) if spelled else GridAndZoom(space, trials)


def distributions(space: Space, trials: int, sampler: str = "") -> Distributions:
    """The distribution of each hyperparameter: all that its trials can come to.

    Ours begins within the declared range and may go past its ends, so its distributions are wider than that; a sampler
    of Optuna's stays within the declared range.
    """
    ends = {path: (kind.low, kind.high) for path, kind in space.items()} if sampler else reach(space, trials)
    found = Distributions()
    for path, (low, high) in ends.items():
        # Values are rounded to ten digits, which must not take one out of its distribution.
        low, high = (pick(end, float(f"{end:.10g}")) for pick, end in ((min, low), (max, high)))
        found[path] = FloatDistribution(low, high, log=space[path].log)
    return found


class GridAndZoom(BaseSampler):
    """This suite's strategy (`bench.studies.tuning.search`): spread over the range, close in on the best.

    It has no state: the trials of a study that came before decide the next. A failed trial counts as the worst.

    Args:
        space: path -> kind of each hyperparameter that is tuned.
        trials: how many trials there will be; the strategy divides them into stages.
    """

    def __init__(self, space: Space, trials: int) -> None:
        self.space, self.stages = space, stages(trials, len(space), can_tie(space))
        self.distributions = distributions(space, trials)
        self._proposed: tuple[Stage, list[Point]] | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Distributions:
        """All hyperparameters: their values are chosen together."""
        return dict(self.distributions)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Distributions) -> Point:
        """The point of a trial, which is decided by the trials before its stage."""
        for stage in self.stages:
            if stage.first <= trial.number < stage.first + stage.size:
                return self._points(study, stage)[trial.number - stage.first]
        raise ValueError(f"trial {trial.number}: {sum(stage.size for stage in self.stages)} were planned")

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, _: BaseDistribution) -> Any:
        """A hyperparameter that is none of the study's."""
        raise ValueError(f"{param_name!r} is not tuned; known: {', '.join(self.space)}")

    def _points(self, study: optuna.Study, stage: Stage) -> list[Point]:
        if self._proposed is None or self._proposed[0] != stage:
            before = study.get_trials(deepcopy=False)[: stage.first]
            tried = [tried_trial(one, study.direction) for one in before if one.state.is_finished()]
            self._proposed = (stage, propose(self.space, stage, tried))
        return self._proposed[1]


def tried_trial(trial: FrozenTrial, direction: StudyDirection) -> Trial:
    """A finished trial of Optuna's as the search sees it."""
    failed = trial.value is None or trial.state == TrialState.FAIL
    sign = -1.0 if direction == StudyDirection.MAXIMIZE else 1.0
    tie = trial.user_attrs.get(TIE_BREAK, 0.0)
    return Trial(
        {path: float(value) for path, value in trial.params.items()},
        math.inf if failed else sign * float(trial.value or 0.0),
        trial.state == TrialState.PRUNED,
        trial.user_attrs.get(LEARNS),
        math.inf if tie is None else float(tie),
    )


class Batched(BaseSampler):
    """A sampler of Optuna's, asked for a batch at a time and told of failures as values.

    Optuna's samplers ignore a failed trial, and would go where training fails again and again. So this one keeps a
    study of its own for the sampler, in which a failure has a value: worse than all that came through.
    """

    def __init__(self, spelled: str, space: Space) -> None:
        self.declared = {path: FloatDistribution(kind.low, kind.high, log=kind.log) for path, kind in space.items()}
        self.distributions = distributions(space, 0, spelled)
        self.running: dict[int, optuna.Trial] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that some samplers or their options are experimental
            self.inner = optuna.create_study(sampler=named_sampler(spelled, seed=0))

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Distributions:
        """All hyperparameters: the sampler of the inner study may treat them together."""
        return dict(self.distributions)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Distributions) -> Point:
        """The inner study's next point, after it is told what has finished since."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._tell([tried_trial(one, study.direction) for one in _first(study, trial.number)])
            asked = self.running[trial.number] = self.inner.ask(dict(self.declared))
        return {path: float(f"{asked.params[path]:.10g}") for path in self.declared}

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, _: BaseDistribution) -> Any:
        """A hyperparameter that is none of the study's."""
        raise ValueError(f"{param_name!r} is not tuned; known: {', '.join(self.declared)}")

    def _tell(self, tried: Sequence[Trial]) -> None:
        """Tell the inner study of the trials that have finished since; all those before them have."""
        worst = max((trial.value for trial in tried if math.isfinite(trial.value)), default=0.0)
        failure_value = worst + abs(worst) + 1.0  # inf would be no number
        for number in [number for number in self.running if number < len(tried)]:
            value = tried[number].value
            self.inner.tell(self.running.pop(number), value if math.isfinite(value) else failure_value)


def _first(study: optuna.Study, count: int) -> list[FrozenTrial]:
    """The finished trials before the first that is running, of so many."""
    trials = study.get_trials(deepcopy=False)[:count]
    running = (number for number, trial in enumerate(trials) if not trial.state.is_finished())
    return trials[: next(running, count)]


def named_sampler(spelled: str, seed: int) -> BaseSampler:
    """An Optuna sampler from its spelling, e.g. ``TPESampler`` or ``CmaEsSampler[sigma0=0.1]``; UserError for none."""
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
            made: BaseSampler = kind(**seeded | asked.keys)
            return made
    except Exception as error:
        raise UserError(f"sampler {spelled}: {error}") from None
