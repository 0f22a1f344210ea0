"""The comparison in numbers: a row for each rule and game, from the records alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.formatting import values_of
from bench.analysis.learning import Learning, learning, untrainable
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
from bench.registry.description import MetricDescription


def table(records: pd.DataFrame, study: ComparedStudy, metrics: Sequence[str] = ()) -> pd.DataFrame:
    """Rules x games: the primary metric's interquartile mean with interval, failures, cost, seconds, chosen values.

    ``auc`` is the same mean of the area under the curve against cost over its width: the mean score over training.
    ``best`` marks a game's best row, and those whose intervals overlap its own. ``untrainable`` is a rule that learned
    at no step size that tuning tried: it was trained with its declared defaults, and stands last.
    Where metrics are named, a game has a block for each of them that was measured on it, in place of its primary one.
    """
    rows = []
    for game in study.games:
        game_records = records[records["game"] == game]
        primary = study.primary(game)
        scores_by_seed = scores(game_records, primary)
        measured = scores_by_seed.dropna().index  # rules with results for all seeds
        order = [name for name in study.optimizers if name in measured]
        measured_metrics = set(game_records["metric"].unique())
        for name in [name for name in metrics or [primary.name] if name in measured_metrics and order]:
            seeds = list(scores_by_seed.columns)
            rows += _block(game_records, study, game, study.metric(name), order, seeds)
    frame = pd.DataFrame(rows)
    if frame.empty:
        return frame
    return frame.astype({"collapsed": "Int64", "not_learned": "Int64"}).assign(best=best(frame, study))


def _block(
    game_records: pd.DataFrame,
    study: ComparedStudy,
    game: str,
    metric: MetricDescription,
    order: list[str],
    seeds: list[int],
) -> list[dict[str, Any]]:
    """The table's rows of one game and metric."""
    description, primary = study.game(game), study.primary(game)
    scores_by_seed = scores(game_records, metric, order=order, seeds=seeds)
    band = bootstrap_rules(scores_by_seed.to_numpy())
    untuned = _untuned(game_records, metric)
    stable = curves(game_records, metric.name)
    ends, spent = ended(game_records), _spent(game_records)
    learnt = learning(game_records, description, primary, study_budget(game_records))
    lost = untrainable(game_records, description, primary)
    rows = []
    for i, name in enumerate(order):
        rule_ends = ends.loc[name]
        rows.append(
            {"game": game, "optimizer": name, "metric": metric.name, "better": metric.better}
            | {"iqm": float(band.value[i]), "low": float(band.low[i]), "high": float(band.high[i])}
            | _outcomes(rule_ends)
            | ({f"untuned_{key}": value for key, value in untuned.loc[name].items()} if name in untuned.index else {})
            | _learning(learnt.get(name, Learning()), rule_ends)
            | _stability(stable.get(name), metric)
            | {"auc": _area(rule_ends, stable.get(name), metric)}
            | _costs(rule_ends, spent.loc[name])
            | {"untrainable": name in lost}
        )
    return rows


def _spent(records: pd.DataFrame) -> pd.DataFrame:
    """Cost and seconds of every replica of a game, indexed by optimizer, phase, trial and seed."""
    by = ["optimizer", "phase", "trial", "seed"]
    return records.groupby(by, observed=True)[["ended", "seconds"]].max()


def _untuned(game_records: pd.DataFrame, metric: MetricDescription) -> pd.DataFrame:
    """iqm, low and high of the rules that were also trained with their declared defaults."""
    scores_by_seed = scores(game_records, metric, "untuned").dropna()
    if scores_by_seed.empty:
        return scores_by_seed
    band = bootstrap_rules(scores_by_seed.to_numpy())
    return pd.DataFrame({"iqm": band.value, "low": band.low, "high": band.high}, index=scores_by_seed.index)


def _outcomes(rule_ends: pd.DataFrame) -> dict[str, Any]:
    n, diverged = len(rule_ends), int((rule_ends["outcome"] == "diverged").sum())
    band = wilson(diverged, n)
    return {
        "n": n,
        "diverged": diverged,
        "diverged_low": band.low,
        "diverged_high": band.high,
        "errors": int((rule_ends["outcome"] == "error").sum()),
    }


def _learning(what: Learning, rule_ends: pd.DataFrame) -> dict[str, float | None]:
    """Replicas that came through and learned nothing, and those that lost what they had, each with Wilson's interval.

    Nothing where the game does not declare what that is.
    """
    came_through = (rule_ends["outcome"] == "ok").to_numpy()
    found = {
        "not_learned": None if what.learned is None else came_through & ~what.learned,
        "collapsed": None if what.collapse is None else what.collapse.collapsed,
    }
    counted: dict[str, float | None] = {}
    for name, replicas in found.items():
        k = None if replicas is None else int(replicas.sum())
        band = None if k is None else wilson(k, len(rule_ends))
        counted |= {name: k, f"{name}_low": band and band.low, f"{name}_high": band and band.high}
    return counted


def _stability(curve: tuple[np.ndarray, np.ndarray] | None, metric: MetricDescription) -> dict[str, float]:
    """Median over replicas of the gap between best and last, and of the oscillation at the end."""
    if curve is None:
        return {"best_last_gap": float("nan"), "oscillation": float("nan")}
    values = np.where(np.isnan(curve[1]).cumsum(axis=1) > 0, np.nan, curve[1])  # what follows a failure is none
    gaps = best_last_gap(values, higher=metric.better == "higher")
    waves = oscillation(values) if values.shape[1] > 2 else np.full(len(values), np.nan)
    return {"best_last_gap": _median(gaps), "oscillation": _median(waves)}


def _area(rule_ends: pd.DataFrame, curve: tuple[np.ndarray, np.ndarray] | None, metric: MetricDescription) -> float:
    """Interquartile mean over replicas of the mean score over training; after a failure the score is the worst."""
    if curve is None:
        return metric.worst
    costs, values = curve
    end = rule_ends["ended"].where(rule_ends["outcome"] != "ok", np.inf).to_numpy(float)
    counted = np.where(np.isnan(values).cumsum(axis=1) + (costs >= end[:, None]) > 0, np.nan, values)
    areas = area_under_curve(costs, counted, metric.better == "higher", metric.worst)
    return float(interquartile_mean(areas))


def _median(x: np.ndarray) -> float:
    measured = x[~np.isnan(x)]
    return float(np.median(measured)) if len(measured) else float("nan")


def _costs(rule_ends: pd.DataFrame, replicas: pd.DataFrame) -> dict[str, Any]:
    """Cost and training seconds of a report replica and of all tuning; the frozen hyperparameters."""
    spent, phase = replicas["ended"], replicas.index.get_level_values("phase")
    report, tuning = phase == "report", phase.isin(["tune", "rerank"])
    frozen = str(rule_ends["hyperparameters"].iloc[0])
    return {
        "cost": float(spent[report].mean()),
        "tuning_cost": float(spent[tuning].sum()),
        "seconds": float(replicas["seconds"][report].mean()),
        "tuning_seconds": float(replicas["seconds"][tuning].sum()),
        "hyperparameters": values_of(frozen) if json.loads(frozen) else "defaults",
    }


def games_of(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The table's blocks, one a game; none where nothing is measured yet."""
    return [] if frame.empty else list(frame.groupby("game", observed=True, sort=False))


def ranked(game_rows: pd.DataFrame) -> pd.DataFrame:
    """A game's rows with the best first, what cannot be trained last; ``failed`` counts divergence and errors."""
    ascending = game_rows["better"].iloc[0] != "higher"
    rows = game_rows.assign(
        failed=game_rows["diverged"] + game_rows["errors"], lost=game_rows["errors"] == game_rows["n"]
    )
    rows = rows.sort_values("iqm", ascending=ascending, kind="stable")
    return rows.sort_values(["lost", "untrainable"], kind="stable").drop(columns="lost")


def best(frame: pd.DataFrame, study: ComparedStudy) -> pd.Series:
    """Whether a row is its game's best, or its interval overlaps the best one's; where all failed none is."""
    chosen = pd.Series(False, index=frame.index)
    for (_, name), rows in [] if frame.empty else frame.groupby(["game", "metric"], observed=True, sort=False):
        metric = study.metric(str(name))
        done = rows[(rows["iqm"] != metric.worst) & ~rows["untrainable"]]
        if not done.empty and metric.better:
            top = done.loc[done["iqm"].idxmax() if metric.better == "higher" else done["iqm"].idxmin()]
            chosen[done.index] = (done["low"] <= top["high"]) & (done["high"] >= top["low"])
    return chosen


def to_csv(frame: pd.DataFrame) -> str:
    """The table as CSV: the same records give the same bytes, so wall seconds are left to the records."""
    text: str = frame.drop(columns=["seconds", "tuning_seconds", "best"], errors="ignore").to_csv(index=False)
    return text
