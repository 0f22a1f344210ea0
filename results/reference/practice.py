"""What the reference study tells someone who trains: budgets, seconds and trials.

These are questions of `findings.py`, which prints them; every one is answered on the GANs of the study.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from measured import Array, Lines, Measured, correlation, grid, number, plain, resampled_ranks
from scipy.stats import rankdata

from bench.analysis.scores import curves
from bench.analysis.statistics import interquartile_mean
from bench.studies.tuning.sensitivity import effort

SHARES = (0.25, 0.5, 1.0)
"""Of the budget."""
WITHIN = 1.1
"""Times its own best score: what counts as tuned."""
ADAM = "sgd[direction=adam]"


def grows(study: Measured) -> Lines:
    """How does the answer change with the budget?"""
    yield "The order of the rules at a quarter and at half of the budget against that at the whole (Spearman's"
    yield "correlation over seeds drawn anew), and the rule that is first there. Step sizes are those tuned for the"
    yield "whole; a failed training has the worst score from then on."
    yield ""
    rows = []
    ranks: dict[float, list[Array]] = {share: [] for share in SHARES}
    for place, game in enumerate(study.gans):
        scores = {share: scores_at(study, game, share) for share in SHARES}
        drawn = {share: resampled_ranks(x, place) for share, x in scores.items()}
        row = [plain(game)]
        for share in SHARES:
            ranks[share].append(rankdata(interquartile_mean(scores[share])))
            first = f"`{study.rules[int(np.argmin(interquartile_mean(scores[share])))]}`"
            row += [first] if share == 1 else [number(correlation(drawn[share], drawn[1.0])), first]
        rows.append(row)
    yield from grid(["game", "a quarter", "first", "half", "first", "first at the whole"], rows)
    yield ""
    yield "Mean ranks over the GANs; the first lose most from a quarter of the budget to the whole, the last gain most:"
    yield ""
    means = {share: np.mean(parts, axis=0) for share, parts in ranks.items()}
    order = np.argsort(means[SHARES[0]] - means[1.0], kind="stable")
    rows = [[f"`{study.rules[i]}`", *(f"{means[share][i]:.1f}" for share in SHARES)] for i in order]
    yield from grid(["rule", "a quarter", "half", "whole"], rows)


def scores_at(study: Measured, game: str, share: float) -> Array:
    """Scores [rules, seeds] when a share of the budget is spent, lower is better; infinite after a failure."""
    metric = study.run.study.primary(game)
    by_rule = curves(study.records[study.records["game"] == game], metric.name)
    budget = max(float(costs[-1]) for costs, _ in by_rule.values())
    found = []
    for rule in study.rules:
        costs, values = by_rule[rule]
        at = metric.sign * measured_last(costs, values, share * budget)
        last = np.where(np.isnan(values), -np.inf, costs).max(axis=1)  # cost at which each seed was last measured
        failed = np.isinf(study.scores[game].loc[rule].to_numpy(float)) & (last < share * budget)
        found.append(np.where(failed | np.isnan(at), np.inf, at))
    return np.array(found)


def measured_last(costs: Array, values: Array, cost: float) -> Array:
    """Of values [seeds, costs] those that were measured last when a cost is spent."""
    return np.asarray(values[:, np.searchsorted(costs, cost, side="right") - 1])


def seconds(study: Measured) -> Lines:
    """What does a rule cost in seconds?"""
    yield "Seconds of a training at equal gradient evaluations, over those of simultaneous Adam: medians over seeds."
    yield "They were taken while the study ran, side by side with others, and say about how much, no more;"
    yield '"-" where half of the trainings or more failed, and so ended early:'
    yield ""
    medians = pd.DataFrame({plain(game): _seconds(study, game) for game in study.gans}, index=study.rules)
    ratios = medians / medians.loc[ADAM]
    order = ratios.median(axis=1).sort_values(kind="stable").index
    rows = [
        [f"`{rule}`", *("-" if np.isnan(value) else f"{value:.2f}" for value in ratios.loc[rule])] for rule in order
    ]
    yield from grid(["rule", *ratios.columns], rows)


def _seconds(study: Measured, game: str) -> dict[str, float]:
    """rule -> the median over seeds of the seconds that a training took; NaN where half of them failed."""
    by_rule = curves(study.records[study.records["game"] == game], study.run.study.primary(game).name, "seconds")
    failed = np.isinf(study.scores[game]).mean(axis=1)
    medians = {rule: float(np.median(np.nanmax(values, axis=1))) for rule, (_, values) in by_rule.items()}
    return {rule: median if failed[rule] < 0.5 else np.nan for rule, median in medians.items()}


def trials(study: Measured) -> Lines:
    """How many trials does a rule need?"""
    yield "Trials, spread over the range of step sizes, until the best of them is expected within 10 % of the best that"
    yield 'all trials found; ">" where all that were spread do not do, "-" where the rule learns nowhere:'
    yield ""
    asked, by_pair = study.run.study, study.tried
    rows = []
    for rule in study.rules:
        needed = []
        for game in study.gans:
            metric, found = asked.primary(game), by_pair.get((game, rule))
            if found is None or (rule, game) in study.nowhere:
                needed.append("-")
                continue
            gain = effort(found, metric, asked, rule)
            best, curve = metric.sign * gain.found.value, metric.sign * np.asarray(gain.curve.value)
            reached = np.flatnonzero(curve <= best + (WITHIN - 1) * abs(best))
            needed.append(str(reached[0] + 1) if len(reached) else f"> {len(curve)}")
        rows.append([f"`{rule}`", *needed])
    yield from grid(["rule", *map(plain, study.gans)], rows)


QUESTIONS: Sequence[Callable[[Measured], Lines]] = (grows, seconds, trials)
