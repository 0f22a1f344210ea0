"""Sensitivity to tuning: the width of a rule's good step sizes, the stability of the choice, the gain of more trials.

Made of the records of tuning alone. A replica that failed counts as the worst. A trial that was given up early counts
as it stood then, which is mostly worse than it would have become, but as no better than the best of the trials that
went on to the end: only those can be chosen.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.formatting import values_of
from bench.analysis.learning import untrainable
from bench.analysis.statistics import (
    Array,
    Band,
    Interval,
    choice_stability,
    expected_best_curve,
    good_band_interval,
    interquartile_mean,
    stratified_bootstrap,
)
from bench.registry.description import MetricDescription
from bench.studies.study import Study
from bench.studies.tuning.pruning import KEPT as RERANKED
from bench.studies.tuning.search import stages

NOWHERE = Interval(np.nan, np.nan, np.nan)


class Trials(NamedTuple):
    """The trials of tuning: values [trials, names], scores [trials, seeds], `means` over the seeds [trials].

    These are interquartile means, by which trials are ordered.

    A score is NaN for a failure; a trial that was given up early has the worst mean, and ``stood`` [trials, seeds]
    is where it then was (NaN for all others). ``costs`` [trials] are gradient evaluations spent, all seeds together;
    ``numbers`` [trials] are the trials' own.
    """

    names: tuple[str, ...]
    steps: Array
    values: Array
    means: Array
    chosen: tuple[float, ...]
    stood: Array
    costs: Array
    numbers: NDArray[np.int64]

    @property
    def pruned(self) -> NDArray[np.bool_]:
        """Which trials were, [trials]."""
        return np.asarray(~np.isnan(self.stood).all(axis=1))

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Which trials have a failure for their interquartile mean, [trials]."""
        return np.asarray((np.isnan(self.values).sum(axis=1) > self.values.shape[1] // 4) & ~self.pruned)

    @property
    def last(self) -> Array:
        """The mean of a pruned trial's last scores, failures left out, [trials]; NaN for all others."""
        means = np.full(len(self.stood), np.nan)
        means[self.pruned] = [interquartile_mean(stood[~np.isnan(stood)]) for stood in self.stood[self.pruned]]
        return means

    def scores(self, metric: MetricDescription) -> Array:
        """The score of every trial on every seed, [trials, seeds]: no NaN, the metric's worst for a failure."""
        counted = np.where(np.isnan(self.values), metric.worst, self.values)
        ended, pruned = np.flatnonzero(~self.pruned), self.pruned
        stood = np.where(np.isnan(self.stood[pruned]), metric.worst, self.stood[pruned])
        best, worse = (np.argmax, np.minimum) if metric.better == "higher" else (np.argmin, np.maximum)
        leader = counted[ended[best(interquartile_mean(counted[ended]))]] if len(ended) else metric.worst
        counted[pruned] = worse(stood, leader)
        return counted


class Effort(NamedTuple):
    """The gain of trials: the expected best of k = 1.. of those that spread [k]; the best of all ``trials``."""

    curve: Band
    trials: int
    found: Interval


class Ends(NamedTuple):
    """How the replicas of a phase ended: the last value of every trial [T] and seed [S], NaN and "" where none ran."""

    numbers: NDArray[np.int64]
    texts: list[str]
    """Each trial's hyperparameters [T]."""
    value: Array
    outcome: NDArray[np.object_]
    ended: Array

    def of(self, outcome: str) -> Array:
        """The values of the replicas with this outcome; NaN for all others."""
        return np.where(self.outcome == outcome, self.value, np.nan)


def ends_of(rule_records: pd.DataFrame, phase: str, metric: MetricDescription) -> Ends:
    """The ends of one rule's replicas on a game; arrays, because pandas takes ten times as long for so few rows."""
    phase_records = rule_records[(rule_records["phase"] == phase) & (rule_records["metric"] == metric.name)]
    trial, seed = phase_records["trial"].to_numpy(np.int64), phase_records["seed"].to_numpy(np.int64)
    order = np.lexsort((phase_records["cost"].to_numpy(float), seed, trial))
    last = order[np.append((np.diff(trial[order]) != 0) | (np.diff(seed[order]) != 0), True)] if len(order) else order
    numbers, first, row = np.unique(trial[last], return_index=True, return_inverse=True)
    seeds, column = np.unique(seed[last], return_inverse=True)
    value, ended = np.full((2, len(numbers), len(seeds)), np.nan)
    outcome = np.full(value.shape, "", dtype=object)
    for table, name in ((value, "value"), (outcome, "outcome"), (ended, "ended")):
        table[row, column] = phase_records[name].to_numpy()[last]
    texts = phase_records["hyperparameters"].to_numpy(object)[last[first]]
    return Ends(numbers, [str(text) for text in texts], value, outcome, ended)


def trials_of(rule_records: pd.DataFrame, metric: MetricDescription) -> Trials | None:
    """The trials of one rule on one game, from its records; None where nothing was tuned."""
    ends = ends_of(rule_records, "tune", metric)
    if not len(ends.numbers):
        return None
    tried = [json.loads(text) for text in ends.texts]
    frozen = rule_records.loc[rule_records["phase"] == "report", "hyperparameters"]
    names, chosen = tuple(tried[0]), json.loads(frozen.iloc[0]) if len(frozen) else {}
    values = ends.of("ok")
    return Trials(
        names,
        np.array([[trial[name] for name in names] for trial in tried]),
        values,
        interquartile_mean(np.where(np.isnan(values), metric.worst, values)),
        tuple(chosen[name] for name in names if name in chosen),
        ends.of("interrupted"),
        np.nansum(ends.ended, axis=1),
        ends.numbers,
    )


def can_be_trained(rule_records: pd.DataFrame, study: Study, game: str) -> bool | None:
    """Whether a rule learns on a game at any step size that was tried; None where that cannot be said.

    It does at one where at least half of the tuning seeds learned, those of the re-ranking included. A trial that was
    given up early does not count. Where the game does not say what learning is, a rule can be trained if not all trials
    failed. Where it cannot, its declared defaults are frozen, as `bench.studies.tuning.tuner` says.

    Args:
        rule_records: the rule's records on the game, of all phases.
        study: what they are a part of.
        game: as it is spelled.

    Returns:
        None where nothing was tuned or tuning is not finished.
    """
    metric, learned = study.primary(game), study.game(game).learned
    first, again = (ends_of(rule_records, phase, metric) for phase in ("tune", "rerank"))
    if not len(first.numbers) or not len(again.numbers):
        return None
    if learned is not None:
        return not untrainable(rule_records.assign(optimizer=""), study.game(game), metric)
    failed = np.isnan(first.of("ok")) & (first.outcome != "interrupted")
    both = np.concatenate([failed[np.isin(first.numbers, again.numbers)], np.isnan(again.of("ok"))], axis=1)
    return any(bool((seeds.sum(axis=1) <= seeds.shape[1] // 4).any()) for seeds in (failed, both))


def effort(trials: Trials, metric: MetricDescription, study: Study, rule: str) -> Effort:
    """The gain of more trials for a rule.

    Half of the trials refine the best point so far, so the best of k of them does not estimate what k trials find. The
    expectation is taken over the trials that spread over the range, the only ones that are as good as random, for k up
    to their number. Beside it is the best of all trials as it was found, a score on the seeds that it won on; its
    interval is over these seeds. Where an Optuna sampler proposed the trials, none of them spread.
    """
    higher, scores = metric.better == "higher", trials.scores(metric)
    spread = np.isin(trials.numbers, _spreading(study, rule, trials))
    nothing = Band(*np.empty((3, 0)))
    curve = expected_best_curve(scores[spread], higher) if spread.any() else nothing
    best = trials.means.argmax() if higher else trials.means.argmin()
    return Effort(curve, len(scores), stratified_bootstrap(scores[best], statistic=interquartile_mean))


def _spreading(study: Study, rule: str, trials: Trials) -> list[int]:
    """The numbers of the trials that spread over the range."""
    if study.sampler:
        return []
    searched, dimensions = study.rule(rule).searched, len(trials.names)
    lows = [searched[name][0] if name in searched else np.nan for name in trials.names]
    # Step sizes that are tied at first begin at the low ends of all ranges; those of protocol 1 were not tied.
    tied = dimensions > 1 and np.allclose(trials.steps[0], lows, rtol=1e-6, atol=0)
    planned = [stage for stage in stages(study.trials, dimensions, tied) if stage.spread]
    return [number for stage in planned for number in range(stage.first, stage.first + stage.size)]


Tried = dict[tuple[str, str], Trials]
"""(game, rule) -> its trials."""


def _parts(records: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """(game, rule) -> its records of tuning, and one record of the report, which holds the frozen values."""
    tuned = records["phase"].isin(["tune", "rerank"])
    frozen = records[records["phase"] == "report"].drop_duplicates(["game", "optimizer"])
    return dict(iter(pd.concat([records[tuned], frozen]).groupby(["game", "optimizer"], observed=True)))


def tried(records: pd.DataFrame, study: Study) -> Tried:
    """The trials of every rule that was tuned on a game."""
    parts, trials_by = _parts(records), dict[tuple[str, str], Trials]()
    for game, rule in ((game, rule) for game in study.games for rule in study.optimizers):
        rule_records = parts.get((game, rule))
        if rule_records is not None and (trials := trials_of(rule_records, study.primary(game))) is not None:
            trials_by[game, rule] = trials
    return trials_by


def tuning(records: pd.DataFrame, study: Study, trials_by: Tried | None = None) -> pd.DataFrame:
    """A row for each game and each rule that was tuned on it, once its values are frozen.

    ``choice_changes`` is a share of the resamples of the seeds that decided, the finalists' first and fresh ones;
    ``best_of_k`` is in `effort`, ``best_of_all`` beside it. ``saved`` is the share of the granted cost that failures
    and trials given up early left; what does not apply is NaN.
    """
    rows: list[dict[str, Any]] = []
    parts = _parts(records)
    for (game, rule), trials in (tried(records, study) if trials_by is None else trials_by).items():
        rule_records, metric = parts[game, rule], study.primary(game)
        frozen = rule_records.loc[rule_records["phase"] == "report", "hyperparameters"]
        if frozen.empty:
            continue
        rows.append(
            {"game": game, "optimizer": rule, "metric": metric.name, "better": metric.better}
            | {"hyperparameters": values_of(frozen.iloc[0]), "trials": len(trials.steps)}
            | {"failed": int(trials.failed.sum()), "given_up": int(trials.pruned.sum())}
            | _named("good_band", _width(trials, metric))
            | {"choice_changes": _changes(rule_records, trials, metric)}
            | _cost(rule_records, metric, (study.trials + RERANKED) * study.tuning_seeds * study.cost_of(game))
            | _bests(effort(trials, metric, study, rule))
        )
    return pd.DataFrame(rows, columns=None if rows else ["game", "optimizer"])


def _named(name: str, interval: Interval) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))


def _width(trials: Trials, metric: MetricDescription) -> Interval:
    """Width of the good band of a single step size, in decades; with a single seed it has no interval."""
    steps, first = np.unique(trials.steps[:, 0], return_index=True)
    if len(trials.names) != 1 or steps[0] <= 0:
        return NOWHERE
    scores = trials.scores(metric)[first]
    interval = good_band_interval(steps, scores, higher=metric.better == "higher")
    return interval if scores.shape[1] > 1 else NOWHERE._replace(value=interval.value)


def _changes(rule_records: pd.DataFrame, trials: Trials, metric: MetricDescription) -> float:
    """Share of the resamples of the seeds that decided which would choose another trial; NaN where nothing was chosen.

    Those are all seeds of the finalists; where every finalist failed, the first of the other trials, or of all.
    """
    first = np.where(np.isnan(trials.values), metric.worst, trials.values)
    again = ends_of(rule_records, "rerank", metric)
    fresh = np.where(np.isnan(again.of("ok")), metric.worst, again.of("ok"))
    places, all_trials = np.searchsorted(trials.numbers, again.numbers), np.arange(len(first))
    others = np.setdiff1d(all_trials[~trials.pruned], places)
    for candidates, scores in (
        (places, np.concatenate([first[places], fresh], axis=1)),
        (others, first[others]),
        (all_trials, trials.scores(metric)),
    ):
        if not len(scores) or not np.isfinite(interquartile_mean(scores)).any():
            continue
        chosen = [index for index, step in enumerate(trials.steps[candidates]) if tuple(step) == trials.chosen]
        if chosen and first.shape[1] > 1:
            return choice_stability(scores, chosen[0], metric.better == "higher")
        break
    return float("nan")


def _cost(rule_records: pd.DataFrame, metric: MetricDescription, granted: float) -> dict[str, float]:
    """Gradient evaluations of all trials and seeds, the finalists' second ones among them."""
    spent = float(sum(np.nansum(ends_of(rule_records, phase, metric).ended) for phase in ("tune", "rerank")))
    return {"granted": granted, "spent": spent, "saved": 1 - spent / granted}


def _bests(trial_effort: Effort) -> dict[str, float]:
    """The best of all trials, and the expected best of 1, 2, 4, ... of those that spread."""
    bests = _named("best_of_all", trial_effort.found)
    for power in range(len(trial_effort.curve.value).bit_length()):
        k = 2**power
        bests |= _named(f"best_of_{k}", Interval(*(float(part[k - 1]) for part in trial_effort.curve)))
    return bests
