"""How replicas ended: came through, collapsed, diverged, stopped with an error."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.outcomes import outcomes
from bench.analysis.statistics import wilson
from bench.report.figures import outcomes as figures
from bench.report.sections.scene import Drawing, Scene


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """A bar a rule."""
    counted = outcomes(scene.own, scene.order, scene.described.collapse)
    through = {rule: wilson(counts.get("ok", 0), sum(counts.values())) for rule, counts in counted.items()}
    caption = f"How the replicas on {scene.label} ended, in numbers; the line is Wilson's 95 % interval of the share "
    caption += "that came through."
    if scene.described.collapse is not None:
        caption += " Collapsed are those that had not failed otherwise."
    yield Drawing("outcomes", caption, figures.outcomes(counted, through, scene.look))
