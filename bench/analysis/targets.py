"""What a rule spends until its score is good enough: targets of a game, and the cost at which each replica met them.

A game's targets lie on the way from where all rules start (the median first score) to the best rule's final
interquartile mean: half of the way, ..., all of it; on a logarithmic scale where the two are more than a factor of ten
apart. So a target means "nearly as good as the best of this study", whatever a score's unit is. The last target is at
least a millionth of the start: below it a game is solved, and reaching 1e-60 is no better. Several targets, not one:
Hansen et al. 2016, arXiv:1603.08785. A replica meets a target at its first evaluation there; one that
failed in the end meets none.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.scores import curves, ended, study_budget
from bench.analysis.statistics import Array, cost_to_target
from bench.registry.description import MetricDescription

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""How much of the way the targets are."""
SOLVED = 1e-6
"""The share of the first score that is as good as zero."""
NEARLY = 4
"""The index of the representative target: nearly as good as the best."""


class Reached(NamedTuple):
    """The targets [k] from ``start`` to ``end``; for each rule the costs at which its replicas met them [seeds, k].

    A cost is inf where a target was never met; ``log`` says whether the way is measured in logarithms.
    """

    start: float
    log: bool
    targets: Array
    costs: dict[str, Array]
    budget: float

    @property
    def way(self) -> str:
        """The start and the end of the targets, in words."""
        end = self.targets[-1]
        solved = self.start > 0 and end == self.start * SOLVED
        goal = (
            f"a millionth of it ({end:.3g}), as good as zero" if solved else f"the best rule's final score ({end:.3g})"
        )
        return f"of the way{', in logarithms,' if self.log else ''} from the start ({self.start:.3g}) to {goal}"


def reached(game_records: pd.DataFrame, rows: pd.DataFrame, metric: MetricDescription) -> Reached | None:
    """From a game's long records and its rows of the table, indexed by optimizer; None where no rule improved."""
    by_rule, higher = curves(game_records, metric.name), metric.better == "higher"
    if not by_rule:
        return None
    first = np.concatenate([values[:, 0] for _, values in by_rule.values()])
    first = first[np.isfinite(first)]
    best = float(rows["iqm"].max() if higher else rows["iqm"].min())
    start = float(np.median(first)) if len(first) else math.nan
    if not (best > start if higher else best < start) or math.isinf(best):
        return None
    way, log = targets(start, best)
    failed = (ended(game_records)["outcome"] != "ok").unstack("seed")
    costs = {
        str(rule): np.where(
            failed.loc[rule].to_numpy(bool)[:, None],
            math.inf,
            np.stack([cost_to_target(by_rule[rule][0], _measured(by_rule[rule][1]), t, higher) for t in way], axis=1),
        )
        for rule in rows.index
    }
    return Reached(start, log, way, costs, study_budget(game_records))


def targets(start: float, best: float) -> tuple[Array, bool]:
    """`SHARES` of the way from start to best, or to where a game is solved, and whether it is in logarithms."""
    shares = np.asarray(SHARES)
    if start > 0 and best >= 0:
        end = max(best, start * SOLVED)
        if max(start / end, end / start) > 10:
            return np.where(shares == 1, end, start * (end / start) ** shares), True
    return np.where(shares == 1, best, start + shares * (best - start)), False


def _measured(values: Array) -> Array:
    """Curves [..., T] with nothing after a gap."""
    return np.where(np.isnan(values).cumsum(axis=-1) > 0, math.nan, values)
