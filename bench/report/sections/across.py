"""What is drawn of a whole study rather than of one of its games."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.statistics import Band, performance_profile_band
from bench.analysis.table import games_of
from bench.analysis.targets import SHARES, Reached, reached
from bench.report.figures import targets as figures
from bench.report.figures.panels import Look
from bench.report.sections.scene import Drawing
from bench.report.sections.scores import RESAMPLES
from bench.studies.study import Study

STEPS = 201  # places of the profile


def across(found: pd.DataFrame, records: pd.DataFrame, look: dict[str, Look], study: Study) -> list[Drawing]:
    """The figures of the overview: nothing where fewer than two games have something to show.

    Args:
        found: the table of `bench.analysis.table`.
        records: long records of the rules that are finished on a game.
        look: how each rule is drawn.
        study: what was asked for.
    """
    games: dict[str, Reached] = {}
    for game, rows in games_of(found):
        own, metric = records[records["game"] == game], study.metric(rows["metric"].iloc[0])
        if (met := reached(own, rows.set_index("optimizer"), metric)) is not None:
            games[str(game)] = met
    rules = [rule for rule in study.optimizers if all(rule in met.costs for met in games.values())]
    if len(games) < 2 or not rules:
        return []
    costs = np.stack([[met.costs[rule] / met.budget for met in games.values()] for rule in rules])
    grid = np.linspace(0, 1, STEPS)
    band = performance_profile_band(np.round(costs, 9), grid, resamples=RESAMPLES)
    bands = {rule: Band(*(part[i] for part in band)) for i, rule in enumerate(rules)}
    caption = f"Performance profile over {len(games)} games: share of games, seeds and {len(SHARES)} targets that a "
    caption += "rule has met by each share of a game's budget, with its 95 % bootstrap interval over the seeds of each "
    caption += f"game. The targets are {100 * SHARES[0]:g} to {100 * SHARES[-1]:g} % of the way from the start to the "
    caption += "best rule's final score on that game, or to a millionth of the start. A replica that failed meets none."
    without = [game for game in study.games if game not in games]
    left_out = [rule for rule in study.optimizers if rule not in rules]
    caption += f" Without {', '.join(without)}, where no rule improved or none is finished." if without else ""
    caption += f" Not drawn, for not finished on all of them: {', '.join(left_out)}." if left_out else ""
    label = "cost (share of a game's budget)"
    return [Drawing("profile", caption, figures.profiles(bands, grid, look, label, "share of targets met"))]
