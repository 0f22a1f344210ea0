"""How training went: when replicas failed, and whether what it led to attracts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.analysis.outcomes import survivals
from bench.analysis.scores import study_budget
from bench.analysis.statistics import bootstrap_rules
from bench.report.figures import dynamics
from bench.report.sections.scene import Drawing, Scene
from bench.report.sections.scores import RESAMPLES

STAIRS = 121  # places of a survival curve


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """Survival of divergence and collapse, where there was any, and the path-angle."""
    grid = np.linspace(0, study_budget(scene.own), STAIRS)
    if events := survivals(scene.own, scene.order, scene.described.collapse, grid):
        caption = f"Replicas on {scene.label} that had not yet {' or '.join(events)}, with Wilson's 95 % interval."
        yield Drawing("survival", caption, dynamics.survivals(events, grid, scene.look))
    if held := scene.held("angle"):
        at = next(iter(held.values()))["angle_at"].numpy()
        bands = {rule: bootstrap_rules(parts["angle"].numpy(), resamples=RESAMPLES) for rule, parts in held.items()}
        caption = f"Path-angle on {scene.label}: cosine between the field and the way from start to end of training, "
        caption += "interquartile mean with its 95 % interval. A change of sign at 1 means that the end attracts, "
        caption += "a bump there that the field turns about it (Berard et al. 2020)."
        yield Drawing("path-angle", caption, dynamics.path_angles(at, bands, scene.look))
