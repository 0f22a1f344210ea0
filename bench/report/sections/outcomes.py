"""The outcomes of the replicas: ok, not learned, collapsed, diverged, stopped with an error."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.outcomes import outcomes
from bench.analysis.statistics import wilson
from bench.report.figures import outcomes as figures
from bench.report.sections.scene import Drawing, Scene


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """A bar for each rule."""
    counts_by_rule = outcomes(scene.records, scene.order, scene.learnt)
    came_through = {rule: wilson(counts.get("ok", 0), sum(counts.values())) for rule, counts in counts_by_rule.items()}
    caption = f"How the replicas on {scene.label} ended, in numbers; the line is Wilson's 95 % interval of the share "
    caption += "that came through."
    if scene.description.learned is not None:
        least = scene.description.learned
        caption += f" Not learned: {scene.metric.name} never reached {least:g}."
    if scene.description.collapse is not None:
        caption += " Collapsed are those that had learned, and had not failed otherwise."
    yield Drawing("outcomes", caption, figures.outcomes(counts_by_rule, came_through, scene.look))
