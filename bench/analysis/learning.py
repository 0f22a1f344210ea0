"""Which replicas learned anything, and which lost it again: results of their own, apart from divergence.

A game declares the score from which on a replica has learned (`Game.learned`), and what counts as collapse. The
definitions, for all games:

    A replica has learned if its score reached that at any evaluation. One that came through and never did is "not
    learned". Only what was learned can be lost: a replica has collapsed if it had learned, and fell as
    `bench.analysis.collapse` says.

Where a game declares neither, nothing is said. The counts go to `statistics.wilson`.

A rule learns at a step size if at least half of the tuning seeds learned there. One that learns at none of those
tried cannot be trained on the game: it has no rank, and stands last.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.collapse import Collapsed, collapses
from bench.analysis.scores import curves
from bench.registry.description import GameDescription, MetricDescription

Replicas = NDArray[np.bool_]


class Learning(NamedTuple):
    """Of a rule's report replicas, seeds rising: whether each learned, [R], and what collapsed; None: not declared."""

    learned: Replicas | None = None
    collapse: Collapsed | None = None


def learning(
    records: pd.DataFrame, game: GameDescription, primary: MetricDescription, budget: float
) -> dict[str, Learning]:
    """rule -> what its report replicas of a game learned and lost; of rules that were measured."""
    scored = curves(records, primary.name)
    watched = curves(records, game.collapse.metric) if game.collapse else {}
    found = {}
    for rule, (_, values) in scored.items():
        learned = None if game.learned is None else np.asarray(primary.reaches(values, game.learned).any(axis=1))
        collapse = None
        if game.collapse and rule in watched:
            collapse = collapses(game.collapse, *watched[rule], budget)
            if learned is not None:
                collapse = Collapsed(collapse.collapsed & learned, np.where(learned, collapse.onset, np.inf))
        found[rule] = Learning(learned, collapse)
    return found


def untrainable(records: pd.DataFrame, game: GameDescription, primary: MetricDescription) -> set[str]:
    """The rules whose tuning is finished and that learned at no step size tried, of a game's records."""
    if game.learned is None:
        return set()
    tuning = records[records["phase"].isin(["tune", "rerank"]) & (records["metric"] == primary.name)]
    by = ["optimizer", "trial", "phase", "seed"]
    last = tuning.sort_values("cost", kind="stable").drop_duplicates(by, keep="last").astype({"optimizer": str})
    reached = primary.reaches(last["value"].to_numpy(float), game.learned)
    last = last.assign(learned=reached & (last["outcome"] == "ok"), pruned=last["outcome"] == "interrupted")
    trials = last.groupby(["optimizer", "trial"], observed=True).agg({"learned": "mean", "pruned": "any"})
    learns = ((trials["learned"] >= 0.5) & ~trials["pruned"]).groupby("optimizer", observed=True).any()
    finished = set(last.loc[last["phase"] == "rerank", "optimizer"])
    return {str(rule) for rule, able in learns.items() if not able and rule in finished}
