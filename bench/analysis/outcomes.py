"""How the replicas of a game ended, and when: counts and survival curves, from the records alone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.collapse import collapses
from bench.analysis.scores import curves, ended, study_budget
from bench.analysis.statistics import Band, survival
from bench.contracts import Collapse


def outcomes(records: pd.DataFrame, order: list[str], what: Collapse | None) -> dict[str, dict[str, int]]:
    """rule -> outcome -> how many of the report replicas of a game ended so; each counts once.

    Beside those of the records there is ``collapsed``: what would have been ok.
    """
    ends = ended(records)["outcome"]
    watched, budget = curves(records, what.metric) if what else {}, study_budget(records)
    found = {}
    for rule in order:
        own = ends.loc[rule].astype(str).to_numpy(object)
        if what and rule in watched:
            own[collapses(what, *watched[rule], budget).collapsed & (own == "ok")] = "collapsed"
        found[rule] = {str(kind): int(count) for kind, count in zip(*np.unique(own, return_counts=True), strict=True)}
    return found


def survivals(
    records: pd.DataFrame, order: list[str], what: Collapse | None, grid: np.ndarray
) -> dict[str, dict[str, Band]]:
    """event -> rule -> share of the report replicas of a game that have not met it by each cost of grid [G].

    The events are those that some replica met: diverged (or stopped with an error), collapsed.
    """
    ends = ended(records)
    watched = curves(records, what.metric) if what else {}
    found: dict[str, dict[str, Band]] = {"diverged": {}, "collapsed": {}}
    met = set()
    for rule in order:
        own = ends.loc[rule]
        end, failed = own["ended"].to_numpy(float), (own["outcome"] != "ok").to_numpy()
        events = {"diverged": (np.where(failed, end, np.inf), float(grid[-1]))}
        if what and rule in watched:
            events["collapsed"] = (collapses(what, *watched[rule], float(grid[-1])).onset, end)
        for event, (costs, until) in events.items():
            found[event][rule] = survival(costs, until, grid)
            met |= {event} if np.isfinite(costs).any() else set()
    return {event: bands for event, bands in found.items() if event in met}
