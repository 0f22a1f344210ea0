"""The comparison in numbers: a row for each rule and game, from the records alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.collapse import collapses
from bench.analysis.formatting import values_of
from bench.analysis.scores import curves, ended, scores, study_budget
from bench.analysis.statistics import (
    area_under_curve,
    best_last_gap,
    bootstrap_rules,
    interquartile_mean,
    oscillation,
    wilson,
)
from bench.analysis.study import ComparedStudy
from bench.contracts import Collapse
from bench.registry.description import MetricDescription


def table(records: pd.DataFrame, study: ComparedStudy, metrics: Sequence[str] = ()) -> pd.DataFrame:
    """Rules x games: the primary metric's interquartile mean with interval, failures, cost, seconds, chosen values.

    ``auc`` is the same mean of the area under the curve against cost over its width: the mean score over training.
    ``best`` marks a game's best row, and those whose intervals overlap its own.
    Where metrics are named, a game has a block for each of them that was measured on it, in place of its primary one.
    """
    rows = []
    for game in study.games:
        here = records[records["game"] == game]
        primary = study.primary(game)
        wide = scores(here, primary)
        measured = wide.dropna().index  # a rule whose seeds are not all in yet comes later
        order = [name for name in study.optimizers if name in measured]
        there = set(here["metric"].unique())
        for name in [name for name in metrics or [primary.name] if name in there and order]:
            rows += _block(here, game, study.metric(name), study.game(game).collapse, order, list(wide.columns))
    found = pd.DataFrame(rows)
    if found.empty:
        return found
    return found.astype({"collapsed": "Int64", "fell": "Int64"}).assign(best=best(found, study))


def _block(
    here: pd.DataFrame,
    game: str,
    metric: MetricDescription,
    collapse: Collapse | None,
    order: list[str],
    seeds: list[int],
) -> list[dict[str, Any]]:
    """The table's rows of one game and metric."""
    wide = scores(here, metric, order=order, seeds=seeds)
    band = bootstrap_rules(wide.to_numpy())
    beside = _untuned(here, metric)
    stable = curves(here, metric.name)
    watched = curves(here, collapse.metric) if collapse else {}
    ends, spent, budget = ended(here), _spent(here), study_budget(here)
    rows = []
    for i, name in enumerate(order):
        own = ends.loc[name]
        rows.append(
            {"game": game, "optimizer": name, "metric": metric.name, "better": metric.better}
            | {"iqm": float(band.value[i]), "low": float(band.low[i]), "high": float(band.high[i])}
            | _outcomes(own)
            | ({f"untuned_{key}": value for key, value in beside.loc[name].items()} if name in beside.index else {})
            | _collapses(watched.get(name), collapse, budget)
            | _stability(stable.get(name), metric)
            | {"auc": _area(own, stable.get(name), metric)}
            | _costs(own, spent.loc[name])
        )
    return rows


def _spent(records: pd.DataFrame) -> pd.DataFrame:
    """Cost and seconds of every replica of a game, indexed by optimizer, phase, trial and seed."""
    by = ["optimizer", "phase", "trial", "seed"]
    return records.groupby(by, observed=True)[["ended", "seconds"]].max()


def _untuned(here: pd.DataFrame, metric: MetricDescription) -> pd.DataFrame:
    """Of the rules that were trained with their declared defaults as well: iqm, low, high."""
    wide = scores(here, metric, "untuned").dropna()
    if wide.empty:
        return wide
    band = bootstrap_rules(wide.to_numpy())
    return pd.DataFrame({"iqm": band.value, "low": band.low, "high": band.high}, index=wide.index)


def _outcomes(own: pd.DataFrame) -> dict[str, Any]:
    n, diverged = len(own), int((own["outcome"] == "diverged").sum())
    band = wilson(diverged, n)
    return {
        "n": n,
        "diverged": diverged,
        "diverged_low": band.low,
        "diverged_high": band.high,
        "errors": int((own["outcome"] == "error").sum()),
    }


def _collapses(
    curve: tuple[np.ndarray, np.ndarray] | None, what: Collapse | None, budget: float
) -> dict[str, float | None]:
    """Replicas that collapsed, with Wilson's interval of the rate, and of them those that fell from a better state.

    Nothing where the game declares no collapse.
    """
    if what is None or curve is None:
        return {"collapsed": None, "collapsed_low": None, "collapsed_high": None, "fell": None}
    found = collapses(what, *curve, budget)
    k = int(found.collapsed.sum())
    band = wilson(k, len(curve[1]))
    return {"collapsed": k, "collapsed_low": band.low, "collapsed_high": band.high, "fell": int(found.fell.sum())}


def _stability(curve: tuple[np.ndarray, np.ndarray] | None, metric: MetricDescription) -> dict[str, float]:
    """Median over replicas of the gap between best and last, and of the oscillation at the end."""
    if curve is None:
        return {"best_last_gap": float("nan"), "oscillation": float("nan")}
    values = np.where(np.isnan(curve[1]).cumsum(axis=1) > 0, np.nan, curve[1])  # what follows a failure is none
    gaps = best_last_gap(values, higher=metric.better == "higher")
    waves = oscillation(values) if values.shape[1] > 2 else np.full(len(values), np.nan)
    return {"best_last_gap": _median(gaps), "oscillation": _median(waves)}


def _area(own: pd.DataFrame, curve: tuple[np.ndarray, np.ndarray] | None, metric: MetricDescription) -> float:
    """Interquartile mean over replicas of the mean score over training; from where one failed on it has the worst."""
    if curve is None:
        return metric.worst
    costs, values = curve
    end = own["ended"].where(own["outcome"] != "ok", np.inf).to_numpy(float)
    counted = np.where(np.isnan(values).cumsum(axis=1) + (costs >= end[:, None]) > 0, np.nan, values)
    areas = area_under_curve(costs, counted, metric.better == "higher", metric.worst)
    return float(interquartile_mean(areas))


def _median(x: np.ndarray) -> float:
    known = x[~np.isnan(x)]
    return float(np.median(known)) if len(known) else float("nan")


def _costs(own: pd.DataFrame, ends: pd.DataFrame) -> dict[str, Any]:
    """Cost and training seconds of a report replica, and of all tuning; the values that were frozen."""
    spent, phase = ends["ended"], ends.index.get_level_values("phase")
    report, tuning = phase == "report", phase.isin(["tune", "rerank"])
    frozen = str(own["hyperparameters"].iloc[0])
    return {
        "cost": float(spent[report].mean()),
        "tuning_cost": float(spent[tuning].sum()),
        "seconds": float(ends["seconds"][report].mean()),
        "tuning_seconds": float(ends["seconds"][tuning].sum()),
        "hyperparameters": values_of(frozen) if json.loads(frozen) else "defaults",
    }


def games_of(found: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The table's blocks, one a game; none where nothing is measured yet."""
    return [] if found.empty else list(found.groupby("game", observed=True, sort=False))


def best(found: pd.DataFrame, study: ComparedStudy) -> pd.Series:
    """Whether a row is its game's best, or its interval overlaps the best one's; where all failed none is."""
    chosen = pd.Series(False, index=found.index)
    for (_, name), rows in [] if found.empty else found.groupby(["game", "metric"], observed=True, sort=False):
        metric = study.metric(str(name))
        done = rows[rows["iqm"] != metric.worst]
        if not done.empty and metric.better:
            top = done.loc[done["iqm"].idxmax() if metric.better == "higher" else done["iqm"].idxmin()]
            chosen[done.index] = (done["low"] <= top["high"]) & (done["high"] >= top["low"])
    return chosen


def to_csv(found: pd.DataFrame) -> str:
    """The table as CSV: the same records give the same bytes, so wall seconds are left to the records."""
    text: str = found.drop(columns=["seconds", "tuning_seconds", "best"], errors="ignore").to_csv(index=False)
    return text
