"""Cost to target: what each rule spends until its score is nearly as good as the best that was found."""

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
    """The cost of one target seed by seed, then the share of all targets met by each cost."""
    found = reached(scene.own, scene.rows, scene.metric)
    if found is None:
        return
    goal = f"{found.targets[NEARLY]:.3g}"
    axis = Axis(f"cost to reach {goal}", "lower", "gradient evaluations", "never")
    yield Drawing(
        "cost-to-target",
        f"Cost until {scene.axis.words} on {scene.label} is {goal} or better, {100 * SHARES[NEARLY]:g} % {found.way}: "
        "a point a seed, at its first evaluation there; the bar is the median with its 95 % interval. Crosses: seeds "
        "that never were there, or failed in the end.",
        scores.final_scores(_seeds(found), scene.look, axis, Range(False, 0.0, 1.02 * found.budget or 1.0)),
    )
    costs = np.stack(list(found.costs.values()))
    grid = np.unique(np.append(costs[np.isfinite(costs)], [0.0, found.budget]))
    band = performance_profile_band(costs[:, None], grid, resamples=RESAMPLES)
    bands = {rule: Band(*(part[i] for part in band)) for i, rule in enumerate(found.costs)}
    yield Drawing(
        "profile",
        f"Performance profile on {scene.label}: share of {len(SHARES)} targets and all seeds that a rule has met by "
        f"each cost, with its 95 % bootstrap interval over the seeds. The targets are {100 * SHARES[0]:g} to "
        f"{100 * SHARES[-1]:g} % {found.way}. A replica that failed meets none.",
        targets.profiles(bands, grid, scene.look, COST, "share of targets met"),
    )


def _seeds(found: Reached) -> dict[str, Scores]:
    """What the target that stands for all cost each rule, NaN where it was never met."""
    costs = np.stack([own[:, NEARLY] for own in found.costs.values()])
    band = bootstrap_rules(costs, median, resamples=RESAMPLES)
    known = np.where(np.isinf(costs), np.nan, costs)
    return {
        rule: Scores(known[i], float(band.value[i]), float(band.low[i]), float(band.high[i]))
        for i, rule in enumerate(found.costs)
    }
