"""How the replicas of a game ended, and when: counts and survival curves, from the records alone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.collapse import collapses
from bench.analysis.scores import curves, ended, study_budget
from bench.analysis.statistics import Band, survival
from bench.contracts import Collapse


def outcomes(records: pd.DataFrame, order: list[str], what: Collapse | None) -> dict[str, dict[str, int]]:
    """rule -> outcome -> how many report replicas of a game had it; each replica counts once.

    The outcome ``collapsed`` replaces ``ok`` for the replicas that collapsed.
    """
    ends = ended(records)["outcome"]
    watched, budget = curves(records, what.metric) if what else {}, study_budget(records)
    counts_by_rule = {}
    for rule in order:
        rule_outcomes = ends.loc[rule].astype(str).to_numpy(object)
        if what and rule in watched:
            rule_outcomes[collapses(what, *watched[rule], budget).collapsed & (rule_outcomes == "ok")] = "collapsed"
        counts_by_rule[rule] = {
            str(kind): int(count) for kind, count in zip(*np.unique(rule_outcomes, return_counts=True), strict=True)
        }
    return counts_by_rule


def survivals(
    records: pd.DataFrame, order: list[str], what: Collapse | None, grid: np.ndarray
) -> dict[str, dict[str, Band]]:
    """event -> rule -> share of the report replicas of a game without the event up to each cost of grid [G].

    The events are those that some replica had: diverged (or stopped with an error), collapsed.
    """
    ends = ended(records)
    watched = curves(records, what.metric) if what else {}
    curves_by_event: dict[str, dict[str, Band]] = {"diverged": {}, "collapsed": {}}
    met = set()
    for rule in order:
        rule_ends = ends.loc[rule]
        end, failed = rule_ends["ended"].to_numpy(float), (rule_ends["outcome"] != "ok").to_numpy()
        events = {"diverged": (np.where(failed, end, np.inf), float(grid[-1]))}
        if what and rule in watched:
            events["collapsed"] = (collapses(what, *watched[rule], float(grid[-1])).onset, end)
        for event, (costs, until) in events.items():
            curves_by_event[event][rule] = survival(costs, until, grid)
            met |= {event} if np.isfinite(costs).any() else set()
    return {event: bands for event, bands in curves_by_event.items() if event in met}
