"""Scores: during training, and at its end for each seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.analysis.scores import curves, ended, last_evaluations
from bench.analysis.statistics import bootstrap_rules
from bench.analysis.targets import reached
from bench.report.figures import scores as figures
from bench.report.figures.panels import BEYOND, MANY
from bench.report.figures.scores import Curve, Scores
from bench.report.sections.scene import Drawing, Scene

RESAMPLES = 2000  # for the band of a curve
MEAN = "interquartile mean over the seeds with its 95 % interval"


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """The primary metric against cost and against seconds, then the final score of every seed."""
    rule_curves, axis = _curves(scene), scene.axis
    crosses = any(curve.failures.size for curve in rule_curves.values())
    crosses_note = f" Crosses: where replicas {axis.failed}; a curve ends where too many did." if crosses else ""
    bands = [band for curve in rule_curves.values() for band in curve[1:4]]
    cut = figures.range_of_curves(rule_curves, axis).cuts(*bands)
    cut_note = (
        " What goes beyond the axis is drawn at its border, with a triangle where a curve leaves it." if cut else ""
    )
    improved = reached(scene.records, scene.rows, scene.metric) is not None
    no_target_note = "" if improved else " There is no cost to target: no rule ended better than it started."
    points_note = f" Crosses: replicas that {axis.failed}." if crosses else ""
    yield Drawing(
        "curves",
        f"{axis.words.capitalize()} on {scene.label} through training: {MEAN}.{axis.dotted}{crosses_note}{cut_note}"
        f"{no_target_note}",
        figures.curves(rule_curves, scene.look, axis),
        wide=len(rule_curves) > MANY,
    )
    yield Drawing(
        "seconds",
        f"The same against training time: {axis.words} on {scene.label}. Seconds are a replica's share of the stack in "
        "which it was trained, without evaluation: they depend on the machine and on how many were trained together.",
        figures.curves(_clocked(scene, rule_curves), scene.look, axis, "training seconds of a replica"),
        wide=len(rule_curves) > MANY,
        folded=True,
    )
    finals = _finals(scene)
    far = figures.range_of_scores(finals, axis).cuts(*(given for scores in finals.values() for given in scores))
    yield Drawing(
        "scores",
        f"Final {axis.words} on {scene.label}: a point a seed; the bar is the {MEAN}.{axis.dotted}{points_note}"
        f"{BEYOND if far else ''}",
        figures.final_scores(finals, scene.look, axis),
    )


def _curves(scene: Scene) -> dict[str, Curve]:
    """The curve of each rule; a replica that failed has the worst score from then on."""
    ends = ended(scene.records)
    by_rule, rule_curves = curves(scene.records, scene.metric.name), {}
    for rule in scene.order:
        cost, values = by_rule[rule]
        rule_ends = ends.loc[rule]
        end = rule_ends["ended"].where(rule_ends["outcome"] != "ok", np.inf).to_numpy()
        filled = np.where(np.isnan(values) | (cost >= end[:, None]), scene.metric.worst, values)
        rule_curves[rule] = Curve(cost, *bootstrap_rules(filled.T, resamples=RESAMPLES), end[np.isfinite(end)])
    return rule_curves


def _clocked(scene: Scene, rule_curves: dict[str, Curve]) -> dict[str, Curve]:
    """The curves against seconds: the mean over the replicas still running."""
    clocks, clocked = curves(scene.records, scene.metric.name, "seconds"), {}
    for rule, curve in rule_curves.items():
        running = ~np.isnan(clocks[rule][1])
        total = np.where(running, clocks[rule][1], 0).sum(axis=0)
        seconds = np.maximum.accumulate(total / np.maximum(running.sum(axis=0), 1))
        clocked[rule] = curve._replace(cost=seconds, failures=np.interp(curve.failures, curve.cost, seconds))
    return clocked


def _finals(scene: Scene) -> dict[str, Scores]:
    """The final scores of each rule, NaN for a failure."""
    report = scene.records[scene.records["phase"] == "report"]
    final = last_evaluations(report, scene.metric, ["optimizer", "seed"])["value"].unstack("seed")
    return {
        str(rule): Scores(final.loc[rule].to_numpy(float), float(row["iqm"]), float(row["low"]), float(row["high"]))
        for rule, row in scene.rows.iterrows()
    }
