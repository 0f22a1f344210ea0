"""How long a study would take: a short trial of the first rule on each game."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from bench.contracts import Exportable, State
from bench.contracts.introspection import for_game
from bench.execution.training import execute
from bench.studies.cost import planned_cost, planned_replicas
from bench.studies.plan import Task, report_rows
from bench.studies.study import Study

SHARE = 0.025
"""Of a game's planned gradient evaluations, what the trial takes at most, where that is enough for a few steps."""
REPLICAS, COST = (2, 24), (4.0, 60.0)
"""The fewest and the most replicas of the trial, and gradient evaluations of each."""


def estimate(study: Study, device: str = "cpu") -> tuple[int, float, float]:
    """(cells, cost, seconds on one job) of a study, by a short trial of the first rule on each game."""
    planned = planned_cost(study)
    cells = sum(planned_replicas(study, rule) for rule, _ in study.pairs)
    seconds = 0.0
    for game in study.games:
        whole = sum(cost for (_, other), cost in planned.items() if other == game)
        rules = [rule for rule, other in study.pairs if other == game]
        if not rules:
            continue
        training, judging = pace(study.task(rules[0], game, device), SHARE * whole)
        seconds += training * whole
        seconds += judging * (study.evaluations + 1) * len(study.seeds) * len(rules)
    return cells, sum(planned.values()), seconds


def weights_size(study: Study, keep: str) -> int:
    """Bytes of the networks that a study keeps, at most: all report replicas', or the median's and the best's."""
    groups = (len(group) for group in study.seed_groups)
    replicas = {"all": len(study.seeds), "median": sum(min(2, count) for count in groups), "none": 0}[keep]
    games = (study.plugins.game(label) for label in study.games)
    columns = sum(sum(game.sizes) for game in games if isinstance(game, Exportable))
    return 4 * columns * replicas * len(study.optimizers)


def states_size(study: Study) -> int:
    """Bytes of the states that a study keeps with all its networks: two points and a rule's memory for each replica."""
    count = 0
    for game in map(study.plugins.game, study.games):
        w = game.init(torch.arange(2))
        for rule in map(study.plugins.rule, study.optimizers):
            memory = _bytes(for_game(rule, game).init(w))
            count += (2 * w.nbytes + memory) // len(w) * len(study.seeds)
    return count


def _bytes(state: State) -> int:
    return sum(_bytes(part) if isinstance(part, dict) else part.nbytes for part in state.values())


def pace(task: Task, allowed: float = 0.0) -> tuple[float, float]:
    """Seconds of a gradient evaluation and of judging once, each for one replica of a stack.

    Args:
        task: what is timed.
        allowed: gradient evaluations that the timing may take, over all replicas; the fewest replicas for few.
    """
    replicas = int(min(max(allowed / COST[0], REPLICAS[0]), REPLICAS[1]))
    budget = min(max(allowed / replicas, COST[0]), COST[1], task.budget)
    warm_up, trial = (replace(task, budget=cost, evaluations=1) for cost in (min(COST[0], budget), budget))
    rows = report_rows(range(replicas), {})
    execute(warm_up.chunks(rows, "report")[0])
    (chunk, *_) = trial.chunks(rows, "report")
    start = time.perf_counter()
    records = execute(chunk).records
    whole = (time.perf_counter() - start) / len(chunk.rows)
    training = max(record["seconds"] for record in records)
    return training / chunk.budget, max(0.0, whole - training) / (chunk.evaluations + 1)
