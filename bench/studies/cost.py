"""What a study costs: gradient evaluations and trainings planned, tuning included."""

from __future__ import annotations

from bench.studies.study import Study
from bench.studies.tuning.tuner import replicas


def planned_cost(study: Study) -> dict[tuple[str, str], float]:
    """Gradient evaluations planned for each (rule, game), tuning included."""
    replicas = {rule: planned_replicas(study, rule) for rule in study.optimizers}
    return {(rule, game): replicas[rule] * study.cost_of(game) for rule, game in study.pairs}


def planned_replicas(study: Study, rule: str) -> int:
    """Trainings of one rule on one game: tuning, where there is a step size to tune, and the report."""
    return replicas(study, rule) + len(study.seeds) * (1 + study.untuned + study.roundings)
