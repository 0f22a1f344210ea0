"""The answer in words: which rule to train a game with, at which step size, how sure that is, what it costs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bench.analysis.findings import Finding
from bench.analysis.formatting import number, rounded
from bench.analysis.scores import curves, scores
from bench.analysis.statistics import interquartile_mean
from bench.registry.description import MetricDescription
from bench.studies.study import Study
from bench.studies.tuning.sensitivity import Trials, Tried

GOOD = 2.0  # times the best trial's score, within which a step size is good, as in the width of the good band
GAIN = 0.9  # of the way from the start to the end
NAMED = 2  # rules that are named where more cannot be told apart


def advice(
    verdicts: list[Finding], score_table: pd.DataFrame, records: pd.DataFrame, study: Study, tried: Tried
) -> dict[str, str]:
    """game -> what to train it with, in words; of every game on which a rule came through.

    Args:
        verdicts: of `bench.analysis.findings.findings`.
        score_table: the table that they are made of.
        records: long records of the rules that are finished.
        study: what was asked.
        tried: the trials of tuning, of `bench.studies.tuning.sensitivity.tried`.
    """
    return {
        finding.game: _words(
            finding, score_table[score_table["game"] == finding.game].set_index("optimizer"),
            records[records["game"] == finding.game], study, tried.get((finding.game, finding.best)),
        )
        for finding in verdicts if finding.best
    }  # fmt: skip


def unanswered(rows: pd.DataFrame) -> str:
    """Why no rule can be named for a game on which none came through, and what to do.

    Args:
        rows: the game's rows of the table.
    """
    if (rows["errors"] == rows["n"]).all():
        return "No answer: every training stopped with an error."
    if rows["untrainable"].any():
        return "No answer: no rule learned here at any step size that was tried. Raise --budget."
    return "No answer: every rule failed on most of its seeds. Try more step sizes: raise --trials."


def _words(
    finding: Finding, rows: pd.DataFrame, game_records: pd.DataFrame, study: Study, trials: Trials | None
) -> str:
    count, without = (rows.loc[finding.best, column] for column in ("n", "not_learned"))
    if not pd.isna(without) and 2 * without > count:
        return (
            f"Too early to say: of {finding.best}, the best rule, {without} of {count} replicas had learned nothing "
            f"after {number(finding.cost)} gradient evaluations; a larger --budget may tell."
        )
    chosen = rounded(str(rows.loc[finding.best, "hyperparameters"]))
    near = "" if trials is None else good_range(trials, finding.metric)
    sentences = [f"Train it with {finding.best}" + (f", {chosen}" if chosen else "") + near]
    if sureness := [words for words in (_beside(finding), _beside_default(finding, game_records)) if words]:
        sentences[0] += f": {', '.join(sureness)}"
    enough = cost_of_gain(game_records, finding)
    if 0 < enough < finding.cost:
        sentences.append(f"{number(enough)} gradient evaluations suffice for {100 * GAIN:.0f} % of the gain")
    return "; ".join(sentences) + "."


def _beside(finding: Finding) -> str:
    """How sure it is that the best rule is ahead."""
    if not finding.rivals:
        return ""
    if not finding.decidable:
        return f"{finding.seeds} seeds are too few to be sure, {finding.needed} would do"
    if finding.tied:
        names = [rival.rule for rival in finding.tied]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return f"not told apart from {', '.join(names[:NAMED])}{more}"
    nearest = finding.worse[0]
    return f"better than {nearest.rule}, the next, in {100 * nearest.improvement.value:.0f} % of pairs"


def _beside_default(finding: Finding, game_records: pd.DataFrame) -> str:
    """How often it is better than the same rule with its declared defaults, where these were trained."""
    tuned, default = (scores(game_records, finding.metric, phase) for phase in ("report", "untuned"))
    if finding.best not in default.index or default.loc[finding.best].isna().any():
        return ""
    ahead = finding.metric.sign * tuned.loc[finding.best] < finding.metric.sign * default.loc[finding.best]
    return f"better than with its defaults on {int(ahead.sum())} of {len(ahead)} seeds"


def good_range(trials: Trials, metric: MetricDescription) -> str:
    """`` (good from 0.0004 to 0.003)``: the step sizes around the chosen one whose score is within twice the best."""
    if len(trials.names) != 1 or metric.better == "higher":
        return ""
    steps, means = trials.steps[:, 0], np.where(np.isnan(trials.means), math.inf, trials.means)
    best = float(means.min())
    if not 0 < best < math.inf:
        return ""
    order = np.argsort(steps)
    steps, good = steps[order], means[order] <= GOOD * best
    chosen = int(np.abs(np.log(steps) - math.log(trials.chosen[0])).argmin())
    if not good[chosen]:
        return ""
    low = high = chosen
    while low > 0 and good[low - 1]:
        low -= 1
    while high + 1 < len(good) and good[high + 1]:
        high += 1
    return f" (good from {number(float(steps[low]))} to {number(float(steps[high]))})" if low < high else ""


def cost_of_gain(game_records: pd.DataFrame, finding: Finding) -> float:
    """Gradient evaluations after which a rule's curve has GAIN of its way behind it for good; NaN for no gain."""
    report = game_records[game_records["phase"] == "report"]
    costs, values = curves(report, finding.metric.name)[finding.best]
    middle = interquartile_mean(np.where(np.isnan(values), finding.metric.worst, values), axis=0) * finding.metric.sign
    if not np.isfinite(middle).all() or middle[-1] >= middle[0]:
        return math.nan
    there = middle <= middle[0] - GAIN * (middle[0] - middle[-1])
    return float(costs[len(there) - int(np.argmin(there[::-1]))]) if not there.all() else float(costs[0])
