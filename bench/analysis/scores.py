"""Queries on records: the scores of replicas, their curves, how and at what cost they ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.analysis.study import ComparedStudy
from bench.registry.description import MetricDescription


def last_evaluations(records: pd.DataFrame, metric: MetricDescription, by: list[str]) -> pd.DataFrame:
    """Every replica's last record of a metric, indexed by ``by``; the value of a failed one is NaN."""
    metric_records = records[records["metric"] == metric.name].sort_values("cost", kind="stable")
    last = metric_records.drop_duplicates(by, keep="last").set_index(
        by
    )  # not groupby().last(), which skips a final NaN
    return last.assign(value=last["value"].where(last["outcome"] == "ok"))


def final_scores(records: pd.DataFrame, metric: MetricDescription, by: list[str]) -> pd.Series:
    """The last value of a metric of every replica, indexed by ``by``; failed replicas have the metric's worst."""
    return last_evaluations(records, metric, by)["value"].fillna(metric.worst)


def scores(
    records: pd.DataFrame,
    metric: MetricDescription,
    phase: str = "report",
    order: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> pd.DataFrame:
    """The last value of a metric for every replica of a phase, failed ones at the worst: [optimizers, seeds].

    With ``order`` and ``seeds``, a missing value is the worst too: a replica that stopped with an error has records of
    the primary metric only.
    """
    report = records[records["phase"] == phase]
    final = final_scores(report, metric, ["optimizer", "seed"]).unstack("seed")
    return final if order is None else final.reindex(index=order, columns=seeds).fillna(metric.worst)


def by_replica(records: pd.DataFrame, study: ComparedStudy) -> pd.DataFrame:
    """A row for each report replica: its score, as tables take it, its outcome and the cost at which it ended.

    Rows are in the order of the study's games and rules, and then of the seeds.
    """
    parts = []
    for game in study.games:
        of_game, metric = records[(records["game"] == game) & (records["phase"] == "report")], study.primary(game)
        last = last_evaluations(of_game, metric, ["optimizer", "seed"]).reset_index()
        order = last["optimizer"].astype(str).map({name: at for at, name in enumerate(study.optimizers)})
        last = last.iloc[np.lexsort((last["seed"], order))]
        parts.append(
            pd.DataFrame(
                {
                    "game": game,
                    "optimizer": last["optimizer"].astype(str).to_numpy(object),
                    "seed": last["seed"].to_numpy(int),
                    "metric": metric.name,
                    "score": last["value"].fillna(metric.worst).to_numpy(float),
                    "outcome": last["outcome"].astype(str).to_numpy(object),
                    "cost": last["ended"].to_numpy(float),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def curves(records: pd.DataFrame, metric: str, column: str = "value") -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each rule: costs [T] and values [seeds, T] of a metric, NaN after a replica's divergence.

    A replica that stopped with an error before the metric was measured is NaN throughout. The column ``seconds`` gives
    the times of the measurements.
    """
    report = records[records["phase"] == "report"]
    metric_records, curves_by_rule = report[report["metric"] == metric], {}
    seeds = report.groupby("optimizer", observed=True)["seed"].unique()
    for optimizer, part in metric_records.groupby("optimizer", observed=True):
        costs, at = np.unique(part["cost"].to_numpy(float), return_inverse=True)
        rule_seeds = np.sort(seeds[optimizer])
        values = np.full((len(rule_seeds), len(costs)), np.nan)
        values[np.searchsorted(rule_seeds, part["seed"].to_numpy()), at] = part[column].to_numpy(float)
        curves_by_rule[str(optimizer)] = (costs, values)
    return curves_by_rule


def ended(records: pd.DataFrame) -> pd.DataFrame:
    """A record of each report replica of a game, which says how it ended, by optimizer and seed, seeds rising."""
    first = records[records["phase"] == "report"].drop_duplicates(["optimizer", "seed"])
    return first.set_index(["optimizer", "seed"]).sort_index()


def study_budget(records: pd.DataFrame) -> float:
    """The cost that a replica of these records was given: the most that any spent."""
    return float(records.loc[records["phase"] == "report", "cost"].max())
