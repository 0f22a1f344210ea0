"""Whether trials were given up early as their pruner would have: decided again from the recorded scores.

A trial that is given up cannot be chosen, so one that was cut by hand would hide a step size. Its replicas agree as far
as they go, and only the trials beside it say that it had to go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from bench.contracts import UpdateRule
from bench.execution.verification.cells import Cell, Recorded
from bench.registry.description import MetricDescription
from bench.studies.plan import Chunk
from bench.studies.tuning.pruning import waits


def given_up(chunk: Chunk, rule: UpdateRule, metric: MetricDescription, recorded: Recorded) -> Iterator[str]:
    """What is wrong with the trials of a tuning chunk that were given up, or were not, the first of it.

    Args:
        chunk: as recorded, with all its replicas.
        rule: its rule.
        metric: the game's score.
        recorded: what its run holds.
    """
    from bench.studies.tuning.pruners import beaten_trials

    cells = [Cell(chunk, row) for row in chunk.rows]
    if not all(map(recorded.outcome, cells)):
        yield "replicas of a stack of trials are missing"
        return
    scores = {row: _scores(cell, metric, recorded) for row, cell in enumerate(cells)}
    steps = int(chunk.budget / rule.cost + 1e-9)
    ends = [_end(cell, recorded) for cell in cells]
    costs = sorted({cost for own in scores.values() for cost in own if cost > 0})
    for count, cost in enumerate(costs, start=1):
        curves = [_at(scores, earlier) for earlier in costs[:count]]
        step = round(cost / rule.cost)
        if step >= steps or waits(step, steps):
            continue
        beaten = dict(zip(dict.fromkeys(row.trial for row in chunk.rows), beaten_trials(chunk, curves), strict=True))
        for row, cell in enumerate(cells):
            expected = bool(beaten[cell.row.trial]) and cost in scores[row]
            if expected != (ends[row] == ("interrupted", cost)):
                what = "not given up" if expected else "given up"
                yield f"trial {cell.row.trial} was {what} at cost {cost:g}, and its pruner decides otherwise"
                return
    early = [cell for cell, end in zip(cells, ends, strict=True) if end[0] == "interrupted" and end[1] not in costs]
    if early:
        yield f"trial {early[0].row.trial} was given up between two evaluations"


def _scores(cell: Cell, metric: MetricDescription, recorded: Recorded) -> Mapping[float, float]:
    """The score of a replica, lower the better, at every cost at which it is recorded."""
    records = recorded.of([cell.key])
    own = records[records["metric"] == metric.name]
    values: pd.Series = (metric.sign * own["value"]).fillna(np.inf)
    return dict(zip(own["cost"], values, strict=True))


def _end(cell: Cell, recorded: Recorded) -> tuple[str, float]:
    records = recorded.of([cell.key])
    return str(records["outcome"].iloc[0]), float(records["ended"].iloc[0])


def _at(scores: Mapping[int, Mapping[float, float]], cost: float) -> np.ndarray:
    """The scores of a chunk's rows at a cost, inf where one is not recorded."""
    return np.array([own.get(cost, np.inf) for own in scores.values()])
