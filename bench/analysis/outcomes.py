"""How the replicas of a game ended, and when: counts and survival curves, from the records alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bench.analysis.learning import Learning
from bench.analysis.scores import ended
from bench.analysis.statistics import Band, survival


def outcomes(records: pd.DataFrame, order: list[str], learnt: Mapping[str, Learning]) -> dict[str, dict[str, int]]:
    """rule -> outcome -> how many report replicas of a game had it; each replica counts once.

    The outcomes ``collapsed`` and ``not learned`` replace ``ok`` for the replicas of which they are true.
    """
    ends = ended(records)["outcome"]
    counts_by_rule = {}
    for rule in order:
        rule_outcomes = ends.loc[rule].astype(str).to_numpy(object)
        what, came_through = learnt.get(rule, Learning()), rule_outcomes == "ok"
        if what.learned is not None:
            rule_outcomes[came_through & ~what.learned] = "not learned"
        if what.collapse is not None:
            rule_outcomes[came_through & what.collapse.collapsed] = "collapsed"
        counts_by_rule[rule] = {
            str(kind): int(count) for kind, count in zip(*np.unique(rule_outcomes, return_counts=True), strict=True)
        }
    return counts_by_rule


def survivals(
    records: pd.DataFrame, order: list[str], learnt: Mapping[str, Learning], grid: np.ndarray
) -> dict[str, dict[str, Band]]:
    """event -> rule -> share of the report replicas of a game without the event up to each cost of grid [G].

    The events are those that some replica had: diverged (or stopped with an error), collapsed.
    """
    ends = ended(records)
    curves_by_event: dict[str, dict[str, Band]] = {"diverged": {}, "collapsed": {}}
    met = set()
    for rule in order:
        rule_ends = ends.loc[rule]
        end, failed = rule_ends["ended"].to_numpy(float), (rule_ends["outcome"] != "ok").to_numpy()
        events = {"diverged": (np.where(failed, end, np.inf), float(grid[-1]))}
        if (collapse := learnt.get(rule, Learning()).collapse) is not None:
            events["collapsed"] = (collapse.onset, end)
        for event, (costs, until) in events.items():
            curves_by_event[event][rule] = survival(costs, until, grid)
            met |= {event} if np.isfinite(costs).any() else set()
    return {event: bands for event, bands in curves_by_event.items() if event in met}
