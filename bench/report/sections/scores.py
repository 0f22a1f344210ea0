"""Scores: through training, and at its end seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from bench.analysis.scores import curves, ended, last_evaluations
from bench.analysis.statistics import bootstrap_rules
from bench.analysis.targets import reached
from bench.report.figures import scores as figures
from bench.report.figures.panels import MANY, Range
from bench.report.figures.scores import Curve, Scores
from bench.report.sections.scene import Drawing, Scene

RESAMPLES = 2000  # of a curve's band
MEAN = "interquartile mean over the seeds with its 95 % interval"


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """The primary metric against cost, then a point for every seed."""
    through, axis = _curves(scene), scene.axis
    crosses = any(curve.lost.size for curve in through.values())
    lost = f" Crosses: where replicas {axis.failed}; a curve ends where too many did." if crosses else ""
    every = [part for curve in through.values() for part in curve[1:4]]
    beyond = " What goes beyond the axis is drawn at its border." if Range.of(*every).cuts(*every) else ""
    improved = reached(scene.own, scene.rows, scene.metric) is not None
    nobody = "" if improved else " There is no cost to target: no rule ended better than it started."
    points = f" Crosses: replicas that {axis.failed}." if crosses else ""
    perfect = " Dotted: a perfect sampler." if math.isfinite(axis.ceiling) else ""
    yield Drawing(
        "curves",
        f"{axis.words.capitalize()} on {scene.label} through training: {MEAN}.{perfect}{lost}{beyond}{nobody}",
        figures.curves(through, scene.look, axis),
        wide=len(through) > MANY,
    )
    yield Drawing(
        "seconds",
        f"The same against training time: {axis.words} on {scene.label}. Seconds are a replica's share of the stack in "
        "which it was trained, without evaluation: they depend on the machine and on how many were trained together.",
        figures.curves(_clocked(scene, through), scene.look, axis, "training seconds of a replica"),
        wide=len(through) > MANY,
    )
    yield Drawing(
        "scores",
        f"Final {axis.words} on {scene.label}: a point a seed; the bar is the {MEAN}.{perfect}{points}",
        figures.final_scores(_finals(scene), scene.look, axis),
    )


def _curves(scene: Scene) -> dict[str, Curve]:
    """Each rule's curve; from where a replica failed on it counts as the worst."""
    ends = ended(scene.own)
    by_rule, found = curves(scene.own, scene.metric.name), {}
    for rule in scene.order:
        cost, values = by_rule[rule]
        until = ends.loc[rule]
        end = until["ended"].where(until["outcome"] != "ok", np.inf).to_numpy()
        counted = np.where(np.isnan(values) | (cost >= end[:, None]), scene.metric.worst, values)
        found[rule] = Curve(cost, *bootstrap_rules(counted.T, resamples=RESAMPLES), end[np.isfinite(end)])
    return found


def _clocked(scene: Scene, through: dict[str, Curve]) -> dict[str, Curve]:
    """The curves against seconds: the mean over the replicas that still ran."""
    clocks, found = curves(scene.own, scene.metric.name, "seconds"), {}
    for rule, curve in through.items():
        running = ~np.isnan(clocks[rule][1])
        total = np.where(running, clocks[rule][1], 0).sum(axis=0)
        seconds = np.maximum.accumulate(total / np.maximum(running.sum(axis=0), 1))
        found[rule] = curve._replace(cost=seconds, lost=np.interp(curve.lost, curve.cost, seconds))
    return found


def _finals(scene: Scene) -> dict[str, Scores]:
    """Each rule's final scores, NaN for a failure."""
    report = scene.own[scene.own["phase"] == "report"]
    known = last_evaluations(report, scene.metric, ["optimizer", "seed"])["value"].unstack("seed")
    return {
        str(rule): Scores(known.loc[rule].to_numpy(float), float(row["iqm"]), float(row["low"]), float(row["high"]))
        for rule, row in scene.rows.iterrows()
    }
