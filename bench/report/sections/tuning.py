"""Tuning: the trials, the choice, the gain of more trials."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.report.figures import tuning as figures
from bench.report.figures.panels import BEYOND, MANY
from bench.report.sections.scene import Drawing, Scene
from bench.studies.tuning.sensitivity import Effort, effort


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """Scores against step sizes, single and in pairs, and the expected best of k trials."""
    tried, failed = scene.tried, scene.axis.failed
    single = {rule: trials for rule, trials in tried.items() if len(trials.names) == 1}
    pairs = {rule: trials for rule, trials in tried.items() if len(trials.names) == 2}
    look = scene.each_look
    ringed = "; the chosen one is ringed."
    if single:
        caption = (
            f"Step sizes tried on {scene.label}: interquartile mean over the tuning seeds, a faint bar over the seeds"
        )
        crosses = any(np.isnan(trials.values).any() for trials in single.values())
        caption += f"; crosses: seeds that {failed}" if crosses else ""
        caption += "; open: given up early" if any(trials.pruned.any() for trials in single.values()) else ""
        far = figures.range_of_trials(single).cuts(
            *(t.means for t in single.values()), *(t.values for t in single.values())
        )
        figure = figures.step_sizes(single, look, scene.axis)
        yield Drawing("step-sizes", caption + ringed + (BEYOND if far else ""), figure, wide=len(single) > MANY)
    if pairs:
        caption = f"Pairs of step sizes tried on {scene.label}: colour is the interquartile mean over the tuning seeds"
        caption += f", a cross: most {failed}; an open ring: given up early"
        yield Drawing("step-pairs", caption + ringed, figures.step_pairs(pairs, look, scene.axis))
    efforts = {rule: effort(trials, scene.metric, scene.study, rule) for rule, trials in tried.items()}
    if any(np.isfinite(rule_effort.curve.value).any() for rule_effort in efforts.values()):
        caption = _best_caption(scene.label, efforts, any(trials.pruned.any() for trials in tried.values()))
        far = figures.range_of_efforts(efforts, scene.axis).cuts(*(e.curve.value for e in efforts.values()))
        caption += BEYOND if far else ""
        figure = figures.expected_best(efforts, look, scene.axis)
        yield Drawing("expected-best", caption, figure, wide=len(efforts) > MANY)


def _best_caption(label: str, efforts: dict[str, Effort], pruned: bool) -> str:
    """The caption of the expected best: what the figure shows, and which curves it lacks, and why."""
    caption = f"Expected best of k trials on {label}: the best interquartile mean over the tuning seeds "
    caption += "among k of the trials that spread over the range, with its 95 % bootstrap interval over trials and "
    caption += "seeds. On the right the "
    caption += "best of all trials as found, half of which close in, with its interval over the seeds. An interval "
    caption += "that reaches the border goes on beyond it."
    caption += " A trial that was given up early counts as it stood then." if pruned else ""
    missing = []
    for rule, rule_effort in efforts.items():
        failures, most = int(np.isinf(rule_effort.curve.value).sum()), len(rule_effort.curve.value)
        if failures:
            missing.append(f"{rule} {'at any k' if failures == most else f'up to k={failures}'}")
    return caption + (f" Not drawn, for all k may fail: {', '.join(missing)}." if missing else "")
