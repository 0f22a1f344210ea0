"""Which replica stands for a rule on a game: the one of the median score, and the best."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.analysis.scores import last_evaluations
from bench.registry.description import MetricDescription


def ordered(records: pd.DataFrame, metric: MetricDescription, seeds: Sequence[int] | None = None) -> dict[int, bool]:
    """The report seeds of a rule on a game from the best score on -> whether the replica ended well; failed ones last.

    Args:
        records: of one rule on one game.
        metric: the game's score.
        seeds: some of them; None for all.
    """
    report = records[records["phase"] == "report"]
    last = last_evaluations(report, metric, ["seed"])
    if seeds is not None:
        last = last[last.index.isin(seeds)]
    scores = metric.sign * last["value"].fillna(metric.worst)
    ranked = pd.DataFrame({"failed": last["outcome"] != "ok", "score": scores}).rename_axis("seed").reset_index()
    ranked = ranked.sort_values(["failed", "score", "seed"])  # of equal scores the first seed
    return {int(seed): not failed for seed, failed in zip(ranked["seed"], ranked["failed"], strict=True)}


def median(order: dict[int, bool]) -> int:
    """The seed in the middle; of an even number the better of the two."""
    return list(order)[(len(order) - 1) // 2]


def representatives(order: dict[int, bool]) -> set[int]:
    """The seeds of the median and of the best score, of those that ended well."""
    return {seed for seed in (median(order), next(iter(order))) if order[seed]} if order else set()
