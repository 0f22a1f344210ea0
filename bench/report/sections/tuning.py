"""Tuning: what was tried, what was chosen, what more trials would buy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.report.figures import tuning as figures
from bench.report.figures.panels import MANY
from bench.report.sections.scene import Drawing, Scene
from bench.studies.tuning.sensitivity import Effort, effort


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """Scores against step sizes, single ones and pairs, and the expected best of k trials."""
    tried, failed = scene.tried, scene.axis.failed
    one = {rule: trials for rule, trials in tried.items() if len(trials.names) == 1}
    two = {rule: trials for rule, trials in tried.items() if len(trials.names) == 2}
    ringed = "; the chosen one is ringed."
    if one:
        caption = f"Step sizes tried on {scene.label}: median score over the tuning seeds, a faint bar over the seeds"
        crosses = any(np.isnan(trials.values).any() for trials in one.values())
        caption += f"; crosses: seeds that {failed}" if crosses else ""
        caption += "; open: given up early" if any(trials.pruned.any() for trials in one.values()) else ""
        drawn = figures.step_sizes(one, scene.look, scene.axis)
        yield Drawing("step-sizes", caption + ringed, drawn, wide=len(one) > MANY)
    if two:
        caption = f"Pairs of step sizes tried on {scene.label}: colour is the median score over the tuning seeds"
        caption += f", a cross: most {failed}; an open ring: given up early"
        yield Drawing("step-pairs", caption + ringed, figures.step_pairs(two, scene.look, scene.axis))
    efforts = {rule: effort(trials, scene.metric, scene.study) for rule, trials in tried.items()}
    if any(np.isfinite(found.curve.value).any() for found in efforts.values()):
        caption = _best_caption(scene.label, efforts, any(trials.pruned.any() for trials in tried.values()))
        best = figures.expected_best(efforts, scene.look, scene.axis)
        yield Drawing("expected-best", caption, best, wide=len(efforts) > MANY)


def _best_caption(label: str, efforts: dict[str, Effort], pruned: bool) -> str:
    """What a figure of the expected best shows, and which curves it does not show, and why."""
    caption = f"Expected best of k trials on {label}: the best median over the tuning seeds among k of the trials "
    caption += "that spread over the range, with its 95 % bootstrap interval over trials and seeds. On the right the "
    caption += "best of all trials as found, half of which close in, with its interval over the seeds. An interval "
    caption += "that reaches the border goes on beyond it."
    caption += " A trial that was given up early counts as it stood then." if pruned else ""
    missing = []
    for rule, found in efforts.items():
        failures, most = int(np.isinf(found.curve.value).sum()), len(found.curve.value)
        if failures:
            missing.append(f"{rule} {'at any k' if failures == most else f'up to k={failures}'}")
    return caption + (f" Not drawn, for all k may fail: {', '.join(missing)}." if missing else "")
