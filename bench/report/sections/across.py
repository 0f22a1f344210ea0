"""The figures of a whole study, over all its games."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.findings import LEVEL, next_level, seeds_in_words
from bench.analysis.statistics import Band, holm, paired_test, performance_profile_band, seeds_needed
from bench.analysis.table import games_of
from bench.analysis.targets import SHARES, Reached, reached
from bench.report.figures import targets as figures
from bench.report.figures.panels import Look
from bench.report.sections.scene import Drawing
from bench.report.sections.scores import RESAMPLES
from bench.studies.study import Study

STEPS = 201  # points of the profile
NAMED = 2  # rules that a caption has room for


def across(score_table: pd.DataFrame, records: pd.DataFrame, look: dict[str, Look], study: Study) -> list[Drawing]:
    """The figures of the overview; none if fewer than two games have targets.

    Args:
        score_table: the table of `bench.analysis.table`.
        records: long records of the rules that are finished on a game.
        look: how each rule is drawn.
        study: the study.
    """
    targets_by_game: dict[str, Reached] = {}
    for game, rows in games_of(score_table):
        game_records, metric = records[records["game"] == game], study.metric(rows["metric"].iloc[0])
        if (targets := reached(game_records, rows.set_index("optimizer"), metric)) is not None:
            targets_by_game[str(game)] = targets
    rules = [rule for rule in study.optimizers if all(rule in targets.costs for targets in targets_by_game.values())]
    if len(targets_by_game) < 2 or not rules:
        return []
    costs = np.stack([[targets.costs[rule] / targets.budget for targets in targets_by_game.values()] for rule in rules])
    grid = np.linspace(0, 1, STEPS)
    band = performance_profile_band(np.round(costs, 9), grid, resamples=RESAMPLES)
    bands = {rule: Band(*(values[i] for values in band)) for i, rule in enumerate(rules)}
    caption = f"Performance profile over {len(targets_by_game)} games: share of games, seeds and {len(SHARES)} targets "
    caption += (
        "that a rule has met by each share of a game's budget, with its 95 % bootstrap interval over the seeds of "
    )
    caption += f"each game. The targets are {100 * SHARES[0]:g} to {100 * SHARES[-1]:g} % of the way from the start to "
    caption += (
        "the best rule's final score on that game, or to a millionth of the start. A replica that failed meets none."
    )
    missing_games = [game for game in study.games if game not in targets_by_game]
    missing_rules = [rule for rule in study.optimizers if rule not in rules]
    caption += (
        f" Without {', '.join(missing_games)}, where no rule improved or none is finished." if missing_games else ""
    )
    caption += f" Not drawn, for not finished on all of them: {', '.join(missing_rules)}." if missing_rules else ""
    caption += _power(costs, rules)
    label = "cost (share of a game's budget)"
    return [Drawing("profile", caption, figures.profiles(bands, grid, look, label, "share of targets met"))]


def _power(costs: np.ndarray, rules: list[str]) -> str:
    """How many seeds would tell the profile with the largest area under it from the others, in words.

    A seed's area is the mean share of the budget that was left when it met a target, over targets and games; Wilcoxon's
    test compares the areas of the same seeds, Holm-corrected. Costs: [rules, games, seeds, targets], as shares.
    """
    areas = (1 - np.minimum(costs, 1)).mean(axis=(1, 3))
    best = int(np.argmax(areas.mean(axis=1)))
    others = [i for i in range(len(rules)) if i != best]
    if not others:
        return ""
    p_values = holm([paired_test(areas[best], areas[i]) for i in others])
    tied = [i for i, p in zip(others, p_values, strict=True) if p > LEVEL]
    if not tied:
        return f" By the area under its profile {rules[best]} is ahead of all."
    level = next_level(p_values)
    seeds = {rules[i]: seeds_needed(areas[best], areas[i], level) for i in tied}
    words = seeds_in_words(rules[best], seeds, NAMED)
    return f" By the area under the profile, if rules differ as on these seeds: {words}."
