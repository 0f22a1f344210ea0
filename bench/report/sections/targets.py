"""Cost to target: the cost of each rule until its score is nearly as good as the best score of any rule."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.analysis.statistics import Band, bootstrap_rules, median, performance_profile_band
from bench.analysis.targets import NEARLY, SHARES, Reached, reached
from bench.report.figures import scores, targets
from bench.report.figures.panels import COST, Axis, Range
from bench.report.figures.scores import Scores
from bench.report.sections.scene import Drawing, Scene
from bench.report.sections.scores import RESAMPLES


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """The cost to one target for each seed, then the share of all targets met by each cost."""
    game_targets = reached(scene.records, scene.rows, scene.metric)
    if game_targets is None:
        return
    goal = f"{game_targets.targets[NEARLY]:.3g}"
    axis = Axis(f"cost to reach {goal}", "lower", "gradient evaluations", "never")
    yield Drawing(
        "cost-to-target",
        f"Cost until {scene.axis.words} on {scene.label} is {goal} or better, {100 * SHARES[NEARLY]:g} % "
        f"{game_targets.way}: a point a seed, at its first evaluation there; the bar is the median with its 95 % "
        "interval. Crosses: seeds that never were there, or failed in the end.",
        scores.final_scores(
            _seeds(game_targets), scene.look, axis, Range(False, 0.0, 1.02 * game_targets.budget or 1.0)
        ),
    )
    costs = np.stack(list(game_targets.costs.values()))
    grid = np.unique(np.append(costs[np.isfinite(costs)], [0.0, game_targets.budget]))
    band = performance_profile_band(costs[:, None], grid, resamples=RESAMPLES)
    bands = {rule: Band(*(values[i] for values in band)) for i, rule in enumerate(game_targets.costs)}
    yield Drawing(
        "profile",
        f"Performance profile on {scene.label}: share of {len(SHARES)} targets and all seeds that a rule has met by "
        f"each cost, with its 95 % bootstrap interval over the seeds. The targets are {100 * SHARES[0]:g} to "
        f"{100 * SHARES[-1]:g} % {game_targets.way}. A replica that failed meets none.",
        targets.profiles(bands, grid, scene.look, COST, "share of targets met"),
    )


def _seeds(game_targets: Reached) -> dict[str, Scores]:
    """The cost of each rule to the target ``NEARLY``, NaN where it was never met."""
    costs = np.stack([rule_costs[:, NEARLY] for rule_costs in game_targets.costs.values()])
    band = bootstrap_rules(costs, median, resamples=RESAMPLES)
    finite_costs = np.where(np.isinf(costs), np.nan, costs)
    return {
        rule: Scores(finite_costs[i], float(band.value[i]), float(band.low[i]), float(band.high[i]))
        for i, rule in enumerate(game_targets.costs)
    }
