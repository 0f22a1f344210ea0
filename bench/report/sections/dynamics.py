"""The dynamics of training: when replicas failed, and whether the end of training attracts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.analysis.outcomes import survivals
from bench.analysis.scores import study_budget
from bench.analysis.statistics import bootstrap_rules
from bench.report.figures import dynamics
from bench.report.sections.scene import Drawing, Scene
from bench.report.sections.scores import RESAMPLES

STAIRS = 121  # points of a survival curve


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """The survival curves of divergence and collapse, if any occurred, and the path-angle."""
    grid = np.linspace(0, study_budget(scene.records), STAIRS)
    if events := survivals(scene.records, scene.order, scene.learnt, grid):
        caption = f"Replicas on {scene.label} that had not yet {' or '.join(events)}, with Wilson's 95 % interval."
        yield Drawing("survival", caption, dynamics.survivals(events, grid, scene.look))
    if angles := scene.tensors_with("angle"):
        points = next(iter(angles.values()))["angle_at"].numpy()
        bands = {
            rule: bootstrap_rules(tensors["angle"].numpy(), resamples=RESAMPLES) for rule, tensors in angles.items()
        }
        caption = f"Path-angle on {scene.label}: cosine between the field and the way from start to end of training, "
        caption += "interquartile mean with its 95 % interval. A change of sign at 1 means that the end attracts, "
        caption += "a bump there that the field turns about it (Berard et al. 2020)."
        yield Drawing("path-angle", caption, dynamics.path_angles(points, bands, scene.look))
