"""What every game's evaluation takes: as a ratio to a training step of the same replicas, measured in turn.

    OMP_NUM_THREADS=1 pytest tests/benchmarks/test_games.py --benchmark-only -s

An evaluation is all metrics that are judged through a training. Its share is of a run of the default budget and
evaluations with adam, whose steps each take one gradient evaluation. Games with convolutions are tried small, where
steps are quicker than their own: their share is an upper bound.
"""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest
import torch
from stack import seconds

from bench.contracts import Oracle
from bench.contracts.introspection import stacked
from bench.games.networks.layers import Conv2d, ConvTranspose2d
from bench.metrics.evaluation import Evaluator
from bench.numerics.runtime import hold_memory
from bench.registry import games, get_game, get_rule, metrics
from bench.studies.study import Study

R, ROUNDS, STEPS = 4, 5, 4
LIMIT = 0.2
"""Training is to take at least 80 % of a study's time."""


class Training:
    """R replicas of adam on a game, and their judge."""

    def __init__(self, game: Any) -> None:
        self.game, seeds = game, torch.arange(R)
        self.rule, self.F, self.evaluator = (
            stacked(get_rule("adam"), [{}] * R, game),
            Oracle(game, seeds),
            Evaluator(game, seeds),
        )
        self.w = game.init(seeds)
        self.s = self.rule.init(self.w)
        own = (metrics[name] for name in metrics.names())
        self.metrics = [metric for metric in own if metric.judges(game) and not metric.at_end]

    def train(self) -> None:
        for _ in range(STEPS):
            self.w, self.s = self.rule.step(self.F, self.w, self.s)
            self.F.new_batch()

    def evaluate(self) -> None:
        w = self.w.clone()  # nothing is known of it yet
        self.evaluator.at(w, w)
        for metric in self.metrics:
            metric(self.game, w, self.evaluator)


def convolves(game: Any) -> bool:
    networks = (game.generator, game.discriminator) if hasattr(game, "discriminator") else ()
    return any(isinstance(layer, (Conv2d, ConvTranspose2d)) for network in networks for layer in network.layers)


@pytest.mark.parametrize("name", games.names())
def test_evaluation_against_a_step(benchmark: Any, name: str) -> None:
    game: Any = get_game(name)
    spelled = f"{name}[{game.tried}]" if convolves(game) else name
    if missing := game.missing:
        pytest.skip(missing)
    torch.set_num_threads(1)
    hold_memory()
    training = Training(get_game(spelled))
    training.train(), training.evaluate()
    pairs = [(seconds(training.evaluate), seconds(training.train) / STEPS) for _ in range(ROUNDS)]  # in turn
    ratio = median(evaluation / step for evaluation, step in pairs)
    evaluations = Study(optimizers="sgd", games=name).evaluations + 1
    share = ratio * evaluations / (ratio * evaluations + game.budget)
    benchmark.pedantic(training.evaluate, rounds=3)
    benchmark.extra_info |= {"steps an evaluation": ratio, "share of a run": share, "metrics": len(training.metrics)}
    print(f"\n{spelled}: an evaluation takes {ratio:.1f} steps, {share:.1%} of a run of {game.budget:g}")
    benchmark.extra_info["within the limit"] = share <= LIMIT
